// The workers of `examples/`, as processes of their own with real brokers: what becomes of jobs when one is stopped.
import { setTimeout as sleep } from 'node:timers/promises'
import { connect } from 'amqplib'
import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import type { LogLine } from '../helpers/log.js'
import { proxyTo } from '../helpers/proxy.js'
import { startService } from '../helpers/service.js'
import { needs, PORTS, type Service } from '../helpers/services.js'

const LONG = process.env.HEALTHZ_LONG === '1'

t.jobs = 2
t.setTimeout(LONG ? 300_000 : 120_000)

/** A queue of the test's own. */
interface Queue {
  readonly env: Record<string, string>
  /** @returns the ids of the jobs */
  send (count: number, ms: number): Promise<string[]>
  /** How many jobs aren't done, as the broker has it. */
  left (): Promise<number>
  /** Whether the broker has given the only job that is left to a worker before. */
  wasGiven (): Promise<boolean>
}

interface Broker {
  readonly service: Service
  open (t: Test, name: string): Promise<Queue>
}

const BROKERS: Record<string, Broker> = {
  worker: {
    service: 'amqp',
    async open (t, name) {
      const url = `amqp://guest:guest@127.0.0.1:${PORTS.amqp}`
      const connection = await connect(url)
      const channel = await connection.createConfirmChannel()
      await channel.assertQueue(name)
      t.teardown(async () => {
        await channel.deleteQueue(name)
        await connection.close()
      })
      return {
        env: { AMQP_URL: url, QUEUE: name },
        async send (count, ms) {
          const ids = Array.from({ length: count }, (_, i) => `${ms}-${i}`)
          for (const messageId of ids) channel.sendToQueue(name, Buffer.from(JSON.stringify({ ms })), { messageId })
          await channel.waitForConfirms()
          return ids
        },
        // Jobs that the worker has not acknowledged count once its connection is closed.
        left: async () => (await channel.checkQueue(name)).messageCount,
        async wasGiven () {
          const message = await channel.get(name)
          if (message === false) throw new Error('no job is left')
          channel.nack(message)
          return message.fields.redelivered
        }
      }
    }
  },
  'worker-redis': {
    service: 'redis',
    async open (t, name) {
      const url = `redis://127.0.0.1:${PORTS.redis}`
      const client = new Redis(url)
      t.teardown(async () => {
        await client.del(name)
        client.disconnect()
      })
      async function field (field: string): Promise<number> {
        const [group] = await client.xinfo('GROUPS', name) as unknown[][]
        return Number(group![group!.indexOf(field) + 1])
      }
      return {
        env: { REDIS_URL: url, STREAM: name },
        send: (count, ms) => Promise.all(Array.from({ length: count }, async () => (await client.xadd(name, '*', 'ms', ms))!)),
        left: async () => await field('pending') + await field('lag'),
        wasGiven: async () => await field('pending') > 0
      }
    }
  }
}

let queues = 0

