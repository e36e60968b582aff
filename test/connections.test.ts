import { Agent, createServer, get } from 'node:http'
import { connect, type ClientHttp2Session } from 'node:http2'
import { channel } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, connect as connectTcp } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import healthz from '../lib/index.js'
import { listen } from './helpers/raw.js'
import { tls } from './helpers/tls.js'

/** One request over an agent's connection: how the answer leaves the connection, and what it says. */
async function ask (agent: Agent, port: number, host = '127.0.0.1') {
  const request = get({ agent, host, port, path: '/' })
  const [response] = await once(request, 'response')
  let body = ''
  for await (const chunk of response) body += chunk
  return { connection: response.headers.connection, reused: request.reusedSocket, body }
}

async function serve (options: object = {}, host?: string) {
  const app = Fastify({ ...options })
  app.register(healthz)
  app.get('/', async () => 'served')
  if (host !== undefined) await app.listen({ port: 0, host })
  return { app, port: host === undefined ? await listen(app) : (app.server.address() as AddressInfo).port }
}

t.test('from the beginning of a drain each answer closes its connection, and none before', async t => {
  const { app, port } = await serve()
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.same(await ask(agent, port), { connection: 'keep-alive', reused: false, body: 'served' })
  t.same(await ask(agent, port), { connection: 'keep-alive', reused: true, body: 'served' })
  const drained = app.healthz.drain(60_000)
  t.same(await ask(agent, port), { connection: 'close', reused: true, body: 'served' })
  t.same(await ask(agent, port), { connection: 'close', reused: false, body: 'served' })
  await app.close()
  await drained
})

/** A service whose answer waits, before its head or in the middle of its body, until it is let go. */
async function serveSlowly (headFirst: boolean) {
  const app = Fastify()
  app.register(healthz)
  let arrived = () => {}
  const waiting = new Promise<void>(resolve => { arrived = resolve })
  let go = () => {}
  const gate = new Promise<void>(resolve => { go = resolve })
  app.get('/', async () => {
    if (headFirst) {
      return Readable.from((async function * () {
        yield 'sl'
        arrived()
        await gate
        yield 'ow'
      })())
    }
    arrived()
    await gate
    return 'slow'
  })
  return { app, port: await listen(app), waiting, go }
}

t.test('a request that is under way when the drain begins, or the close, is the last of its connection, too', async t => {
  for (const begin of [(app: FastifyInstance) => app.healthz.drain(60_000), (app: FastifyInstance) => app.close()]) {
    const { app, port, waiting, go } = await serveSlowly(false)
    const answer = ask(new Agent({ keepAlive: true }), port)
    await waiting
    const done = begin(app)
    await new Promise(resolve => setImmediate(resolve))
    go()
    t.same(await answer, { connection: 'close', reused: false, body: 'slow' })
    await app.close()
    await done
  }
})

t.test('an answer that had begun keeps its promise while the app drains, and ends its connection while it closes', async t => {
  const { app, port, waiting, go } = await serveSlowly(true)
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  const answer = ask(agent, port)
  await waiting
  app.healthz.drain(60_000)
  go()
  t.match(await answer, { connection: 'keep-alive', body: 'slow' })
  t.match(await ask(agent, port), { connection: 'close', reused: true })
  await app.close()

  const closing = await serveSlowly(true)
  const last = ask(new Agent({ keepAlive: true }), closing.port)
  await closing.waiting
  const closed = closing.app.close()
  await new Promise(resolve => setTimeout(resolve, 20))
  closing.go()
  t.match(await last, { connection: 'keep-alive', body: 'slow' })
  await closed
  t.pass('the connection does not hold the close')
})

t.test('the second server that Fastify makes for localhost closes its connections too', async t => {
  const { app } = await serve({}, 'localhost')
  t.teardown(() => app.close())
  const agent = new Agent({ keepAlive: true })
  app.healthz.drain(60_000)
  for (const { address, port } of app.addresses() as AddressInfo[]) {
    t.equal((await ask(agent, port, address)).connection, 'close', address)
  }
})

t.test('another server of the process keeps its connections, and so does a new app on the same port', async t => {
  const { app, port } = await serve()
  const other = createServer((_request, response) => { response.end('other') }).listen(0, '127.0.0.1')
  t.teardown(() => other.close())
  await once(other, 'listening')
  const agent = new Agent({ keepAlive: true })
  t.teardown(() => agent.destroy())
  app.healthz.drain(60_000)
  t.equal((await ask(agent, (other.address() as AddressInfo).port)).connection, 'keep-alive')
  await app.close()
  const next = Fastify()
  t.teardown(() => next.close())
  next.get('/', async () => 'next')
  await next.listen({ port, host: '127.0.0.1' })
  t.equal((await ask(agent, port)).connection, 'keep-alive')
})

t.test('a server made by a serverFactory, and one without a port, drain as well', async t => {
  const { app, port } = await serve({ serverFactory: (handler: any) => createServer(handler) })
  const agent = new Agent({ keepAlive: true })
  app.healthz.drain(60_000)
  t.equal((await ask(agent, port)).connection, 'close')
  await app.close()

  const idle = Fastify()
  idle.register(healthz)
  await idle.ready()
  await idle.healthz.drain(0)
  await idle.close()
  t.equal(idle.healthz.state, 'closed')
})

