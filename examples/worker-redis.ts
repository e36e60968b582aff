// The worker of `worker.ts` with a Redis stream and a consumer group. Run it with
//
//   npm run build && REDIS_URL=redis://localhost node dist/examples/worker-redis.js
//
// send it a job of 10 s, and stop it with `kill`:
//
//   redis-cli XADD jobs '*' ms 10000
//
// A job that failed, wasn't acknowledged or whose worker crashed is claimed by another worker after `MAX_JOB_MS`.
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import healthz from 'fastify-healthz'
import { heartbeat, redis } from 'fastify-healthz/checks'
import { Redis } from 'ioredis'

const { REDIS_URL = 'redis://localhost', STREAM = 'jobs', PORT = '9090', MAX_JOB_MS = '30000' } = process.env
const GROUP = 'workers'
const NAME = `${hostname()}:${process.pid}`

type Job = [id: string, fields: string[]]

const app = Fastify({ logger: true })
const loop = heartbeat({ max: Number(MAX_JOB_MS) })

app.register(healthz, {
  live: { loop },
  listen: { port: Number(PORT), serving: 'onReady' },
  shutdown: { timeout: Number(MAX_JOB_MS) },
  noLog: true
})

app.register(async app => {
  const { drainSignal } = app.healthz
  // Commands time out, so that the loop keeps running while Redis is down. Reads block for 1 s, on a separate connection.
  const client = new Redis(REDIS_URL, { commandTimeout: 1000 }).on('error', () => {})
  const reader = new Redis(REDIS_URL, { commandTimeout: 2000 }).on('error', () => {})
  app.healthz.add('ready', 'queue', redis(client))
  app.addHook('onReady', async () => { consume() })
  // Cancels the read. If Redis has just delivered a job to it, another worker claims that job later.
  drainSignal.addEventListener('abort', () => reader.disconnect())
  // Runs once no job is in flight.
  app.addHook('onClose', async () => client.disconnect())

  async function consume () {
    loop.beat()
    try {
      await client.xgroup('CREATE', STREAM, GROUP, '0', 'MKSTREAM').catch(err => { if (!/BUSYGROUP/.test(err)) throw err })
      while (!drainSignal.aborted) {
        loop.beat()
        const job = await claim() ?? await next()
        if (job !== undefined) await handle(job)
      }
    } catch (err) {
      if (drainSignal.aborted) return
      app.log.warn({ err }, 'reading the stream failed')
      setTimeout(consume, 1000)
    }
  }

  let cursor = '0'
  /** Claims a job that has been pending for longer than `MAX_JOB_MS`. */
  async function claim () {
    const [next, jobs] = await client.xautoclaim(STREAM, GROUP, NAME, MAX_JOB_MS, cursor, 'COUNT', 1) as [string, Job[]]
    cursor = next
    return jobs[0]
  }

  async function next () {
    const streams = await reader.xreadgroup('GROUP', GROUP, NAME, 'COUNT', 1, 'BLOCK', 1000, 'STREAMS', STREAM, '>')
    return (streams as Array<[string, Job[]]> | null)?.[0]?.[1][0]
  }

  async function handle ([job, fields]: Job) {
    const release = app.healthz.hold(`job ${job}`)
    try {
      app.log.info({ job }, 'job started')
      await sleep(Number(fields[1]))
      app.log.info({ job }, 'job done')
      await client.xack(STREAM, GROUP, job)
    } catch (err) {
      app.log.error({ err, job }, 'job failed or not acknowledged')
    } finally {
      release()
    }
  }
})

app.ready(error => {
  if (error) throw error
})
