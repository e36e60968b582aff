import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import healthz from '../lib/index.js'
import { logOptions } from '../lib/listener.js'
import { capture, messages } from './helpers/log.js'
import { request as exchange } from './helpers/raw.js'
import { startService } from './helpers/service.js'

const titleAt = async (port: number, path: string) => JSON.parse((await exchange(port, 'GET', path)).body).title

async function boot (t: Test, options: healthz.HealthzOptions = {}, prepare = (_app: FastifyInstance) => {}, server: object = {}) {
  const app = Fastify(server)
  t.teardown(() => app.close())
  app.register(healthz, { listen: { port: 0 }, ...options })
  prepare(app)
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, port: app.healthz.address!.port, appPort: (app.server.address() as AddressInfo).port }
}

t.test('the probes have a port of their own, on all addresses, and the app\'s port has none', async t => {
  const { app, port, appPort } = await boot(t, { ready: () => false })
  t.match(app.healthz.address, { address: /^(::|0\.0\.0\.0)$/, port: Number })
  t.equal(await titleAt(port, '/healthz/live'), 'OK')
  t.equal(await titleAt(port, '/healthz/ready'), 'The ready check failed')
  t.equal(await titleAt(port, '/healthz/nowhere'), 'The nowhere check endpoint is not setup')
  t.match((await exchange(port, 'POST', '/healthz/live')).statusLine, /405/)
  t.match((await exchange(appPort, 'GET', '/healthz/live')).body, /Route GET/)
})

t.test('with alongside the probes stay on the app\'s port as well, and share their runs', async t => {
  const { port, appPort } = await boot(t, { listen: { port: 0, alongside: true } })
  t.equal(await titleAt(port, '/healthz/live'), 'OK')
  t.equal(await titleAt(appPort, '/healthz/live'), 'OK')
})

t.test('it listens on the address that is asked for, IPv4 or IPv6', async t => {
  for (const [host, family] of [['127.0.0.1', 'IPv4'], ['::1', 'IPv6']]) {
    const { app } = await boot(t, { listen: { port: 0, host } })
    t.match(app.healthz.address, { address: host, family })
  }
})

t.test('without the option there is no address', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(healthz)
  await app.ready()
  t.equal(app.healthz.address, null)
})

t.test('hooks of the app do not reach it, nor does a prefix or a constraint; the options hold', async t => {
  const { lines, logger } = capture()
  const app = Fastify({ logger, requestIdLogLabel: 'id' } as any)
  // Fastify 6 keeps it in the LogController, where it can't be read.
  const label = app.initialConfig.requestIdLogLabel ?? 'reqId'
  t.teardown(() => app.close())
  app.addHook('onRequest', async (_request, reply) => reply.code(401).send('who are you?'))
  app.register(async scope => {
    scope.register(healthz, {
      listen: { port: 0 },
      ready: { a: () => false },
      paths: { ready: '/readyz' },
      details: true,
      noLog: true,
      routeOptions: { constraints: { host: 'internal.example' } }
    })
    scope.register(async scope => { scope.healthz.add('live', 'a', () => {}); app.decorate('probes', scope.healthz as any) })
  }, { prefix: '/api' })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = (app as any).probes.address
  lines.length = 0
  t.equal(await titleAt(port, '/healthz/live'), 'OK')
  t.strictSame(lines, [])
  t.match(JSON.parse((await exchange(port, 'GET', '/readyz?verbose')).body), { title: 'a: failed', checks: { a: { status: 'fail' } } })
  t.match(lines.filter(({ msg }) => msg === 'request completed'), [{ [label]: /^healthz-/, probe: 'ready', title: 'a: failed', res: { statusCode: 503 } }])
})

t.test('during a slow boot startup and ready say Starting and live passes, and they serve when the app listens', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  let liveRuns = 0
  app.register(healthz, { listen: { port: 0 }, live: () => { liveRuns++; return false } })
  const titles = async () => {
    const { port } = app.healthz.address!
    return Promise.all(['live', 'ready', 'startup'].map(name => titleAt(port, `/healthz/${name}`)))
  }
  app.register(async () => { t.strictSame(await titles(), ['OK', 'Starting', 'Starting']) })
  await app.ready()
  t.strictSame(await titles(), ['OK', 'Starting', 'Starting'], 'ready is not yet listening')
  t.equal(app.healthz.state, 'starting')
  t.equal(liveRuns, 0)
  await app.listen({ port: 0, host: '127.0.0.1' })
  t.equal(app.healthz.state, 'serving')
  t.strictSame(await titles(), ['The live check failed', 'OK', 'OK'])
})

