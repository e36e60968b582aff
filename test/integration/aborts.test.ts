// Probers that hang up before they are answered, over real connections.
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { type AddressInfo, connect, type Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { Registry } from 'prom-client'
import healthz from '../../lib/index.js'
import prometheus from '../../lib/telemetry/prometheus.js'
import { deferred } from '../helpers/checks.js'
import { capture } from '../helpers/log.js'
import { exchange, request } from '../helpers/raw.js'
import { tls } from '../helpers/tls.js'

/** An app whose `ready` waits for a check that is released from outside, and what is reported of it. */
async function boot (t: Test, options: healthz.HealthzOptions = {}, server: object = {}) {
  const { lines, logger } = capture()
  const app = Fastify({ logger, ...server }) as FastifyInstance
  t.teardown(() => app.close())
  let gate = deferred()
  let started = deferred<void>()
  const database = { check: () => { started.resolve(); return gate.promise }, timeout: 60_000 }
  await app.register(healthz, { ready: { database }, probes: { deep: { database } }, ...options })
  const register = new Registry()
  await app.register(prometheus, { register })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.healthz.address ?? app.server.address() as AddressInfo

  const aborts: healthz.ProbeAbort[] = []
  let reported = deferred<void>()
  const listener = (message: unknown) => {
    const abort = message as healthz.ProbeAbort
    if (abort.app !== app) return
    aborts.push(abort)
    reported.resolve()
  }
  subscribe('fastify-healthz:abort', listener)
  t.teardown(() => unsubscribe('fastify-healthz:abort', listener))

  return {
    app,
    port,
    appPort: (app.server.address() as AddressInfo).port,
    aborts,
    /** How many aborts of `ready` the metrics have. */
    async counted () {
      const { values } = await register.getSingleMetric('healthz_probe_aborted_total')!.get()
      return values.find(({ labels }) => labels.probe === 'ready')!.value
    },
    /** What the plugin logged. */
    lines: () => lines.filter(({ msg }) => /aborted/.test(msg)),
    /** Resolves when the check has started. */
    started: () => started.promise,
    /** Lets the check pass. It hangs the next time. */
    release () {
      gate.resolve()
      gate = deferred()
      started = deferred()
    },
    /** Resolves when an abort is reported. */
    async reported () {
      await reported.promise
      reported = deferred()
    }
  }
}

const get = (path = '/healthz/ready', method = 'GET') => `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`

/** Sends a request over a connection of its own. */
function send (port: number, text = get()): Socket {
  return connect(port, '127.0.0.1').on('error', () => {}).setNoDelay().unref().once('connect', function (this: Socket) { this.write(text) })
}

/** A request whose client hangs up once the check has started. */
async function abort ({ port, started, reported, release }: Awaited<ReturnType<typeof boot>>, text?: string) {
  const socket = send(port, text)
  await started()
  socket.destroy()
  await reported()
  release()
}

function sendTls (port: number): Socket {
  const socket = connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false }).on('error', () => {})
  socket.once('secureConnect', () => { socket.write(get()) })
  return socket
}

const hangUps: Array<[how: string, server: object, options: healthz.HealthzOptions, open: (t: Test, port: number) => () => void]> = [
  ['by closing', {}, {}, (_t, port) => { const socket = send(port); return () => socket.destroy() }],
  ['by half closing', {}, {}, (_t, port) => { const socket = send(port); return () => socket.end() }],
  ['by a reset', {}, {}, (_t, port) => { const socket = send(port); return () => socket.resetAndDestroy() }],
  ['a HEAD request', {}, {}, (_t, port) => { const socket = send(port, get(undefined, 'HEAD')); return () => socket.destroy() }],
  ['with a query', {}, {}, (_t, port) => { const socket = send(port, get('/healthz/ready?t=1')); return () => socket.destroy() }],
  ['over TLS', { https: tls }, {}, (_t, port) => { const socket = sendTls(port); return () => socket.destroy() }],
  ['under noLog', {}, { noLog: true }, (_t, port) => { const socket = send(port); return () => socket.destroy() }],
  ['on the separate port', {}, { listen: { port: 0, host: '127.0.0.1' }, noLog: true }, (_t, port) => { const socket = send(port); return () => socket.destroy() }],
  ['by closing a stream of HTTP/2', { http2: true }, {}, (t, port) => openHttp2(t, `http://127.0.0.1:${port}`).stream],
  ['by closing the session of HTTP/2', { http2: true }, {}, (t, port) => openHttp2(t, `http://127.0.0.1:${port}`).session],
  ['by closing a stream of HTTP/2 over TLS', { http2: true, https: tls }, {}, (t, port) => openHttp2(t, `https://127.0.0.1:${port}`).stream]
]

function openHttp2 (t: Test, url: string) {
  const session = connectHttp2(url, { rejectUnauthorized: false }).on('error', () => {})
  t.teardown(() => session.destroy())
  const stream = session.request({ ':path': '/healthz/ready' }).on('error', () => {})
  return { stream: () => { stream.close(8) }, session: () => { session.destroy() } }
}

