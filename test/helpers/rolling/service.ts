// A typical service, run in a separate process and stopped with SIGTERM. It writes only its log to stdout.
import { setTimeout as sleep } from 'node:timers/promises'
import Fastify, { LogController } from 'fastify'
import { Registry } from 'prom-client'
import type Healthz from '../../../lib/index.js'
import type Page from '../../../lib/page/index.js'
import type Prometheus from '../../../lib/telemetry/prometheus.js'
import type { ServiceSettings } from './fleet.js'

// Uses `dist/`, since transpiling `lib/` in each process would take most of the time.
const healthz: typeof Healthz = require('../../../dist/lib/index.js')
const page: typeof Page = require('../../../dist/lib/page/index.js')
const prometheus: typeof Prometheus = require('../../../dist/lib/telemetry/prometheus.js')
const { shutdown, drainByHand, ownPort, keepAliveTimeout, return503OnClosing = true } = JSON.parse(process.argv[2]!) as ServiceSettings

const app = Fastify({
  ...(keepAliveTimeout !== undefined && { keepAliveTimeout }),
  return503OnClosing,
  logger: true,
  logController: new LogController({ disableRequestLogging: true })
})
const PADDING = 'x'.repeat(4096)
let leaving = false

if (drainByHand === undefined) {
  app.register(healthz, { noLog: true, details: true, shutdown, ...(ownPort && { listen: { port: 0, host: '127.0.0.1', thread: true } }) })
  app.register(page)
  app.register(prometheus, { register: new Registry() })
} else {
  // A typical manual implementation, with a delay only.
  for (const name of ['startup', 'live', 'ready']) {
    app.get(`/healthz/${name}`, async (_request, reply) => reply.code(leaving && name === 'ready' ? 503 : 200).send())
  }
}
// Reads bodies of any type and counts their bytes.
app.addContentTypeParser('*', (_request, payload, done) => {
  let length = 0
  payload.on('data', chunk => { length += chunk.length }).on('end', () => done(null, length)).on('error', done)
})
app.addHook('onSend', async (_request, reply) => { reply.header('x-process', process.pid) })
app.get<{ Querystring: { ms: string } }>('/work', async ({ query }) => {
  const ms = Number(query.ms)
  if (ms > 0) await sleep(ms)
  return { padding: PADDING }
})
app.post('/upload', async ({ body }) => ({ length: body }))

if (drainByHand !== undefined) {
  process.once('SIGTERM', async () => {
    leaving = true
    app.log.info('SIGTERM: draining by hand')
    await sleep(drainByHand)
    app.log.info('drained by hand')
    await app.close()
    process.exit(0)
  })
}
app.listen({ port: 0, host: '127.0.0.1' })