t.test('on a unix socket a drain ends the connections of its own server only', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'healthz-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const apps = await Promise.all(['a', 'b'].map(async name => {
    const app = Fastify()
    t.teardown(() => app.close())
    app.register(healthz)
    app.get('/', async () => 'served')
    await app.listen({ path: join(folder, name) })
    return app
  }))
  apps[0]!.healthz.drain(60_000)
  const connection = async (name: string) => {
    const [response] = await once(get({ agent: new Agent({ keepAlive: true }), socketPath: join(folder, name) }), 'response')
    response.resume()
    await once(response, 'end')
    return response.headers.connection
  }
  t.equal(await connection('a'), 'close')
  t.equal(await connection('b'), 'keep-alive')
})

t.test('many scopes of an app share what is known of its connections, and nothing is left when it has closed', async t => {
  const warned = (warning: Error) => t.fail(warning.message)
  process.on('warning', warned)
  t.teardown(() => process.removeListener('warning', warned))
  const app = Fastify()
  for (let i = 0; i < 20; i++) app.register(async scope => { scope.register(healthz) }, { prefix: `/${i}` })
  await app.ready()
  t.ok(app.server.listenerCount('connection') < 5)
  await new Promise(resolve => setImmediate(resolve))
  await app.close()

  const closed = Fastify()
  closed.register(healthz)
  await closed.ready()
  await closed.close()
  await closed.healthz.drain()
  t.notOk(channel('http.server.request.start').hasSubscribers)
})

async function http2 (app: FastifyInstance): Promise<{ session: ClientHttp2Session, away: Promise<unknown> }> {
  await app.listen({ port: 0, host: '127.0.0.1' })
  const session = connect(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`)
  const away = once(session, 'goaway')
  await once(session, 'connect')
  return { session, away }
}

async function fetch2 (session: ClientHttp2Session, path: string): Promise<string> {
  const stream = session.request({ ':path': path })
  let body = ''
  for await (const chunk of stream.setEncoding('utf8')) body += chunk
  return body
}

t.test('HTTP/2 sessions are told to go away at the end of the drain, and what is under way ends', async t => {
  const app = Fastify({ http2: true }) as unknown as FastifyInstance
  app.register(healthz)
  let open = () => {}
  const gate = new Promise<void>(resolve => { open = resolve })
  let arrived = () => {}
  const waiting = new Promise<void>(resolve => { arrived = resolve })
  app.get('/slow', async () => { arrived(); await gate; return 'slow' })
  const { session, away } = await http2(app)
  t.equal(await fetch2(session, '/healthz/ready'), '{"status":200,"title":"OK"}')
  const slow = fetch2(session, '/slow')
  await waiting
  const drained = app.healthz.drain(50)
  t.equal(await fetch2(session, '/healthz/ready'), '{"status":503,"title":"Shutting down"}', 'the session serves while it drains')
  await drained
  await away
  open()
  t.equal(await slow, 'slow')
  await app.close()
})

t.test('an idle HTTP/2 session does not hold a close', async t => {
  const app = Fastify({ http2: true }) as unknown as FastifyInstance
  app.register(healthz)
  const { session, away } = await http2(app)
  await fetch2(session, '/healthz/live')
  await app.close()
  await away
  t.ok(session.closed)
})

for (const https of [undefined, tls]) {
  t.test(`a connection on which no request arrives does not hold a close${https ? ', over TLS either' : ''}`, async t => {
    const { app, port } = await serve(https && { https })
    const open = async (sent = '') => {
      const socket = https ? connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false }) : connectTcp(port, '127.0.0.1')
      socket.write(sent)
      await once(socket, https ? 'secureConnect' : 'connect')
      return socket
    }
    const sockets = [await open(), await open('GET / HTTP/1.1\r\nHo'), await open('GET / HTTP/1.1\r\nHost: a\r\n\r\n')]
    // They are taken in turn: when the last one is answered, the server has them all.
    await once(sockets[2]!, 'data')
    const ends = sockets.map(socket => once(socket.resume(), 'close'))
    await app.close()
    t.equal((await Promise.all(ends)).length, 3)
  })
}

t.test('a request that takes its time while the server closes is answered, and a WebSocket is left alone', async t => {
  const { app, port, waiting, go } = await serveSlowly(false)
  app.server.on('upgrade', (_request, socket) => {
    socket.on('data', bytes => socket.write(bytes)).on('end', () => socket.end()).write('HTTP/1.1 101 Switching Protocols\r\n\r\n')
  })
  const socket = connectTcp(port, '127.0.0.1')
  socket.write('GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
  await once(socket, 'data')
  const answer = ask(new Agent(), port)
  await waiting
  const silent = connectTcp(port, '127.0.0.1').resume()
  await once(silent, 'connect')
  const closed = app.close()
  await once(silent, 'close')
  socket.write('still there')
  t.equal(String((await once(socket, 'data'))[0]), 'still there')
  socket.end()
  go()
  t.match(await answer, { body: 'slow' })
  await closed
})

t.test('while a drain in `preClose` lasts, a connection may stay silent', async t => {
  const app = Fastify({ return503OnClosing: false })
  await app.register(healthz) // so that its hook of that name comes first
  app.get('/', async () => 'served')
  app.addHook('preClose', () => app.healthz.drain(1200))
  const port = await listen(app)
  const socket = connectTcp(port, '127.0.0.1')
  await once(socket, 'connect')
  const closed = app.close()
  // Twice as long as a silent connection is left alone once the server doesn't listen any more.
  await sleep(1100)
  socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n')
  t.match(String((await once(socket, 'data'))[0]), /^HTTP\/1.1 200 OK\r\n/)
  await closed
})