for (const [how, server, options, open] of hangUps) {
  t.test(`a prober that hangs up is logged: ${how}`, async t => {
    const { port, aborts, lines, started, reported, release } = await boot(t, options, server)
    const hangUp = open(t, port)
    await started()
    hangUp()
    await reported()
    t.match(aborts, [{ probe: 'ready', checks: ['database'] }])
    const waitedMs = Math.round(aborts[0]!.waitedMs)
    t.match(lines(), [{
      level: 40,
      probe: 'ready',
      waitedMs,
      checks: ['database'],
      msg: `ready probe aborted by the client after ${waitedMs} ms, waiting for database`
    }])
    release()
  })
}

t.test('the second abort of an outage is published and counted but not logged, and an answer ends it', async t => {
  const service = await boot(t)
  const { port, aborts, counted, lines, started, release } = service
  t.equal(await counted(), 0)
  await abort(service)
  await abort(service)
  t.equal(aborts.length, 2)
  t.equal(await counted(), 2)
  t.equal(lines().length, 1)
  const answer = request(port, 'GET', '/healthz/ready')
  await started()
  release()
  t.match((await answer).statusLine, /200/)
  await abort(service)
  t.equal(aborts.length, 3)
  t.equal(await counted(), 3)
  t.equal(lines().length, 2)
})

t.test('an outage is that of a probe, whichever port it is called on', async t => {
  const service = await boot(t, { listen: { port: 0, host: '127.0.0.1', alongside: true } })
  await abort(service)
  await abort({ ...service, port: service.appPort })
  t.equal(service.aborts.length, 2)
  t.equal(service.lines().length, 1)
})

/** A request whose client hangs up, `prepare` being called while it waits. Resolves when the server has seen it. */
async function hangUp ({ app, port, started, release }: Awaited<ReturnType<typeof boot>>, path: string, prepare = () => {}) {
  const connected = once(app.server, 'connection') as Promise<[Socket]>
  const client = send(port, get(path))
  const [socket] = await connected
  const closed = once(socket, 'close')
  await started()
  prepare()
  client.destroy()
  await closed
  // Node's own listener is called after this one.
  await setImmediate()
  release()
}

t.test('an operator who requests details and hangs up is not reported', async t => {
  const service = await boot(t, { details: true })
  for (const path of ['/healthz/ready?verbose', '/healthz/ready?exclude=x', '/healthz/ready/database']) {
    await hangUp(service, path)
    t.strictSame(service.aborts, [], path)
  }
  await hangUp(service, '/healthz/ready')
  t.equal(service.aborts.length, 1)
  t.equal(service.lines().length, 1)
})

t.test('once the app drains or closes nothing is reported', async t => {
  const service = await boot(t)
  const { app, aborts, lines } = service
  await hangUp(service, '/healthz/ready', () => { app.healthz.drain(60_000) })
  t.equal(app.healthz.state, 'draining')
  await hangUp(service, '/healthz/deep')
  let closed!: Promise<unknown>
  await hangUp(service, '/healthz/deep', () => { closed = app.close() })
  await closed
  t.strictSame(aborts, [])
  t.strictSame(lines(), [])

  const other = await boot(t)
  await hangUp(other, '/healthz/ready', () => { closed = other.app.close() })
  await closed
  t.strictSame(other.aborts, [], 'without a drain')
})

t.test('an answer in time is none, on a connection that is kept alive or pipelined, and leaves no listener', async t => {
  const { app, port, aborts, lines } = await boot(t, { ready: { database: async () => {} } })
  const warnings: Error[] = []
  const warned = (warning: Error) => { warnings.push(warning) }
  process.on('warning', warned)
  t.teardown(() => process.off('warning', warned))
  const responses = new Set<ServerResponse>()
  app.server.on('request', (_request, response) => { responses.add(response) })
  const connected = once(app.server, 'connection') as Promise<[Socket]>
  const socket = connect(port, '127.0.0.1').setEncoding('utf8')
  const [connection] = await connected
  const listeners = new Set<number>()
  let text = ''
  socket.on('data', chunk => { text += chunk })
  for (let i = 1; i <= 50; i++) {
    socket.write(get(i === 1 ? '/healthz/live' : '/healthz/ready'))
    while (text.split('"OK"').length <= i) await once(socket, 'data')
    listeners.add(connection.listenerCount('close'))
  }
  t.equal(listeners.size, 1)
  const closed = once(socket, 'close')
  socket.end()
  await closed
  const last = get().replace('\r\n\r\n', '\r\nConnection: close\r\n\r\n')
  t.equal((await exchange(port, get().repeat(20) + last)).split('"OK"').length, 22)
  t.equal(responses.size, 71)
  t.equal(new Set([...responses].map(response => response.listenerCount('close'))).size, 1, 'as where nothing is waited for')
  t.strictSame(aborts, [])
  t.strictSame(lines(), [])
  t.strictSame(warnings, [])
})

t.test('pipelined requests whose client hangs up are one outage', async t => {
  const service = await boot(t)
  await abort(service, get().repeat(3))
  // Node closes the responses that wait for the first one as well, but not before version 26.
  t.ok([1, 3].includes(service.aborts.length))
  t.equal(service.lines().length, 1)
})
