import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { restartable } from '@fastify/restartable'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import healthz, { HealthError } from '../../lib/index.js'
import { logOptions, routerOptions } from '../../lib/http/probe-server.js'
import { capture, messages } from '../helpers/log.js'
import { parse, request as exchange } from '../helpers/raw.js'
import { router } from '../helpers/router.js'
import { startService, THREAD } from '../helpers/service.js'

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
    const sockets = []
    require('node:diagnostics_channel').subscribe('net.server.socket', ({ socket }) => { sockets.push(socket) })
    process.on('exit', () => say('exit', { open: sockets.filter(({ destroyed }) => !destroyed).length }))
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
  t.match(await child.line('exit'), { open: THREAD ? 0 : 2 }, 'they were not waited for; those of a thread are not seen')
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

t.test('it has the options of the app\'s router', async t => {
  const server = router({ ignoreTrailingSlash: true, caseSensitive: false, ignoreDuplicateSlashes: true })
  const { port } = await boot(t, { ready: () => false }, undefined, server)
  for (const path of ['/healthz/ready/', '/HEALTHZ/Ready', '//healthz//ready']) {
    t.equal(await titleAt(port, path), 'The ready check failed', path)
  }
  const plain = await boot(t)
  t.equal(await titleAt(plain.port, '/healthz/ready/'), 'The ready/ check endpoint is not setup')
})

t.test('it leaves out the constraint strategies of the app\'s router', async t => {
  const strategy = {
    name: 'tenant',
    storage: () => ({ get: () => null, set () {} }),
    deriveConstraint: () => 'none',
    validate () {}
  }
  const { port } = await boot(t, { ready: () => false }, undefined, { routerOptions: { constraints: { tenant: strategy } } } as object)
  t.equal(await titleAt(port, '/healthz/ready'), 'The ready check failed')
})

t.test('options of the router go where the version of Fastify takes them, and only those that were given', async t => {
  const config = (more: object) => ({ bodyLimit: 1, maxParamLength: 100, caseSensitive: true, ignoreTrailingSlash: false, ...more })
  t.strictSame(routerOptions(config({})), {})
  t.strictSame(routerOptions(config({ maxParamLength: 20, ignoreTrailingSlash: true })), { ignoreTrailingSlash: true, maxParamLength: 20 })
  t.strictSame(routerOptions(config({ routerOptions: { maxParamLength: 20 } })), { routerOptions: { maxParamLength: 20 } })
})

t.test('a request with a body is refused, and its connection closed while the body is still to come', async t => {
  const { port } = await boot(t, { details: true, ready: { a: () => {} } })
  for (const [method, path] of [['GET', '/healthz/live'], ['HEAD', '/healthz/ready/a'], ['POST', '/healthz/live'], ['PUT', '/elsewhere']]) {
    for (const header of ['Content-Length: 1000000', 'Transfer-Encoding: chunked']) {
      const socket = connect(port, '127.0.0.1')
      let answer = ''
      socket.setEncoding('utf8').on('data', chunk => { answer += chunk })
      socket.write(`${method} ${path} HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n${header}\r\n\r\n`)
      await once(socket, 'close')
      const { statusLine, headers, body } = parse(answer)
      t.match(statusLine, /^HTTP\/1.1 413/, `${method} ${path}, ${header}`)
      t.equal(headers.get('connection'), 'close')
      t.equal(headers.get('content-type'), 'application/problem+json')
      t.equal(body, method === 'HEAD' ? '' : '{"status":413,"title":"Content Too Large"}')
    }
  }
  const empty = await exchange(port, 'GET', '/healthz/live', ['Content-Length: 0'])
  t.equal(empty.body, '{"status":200,"title":"OK"}', 'a body without bytes is none')
})

t.test('requests that are pipelined behind a refused one are ignored', async t => {
  let runs = 0
  const { port } = await boot(t, { ready: { a: () => { runs++ } } })
  const get = 'GET /healthz/ready HTTP/1.1\r\nHost: a\r\n\r\n'
  const put = 'PUT /healthz/live HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx'
  for (let i = 0; i < 200; i++) {
    const socket = connect(port, '127.0.0.1')
    let answer = ''
    socket.on('error', () => {}).setEncoding('utf8').on('data', chunk => { answer += chunk })
    socket.write(put + put + get + put)
    await new Promise(resolve => setImmediate(resolve))
    socket.write(get + put)
    await closed(socket)
    t.match(answer, /^HTTP\/1.1 413(?![^]*HTTP\/1.1)/)
  }
  t.equal(runs, 0)
})

async function closed (socket: Socket): Promise<void> {
  if (!socket.closed) await once(socket, 'close')
}

/**
 * Opens connections, each of which sends something and then no more; resolves when all are there. A hundred at a time: of
 * more than the backlog some would only be there for the client, and never end.
 */