for (const [example, { service, open }] of Object.entries(BROKERS)) {
  t.test(example, async t => {
    t.jobs = 3
    if (!await needs(t, service)) return

    const queueOf = (t: Test) => open(t, `healthz-worker-${process.pid}-${++queues}`)
    const start = (t: Test, { env }: Queue, more: Record<string, string> = {}) => startWorker(t, example, { ...env, ...more })

    t.test('SIGTERM in the middle of 200 jobs, and a restart: each is done once', async t => {
      const queue = await queueOf(t)
      const ids = await queue.send(200, 10)
      const first = start(t, queue, { MAX_JOB_MS: '3000' })
      await first.until(() => first.ids('job done').length >= 60)
      first.kill('SIGTERM')
      t.match(await first.exit, { code: 0, stderr: '' })
      const done = first.ids('job done')
      t.strictSame(first.ids('job started'), done, 'the job in flight is finished')
      t.equal(await queue.left(), 200 - done.length, 'and acknowledged')
      t.ok(done.length < 200, `after ${done.length} jobs`)

      const second = start(t, queue, { MAX_JOB_MS: '3000' })
      await second.until(() => second.ids('job done').length >= 200 - done.length)
      second.kill('SIGTERM')
      t.match(await second.exit, { code: 0, stderr: '' })
      t.equal(await queue.left(), 0)
      t.strictSame([...done, ...second.ids('job done')].sort(), ids.sort())
    })

    t.test('SIGKILL in the middle of 200 jobs, and a restart: none is lost, the one in flight is done again', async t => {
      const queue = await queueOf(t)
      const ids = await queue.send(200, 10)
      const first = start(t, queue, { MAX_JOB_MS: '1000' })
      await first.until(() => first.ids('job done').length >= 60)
      first.kill('SIGKILL')
      t.match(await first.exit, { code: null, signal: 'SIGKILL' })

      const second = start(t, queue, { MAX_JOB_MS: '1000' })
      const done = () => [...new Set([...first.ids('job done'), ...second.ids('job done')])]
      await second.until(() => done().length >= 200 && second.ids('job done').length === second.ids('job started').length)
        .catch(async cause => { throw new Error(`${await queue.left()} left, not done: ${ids.filter(id => !done().includes(id))}`, { cause }) })
      second.kill('SIGTERM')
      t.match(await second.exit, { code: 0, stderr: '' })
      t.equal(await queue.left(), 0)
      t.strictSame(done().sort(), ids.sort())
      const again = second.lines.filter(({ msg, job }) => msg === 'job started' && first.ids('job started').includes(job))
      t.ok(again.length <= 1, `${again.length} started again`)
      if (example === 'worker') t.ok(again.every(({ redelivered }) => redelivered))
    })

    for (const [ms, skip] of [[1500, false], [20_000, !LONG && 'only where HEALTHZ_LONG=1']] as const) {
      t.test(`the job in flight is finished, for ${ms / 1000} s, and the exit comes with its end`, { skip }, async t => {
        const queue = await queueOf(t)
        const [job] = await queue.send(2, ms)
        // There, a drain takes 5 s by default.
        const worker = start(t, queue, { KUBERNETES_SERVICE_HOST: '10.0.0.1' })
        await worker.until(() => worker.ids('job started').length > 0)
        const killed = performance.now()
        worker.kill('SIGTERM')
        const done = await worker.line('job done')
        const { code } = await worker.exit
        // By the clock of the worker's lines.
        const late = Date.now() - done.time
        t.equal(code, 0)
        t.ok(late < 4000, `${late} ms after the end of the job`)
        t.ok(performance.now() - killed > ms / 2, 'not before')
        t.strictSame(worker.ids('job done'), [job])
        t.equal(await queue.left(), 1, 'the other job is left to another worker')
        t.equal(await queue.wasGiven(), false, 'and was not touched')
        // pino writes them when it can.
        t.match(worker.lines.slice(-4).map(({ msg }) => msg).sort(), [
          'SIGTERM: draining for 0 s, ready fails from now on', /^drained for/, 'job done', `waiting for job ${job}`
        ])
      })
    }

    t.test('without a job it exits at once', async t => {
      const queue = await queueOf(t)
      const worker = start(t, queue, { KUBERNETES_SERVICE_HOST: '10.0.0.1' })
      const { url } = await worker.probes()
      await worker.until(async () => (await ask(url, 'ready')).status === 200)
      const killed = performance.now()
      worker.kill('SIGTERM')
      t.match(await worker.exit, { code: 0, stderr: '' })
      t.ok(performance.now() - killed < 4000)
    })

    t.test('a job that hangs fails liveness, is named at the exit, and stays in the queue', async t => {
      const queue = await queueOf(t)
      const [job] = await queue.send(1, 1e9)
      const worker = start(t, queue, { MAX_JOB_MS: '2500' })
      const { url } = await worker.probes()
      await worker.until(() => worker.ids('job started').length > 0)
      t.match(await ask(url, 'live'), { status: 200, title: 'OK' })
      await worker.until(async () => (await ask(url, 'live')).status === 503)
      t.match(await ask(url, 'live'), { title: /^(worker|loop): no beat for \d(\.\d)? s$/ })
      t.match(await ask(url, 'ready'), { status: 200 }, 'readiness passes')
      worker.kill('SIGTERM')
      const { code, lines } = await worker.exit
      t.equal(code, 1)
      t.match(lines.find(({ level }) => level === 50), {
        msg: `close timed out after 2.5 s, exiting (held by: job ${job})`, holds: [`job ${job}`]
      })
      // The broker learns of the exit a moment later.
      while (await queue.left() !== 1) await sleep(20)
    })

    t.test('a worker without jobs is alive for longer than a job may take', async t => {
      const queue = await queueOf(t)
      const worker = start(t, queue, { MAX_JOB_MS: '2500' })
      const { url } = await worker.probes()
      await sleep(4000)
      t.match(await ask(url, 'live'), { status: 200 })
      await queue.send(1, 1)
      await worker.line('job done')
    })

    t.test('probes while it starts, serves and drains', async t => {
      const queue = await queueOf(t)
      await queue.send(1, 2000)
      const worker = start(t, queue, { HELD: '1' })
      const { url } = await worker.probes()
      const all = async () => [await ask(url, 'live'), await ask(url, 'ready'), await ask(url, 'startup')].map(({ title }) => title)
      t.strictSame(await all(), ['OK', 'Starting', 'Starting'])
      worker.kill('SIGUSR2')
      await worker.until(async () => (await ask(url, 'ready')).status === 200)
      t.strictSame(await all(), ['OK', 'OK', 'OK'])
      await worker.line('job started')
      worker.kill('SIGTERM')
      await worker.line(/^waiting for job/)
      t.strictSame(await all(), ['OK', 'Shutting down', 'OK'])
      t.match(await worker.exit, { code: 0, stderr: '' })
    })

    t.test('it boots while the broker is down, and consumes again after an outage', async t => {
      const queue = await queueOf(t)
      const proxy = await proxyTo(PORTS[service])
      t.teardown(() => proxy.close())
      await proxy.refuse()
      const [name, url] = Object.entries(queue.env)[0]!
      const worker = start(t, queue, { [name]: url.replace(`:${PORTS[service]}`, `:${proxy.port}`), MAX_JOB_MS: '3000' })
      const probes = await worker.probes()
      await worker.until(async () => (await ask(probes.url, 'ready')).title.startsWith('queue: '))
      t.match(await ask(probes.url, 'live'), { status: 200 })
      await proxy.resume()
      const ids = await queue.send(20, 50)
      await worker.until(() => worker.ids('job done').length >= 5)
      await proxy.refuse()
      proxy.cut()
      await worker.until(async () => (await ask(probes.url, 'ready')).status === 503)
      t.match(await ask(probes.url, 'live'), { status: 200 }, 'a restart would not bring the broker back')
      await proxy.resume()
      const done = () => [...new Set(worker.ids('job done'))].sort()
      await worker.until(async () => done().length >= 20 && await queue.left() === 0)
      worker.kill('SIGTERM')
      t.match(await worker.exit, { code: 0, stderr: '' })
      t.strictSame(done(), ids.sort())
    })
  })
}