t.test('while the app closes live passes without its checks and ready says Shutting down, until the last hook has run', async t => {
  const app = Fastify()
  const seen: unknown[] = []
  let closing = false
  let port = 0
  const look = async (where: string) => { seen.push([where, await titleAt(port, '/healthz/live'), await titleAt(port, '/healthz/ready')]) }
  app.addHook('onClose', async () => { await look('the last') })
  await app.register(healthz, { listen: { port: 0 }, live: () => { if (closing) t.fail('ran') } })
  app.addHook('preClose', async () => { closing = true; await look('preClose') })
  app.addHook('onClose', async () => { await look('the first') })
  await app.listen({ port: 0, host: '127.0.0.1' })
  port = app.healthz.address!.port
  await app.close()
  t.strictSame(seen, [['preClose', 'OK', 'Shutting down'], ['the first', 'OK', 'Shutting down'], ['the last', 'OK', 'Shutting down']])
  const again = createServer().listen(port)
  t.teardown(() => again.close())
  await once(again, 'listening')
  t.pass('the port is free as soon as the app has closed')
})

t.test('a port that is taken refuses the boot, and so does an address that is not ours', async t => {
  const other = createServer().listen(0)
  t.teardown(() => other.close())
  await once(other, 'listening')
  const { port } = other.address() as AddressInfo
  for (const [listen, code] of [[{ port }, 'EADDRINUSE'], [{ port: 0, host: '192.0.2.123' }, 'EADDRNOTAVAIL']] as const) {
    const app = Fastify()
    app.register(healthz, { listen })
    await t.rejects(async () => { await app.ready() }, {
      code: 'HEALTHZ_ERR_LISTEN', message: new RegExp(`^Could not listen on port ${listen.port} for the probes: listen ${code}`), cause: { code }
    })
    await app.close()
  }
})

async function free (t: Test, port: number): Promise<void> {
  const server = createServer().listen(port)
  await once(server, 'listening')
  server.close()
  t.pass('the port is free')
}

t.test('a boot that fails takes the port down with it', async t => {
  const own = Fastify()
  own.register(healthz, { listen: { port: 0 }, ready: './missing.mjs' })
  await t.rejects(async () => { await own.ready() }, { code: 'HEALTHZ_ERR_CHECK_LOAD' })
  await free(t, own.healthz.address!.port)

  const other = Fastify()
  other.register(healthz, { listen: { port: 0 } })
  other.register(async () => { throw new Error('in another plugin') })
  await t.rejects(async () => { await other.ready() }, { message: 'in another plugin' })
  await other.close()
  await free(t, other.healthz.address!.port)
})

t.test('it never keeps a process alive by itself', async t => {
  const child = startService(t, `
    const app = Fastify()
    app.register(healthz, { listen: { port: 0 } })
    await app.ready()
    say('ready')`)
  t.match(await child.exit, { code: 0 })
  const failed = startService(t, `
    const app = Fastify()
    app.register(healthz, { listen: { port: 0 } })
    app.register(async () => { throw new Error('no') })
    await app.ready().catch(() => say('failed'))`)
  t.match(await failed.exit, { code: 0 })
})

t.test('nor do the connections to it', async t => {
  const child = startService(t, `
    const busy = setInterval(() => {}, 1000)
    require('node:diagnostics_channel').subscribe('http.server.response.finish', () => { clearInterval(busy) })
    const app = Fastify()
    app.register(healthz, { listen: { port: 0 } })
    await app.ready()
    say('ready', { port: app.healthz.address.port })`)
  const { port } = await child.line('ready')
  const sockets = [connect(port), connect(port)]
  t.teardown(() => { for (const socket of sockets) socket.destroy() })
  for (const socket of sockets) socket.on('error', () => {})
  await once(sockets[0]!, 'connect')
  sockets[1]!.write('GET /healthz/live HTTP/1.1\r\nHost: a\r\n\r\n')
  t.match(await child.exit, { code: 0 })
})

t.test('the log says where it listens', async t => {
  const { lines, logger } = capture()
  const { port } = await boot(t, { listen: { port: 0, host: '127.0.0.1' } }, undefined, { logger })
  t.equal(messages(lines)[0], `Probes listening at http://127.0.0.1:${port}`)
})

t.test('the options of the request log go to Fastify itself where it has no LogController', async t => {
  const config = { requestIdLogLabel: 'id', disableRequestLogging: true }
  t.strictSame(logOptions(config), config)
})