async function open (t: Test, port: number, count: number, bytes: string): Promise<Socket[]> {
  const sockets: Socket[] = []
  t.teardown(() => { for (const socket of sockets) socket.destroy() })
  while (sockets.length < count) {
    const some = Array.from({ length: Math.min(100, count - sockets.length) }, () => connect(port, '127.0.0.1'))
    sockets.push(...some)
    await Promise.all(some.map(async socket => {
      socket.on('error', () => {})
      await once(socket, 'connect')
      if (bytes !== '') socket.write(bytes)
    }))
  }
  return sockets
}

t.test('connections that do nothing leave the app serving, and are gone within seconds; one that waits for a check is not', {
  timeout: 60_000
}, async t => {
  const { app, port, appPort } = await boot(t, {
    live: { slow: { check: () => sleep(9000), timeout: 12_000 } },
    ready: { loud: () => { throw new HealthError('x'.repeat(20_000)) } }
  }, app => app.get('/', async () => 'served'))
  const get = 'GET /healthz/startup HTTP/1.1\r\nHost: a\r\n\r\n'
  const began = Date.now()
  const idle = [
    ...await open(t, port, 990, ''), // It never speaks.
    ...await open(t, port, 10, 'GET /healthz/startup HTTP/1.1\r\nHost: a'), // It never finishes.
    ...await open(t, port, 1000, get) // It stays after its answer.
  ]
  // It never reads: 13 MB, more than the kernel takes for it, for requests that come in one piece.
  const [unread] = await open(t, port, 1, 'GET /healthz/ready HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(1300))
  const slow = titleAt(port, '/healthz/live')
  const gone = Promise.all(idle.map(socket => closed(socket.resume())))
  t.equal((await exchange(appPort, 'GET', '/')).body, 'served')
  await gone
  const took = Date.now() - began
  t.ok(took > 2000 && took < 15_000, `${took} ms`)
  t.equal(await slow, 'OK')
  let answers = 0
  unread!.setEncoding('utf8').on('data', (chunk: unknown) => { answers += (chunk as string).split('HTTP/1.1 503').length - 1 })
  await closed(unread!)
  t.ok(answers < 1300, `of 1300 answers that were not read ${answers} came`)
  t.equal((await exchange(appPort, 'GET', '/')).body, 'served')
  t.equal(app.healthz.state, 'serving')
})

t.test('an app of @fastify/restartable takes the port over when it serves', async t => {
  let boots = 0
  let closing = false
  let fails = false
  const seen: unknown[] = []
  const app = await restartable(async (fastify, options) => {
    const app = fastify(options)
    const boot = ++boots
    app.register(healthz, { listen: { port: 0, host: '127.0.0.1' }, ready: () => { throw new HealthError(`app ${boot}`) } })
    app.register(async () => {
      if (boot > 1) seen.push(await titleAt(port, '/healthz/ready'))
      if (fails) throw new Error('no')
    })
    app.addHook('onClose', async () => { if (!closing) seen.push(await titleAt(port, '/healthz/ready')) })
    return app
  }, {} as any)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.healthz.address!
  await app.restart()
  t.strictSame(seen.splice(0), ['app 1', 'app 2'], 'the one before answers during the boot, and the new one while that closes')
  t.equal(app.healthz.address!.port, port)
  fails = true
  await t.rejects(app.restart(), { message: 'no' })
  t.strictSame(seen.splice(0, 1), ['app 2'])
  t.equal(await titleAt(port, '/healthz/ready'), 'app 2', 'one that fails to boot takes nothing')
  fails = false
  await app.restart()
  t.equal(await titleAt(port, '/healthz/ready'), 'app 4')
  closing = true
  await app.close()
  await free(t, port)
})

t.test('an app of @fastify/restartable that does not listen leaves the port to its successor', async t => {
  const app = await restartable(async (fastify, options) => {
    const app = fastify(options)
    app.register(healthz, { listen: { port: 0, host: '127.0.0.1' } })
    return app
  }, {} as any)
  await app.ready()
  const { port } = app.healthz.address!
  await app.restart()
  t.equal(await titleAt(port, '/healthz/ready'), 'Starting')
  await app.close()
  await free(t, port)
})

t.test('an app of @fastify/restartable whose successor did not come about gives the port back', async t => {
  for (const end of [
    async () => { throw new Error('no') },
    async (app: FastifyInstance) => { await app.ready(); await app.close(); throw new Error('no') }
  ]) {
    let boots = 0
    const app = await restartable(async (fastify, options) => {
      const app = fastify(options)
      await app.register(healthz, { listen: { port: 0, host: '127.0.0.1' } })
      if (++boots > 1) await end(app as unknown as FastifyInstance)
      return app
    }, {} as any)
    await app.listen({ port: 0, host: '127.0.0.1' })
    const { port } = app.healthz.address!
    await t.rejects(app.restart(), { message: 'no' })
    t.equal(await titleAt(port, '/healthz/ready'), 'OK')
    await app.close()
    await free(t, port)
  }
})
