// A service with several processes. The primary forwards SIGTERM and SIGINT, waits for its workers and exits. It replaces
// a worker that exits, and serves the probes of all workers on a separate port. Run it with
//
//   npm run build && node dist/examples/cluster.js
//
// (PORT defaults to 8080, PROBES_PORT to 9090), and in another terminal probe all workers:
//
//   curl -i localhost:9090/healthz/live
//
// It responds with 200. Suspend a worker, which has the effect of a blocked event loop. Its `pid` is in its log lines:
//
//   kill -STOP 4711
//   curl -i localhost:9090/healthz/live
//
// It responds with 503 and `worker-2: no answer within 800 ms`, until `kill -CONT 4711`. A probe of port 8080 doesn't
// detect that, since any worker may respond to it.
//
// Stop it with `kill` and the `pid` of the primary, or with Ctrl-C.
import cluster, { type Worker } from 'node:cluster'
import { on } from 'node:events'
import Fastify from 'fastify'
import healthz, { type CheckContext, HealthError } from 'fastify-healthz'

if (cluster.isPrimary) primary()
else worker()

async function primary () {
  const app = Fastify({ logger: true })
  /** The workers, each with a promise for its exit code. */
  const workers = new Map<Worker, Promise<number | null>>()
  const listening = new Set<Worker>()
  const someListens = () => listening.size > 0

  app.register(healthz, {
    startup: { workers: someListens },
    ready: { workers: someListens },
    noLog: true,
    shutdown: {
      // The workers drain themselves. A signal that the primary forwards after a delay may be their second one.
      delay: 0,
      // Longer than the workers' `delay` plus `timeout`.
      timeout: 20_000,
      async close (signal = 'SIGTERM') {
        for (const worker of workers.keys()) worker.process.kill(signal)
        const codes = await Promise.all(workers.values())
        if (codes.some(code => code !== 0)) throw new Error('a worker failed')
      }
    }
  })

  function fork () {
    if (app.healthz.state !== 'serving') return
    const worker = cluster.fork()
    const remove: Array<() => void> = []
    worker.once('listening', () => {
      listening.add(worker)
      for (const probe of ['live', 'ready']) remove.push(app.healthz.add(probe, `worker-${worker.id}`, ask(worker, probe)))
    })
    workers.set(worker, new Promise(resolve => {
      worker.once('exit', (code, signal) => {
        listening.delete(worker)
        for (const removeCheck of remove) removeCheck()
        resolve(code)
        if (app.healthz.state !== 'serving') return
        app.log.error({ code, signal }, `worker ${worker.id} exited, replacing it`)
        workers.delete(worker)
        setTimeout(fork, 1000)
      })
    }))
  }

  await app.listen({ port: Number(process.env.PROBES_PORT ?? 9090), host: '0.0.0.0' })
  for (let i = 0; i < 2; i++) fork()
}

/** A check that runs a probe in a worker. */
function ask (worker: Worker, probe: string) {
  return async (context: CheckContext) => {
    context.awaiting = 'answer'
    // The callback ignores the error if the worker has exited.
    worker.send({ probe }, () => {})
    for await (const [result] of on(worker, 'message', { signal: context.signal })) {
      if (result.probe !== probe) continue
      if (result.status !== 200) throw new HealthError(result.title)
      return
    }
  }
}

async function worker () {
  const app = Fastify({ logger: true })

  app.register(healthz, {
    ready: { database: async () => {} },
    // Shorter than in the primary, which waits for the result.
    timeout: 500,
    noLog: true,
    shutdown: true
  })

  app.get('/', async () => `served by ${process.pid}\n`)

  process.on('message', async ({ probe }: { probe: string }) => {
    const { status, title } = await app.healthz.run(probe)
    process.send!({ probe, status, title })
  })

  await app.listen({ port: Number(process.env.PORT ?? 8080), host: '0.0.0.0' })
}