/** Starts an example of `dist/`. With `HELD`, it isn't ready before SIGUSR2. */
function startWorker (t: Test, example: string, env: Record<string, string>) {
  const worker = startService(t, `
    Object.assign(process.env, ${JSON.stringify({ PORT: '0', ...env })})
    const released = new Promise(resolve => process.env.HELD ? process.once('SIGUSR2', () => resolve()) : resolve())
    const { subscribe, unsubscribe } = require('node:diagnostics_channel')
    subscribe('fastify.initialization', function hold ({ fastify }) {
      unsubscribe('fastify.initialization', hold)
      fastify.addHook('onReady', () => released)
    })
    require('./dist/examples/${example}.js')`)
  let ended = false
  worker.exit.then(() => { ended = true })
  return {
    ...worker,
    async probes () {
      const { port } = await worker.line(/^Probes listening at/)
      return { url: `http://127.0.0.1:${port}/healthz` }
    },
    /** The jobs of lines with that message, in order. */
    ids: (msg: string) => worker.lines.filter(line => line.msg === msg).map(({ job }: LogLine) => String(job)),
    async until (condition: () => boolean | Promise<boolean>) {
      const deadline = Date.now() + 60_000
      while (!await condition()) {
        if (ended || Date.now() > deadline) throw new Error(`it never came true: ${JSON.stringify(worker.lines.slice(-20))}`)
        await sleep(20)
      }
    }
  }
}

async function ask (url: string, probe: string): Promise<{ status: number, title: string }> {
  const response = await fetch(`${url}/${probe}`)
  return await response.json() as { status: number, title: string }
}
