import { Agent, createServer, get } from 'node:http'
import { connect, type ClientHttp2Session } from 'node:http2'
import { channel } from 'node:diagnostics_channel'
import dns from 'node:dns'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, connect as connectTcp, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as connectTls } from 'node:tls'
import proxy from '@fastify/http-proxy'
import { restartable } from '@fastify/restartable'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { Pool } from 'undici'
import { WebSocket, WebSocketServer } from 'ws'
import healthz from '../../lib/index.js'
import { listen } from '../helpers/raw.js'
import { tls } from '../helpers/tls.js'

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

/** What a connection receives, and whether the server has ended it. */
class Client {
  text = ''
  readonly ended: Promise<unknown>

  constructor (readonly socket: Socket) {
    socket.setEncoding('utf8').on('data', chunk => { this.text += chunk })
    this.ended = once(socket, 'close')
  }

  send (...paths: string[]) {
    this.socket.write(paths.map(path => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`).join(''))
  }

  /** The `Connection` header of each answer. */
  get connections () {
    return this.text.split(/(?=HTTP\/1\.1 )/).filter(Boolean).map(answer => /^connection: (.*)\r$/mi.exec(answer)?.[1])
  }
}

/** A service whose handlers are let go by name, and the names of those that were called. */
async function serveByName (options: object = {}) {
  const app = Fastify(options)
  app.register(healthz)
  const called: string[] = []
  const gates = new Map<string, () => void>()
  app.get<{ Params: { name: string } }>('/wait/:name', async ({ params: { name } }) => {
    called.push(name)
    await new Promise<void>(resolve => { gates.set(name, resolve) })
    return name
  })
  app.get('/sync', (_request, reply) => { called.push('sync'); reply.send('sync') })
  app.get('/stream', async () => {
    called.push('stream')
    return Readable.from((async function * () {
      yield 'str'
      await new Promise<void>(resolve => { gates.set('stream', resolve) })
      yield 'eam'
    })())
  })
  const port = await listen(app)
  const until = async (...names: string[]) => { while (!names.every(name => gates.has(name))) await sleep(5) }
  return { app, port, called, until, go: (name: string) => { gates.get(name)!() } }
}

for (const https of [undefined, tls]) {
  for (const begin of ['drain', 'close'] as const) {
    for (const order of ['abc', 'cba']) {
      t.test(`pipelined requests under way at the ${begin} are all answered, in the order ${order}${https ? ', over TLS' : ''}`, async t => {
        const { app, port, until, go } = await serveByName(https && { https })
        const client = new Client(https ? connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false }) : connectTcp(port, '127.0.0.1'))
        client.send('/wait/a', '/wait/b', '/wait/c')
        await until('a', 'b', 'c')
        const begun = begin === 'drain' ? app.healthz.drain(60_000) : app.close()
        await sleep(20)
        for (const name of order) { go(name); await sleep(5) }
        await client.ended
        t.strictSame(client.connections, ['keep-alive', 'keep-alive', 'close'])
        await app.close()
        await begun
      })
    }
  }
}

t.test('requests in one packet are all answered while the app drains, also those that are answered at once', async t => {
  const { app, port, called } = await serveByName()
  t.teardown(() => app.close())
  app.healthz.drain(60_000)
  const client = new Client(connectTcp(port, '127.0.0.1'))
  client.send('/sync', '/healthz/live', '/sync', '/nowhere', '/healthz/ready')
  await client.ended
  t.strictSame(client.connections, ['keep-alive', 'keep-alive', 'keep-alive', 'keep-alive', 'close'])
  t.strictSame(called, ['sync', 'sync'])
})

t.test('so are they where a listener of the server calls those that were there before, as Socket.IO does', async t => {
  const { app, port, called } = await serveByName()
  t.teardown(() => app.close())
  const before = app.server.listeners('request')
  app.server.removeAllListeners('request').on('request', (...args) => { for (const listener of before) listener.apply(app.server, args) })
  app.healthz.drain(60_000)
  const client = new Client(connectTcp(port, '127.0.0.1'))
  client.send('/sync', '/sync', '/sync')
  await client.ended
  t.strictSame(client.connections, ['keep-alive', 'keep-alive', 'close'])
  t.strictSame(called, ['sync', 'sync', 'sync'])
})

t.test('an answer that has begun may be followed by another one: both arrive, and the connection ends', async t => {
  for (const begin of ['drain', 'close'] as const) {
    const { app, port, until, go } = await serveByName()
    const client = new Client(connectTcp(port, '127.0.0.1'))
    client.send('/stream', '/wait/a')
    await until('stream', 'a')
    while (client.text === '') await sleep(5)
    const begun = begin === 'drain' ? app.healthz.drain(60_000) : app.close()
    await sleep(20)
    go('stream')
    await sleep(20)
    go('a')
    await client.ended
    t.strictSame(client.connections, ['keep-alive', 'close'], begin)
    t.match(client.text, /eam[^]*\r\n\r\na$/)
    await app.close()
    await begun
  }
})

t.test('a request behind an answer that says `Connection: close` does not reach the app', async t => {
  const { app, port, called, until, go } = await serveByName()
  t.teardown(() => app.close())
  const client = new Client(connectTcp(port, '127.0.0.1'))
  client.send('/wait/a', '/wait/b')
  await until('a', 'b')
  app.healthz.drain(60_000)
  client.send('/wait/c')
  await until('c')
  go('c')
  await sleep(20)
  client.send('/sync')
  await sleep(20)
  go('b')
  go('a')
  await client.ended
  t.strictSame(client.connections, ['keep-alive', 'keep-alive', 'close'])
  t.strictSame(called, ['a', 'b', 'c'])
})

t.test('a client that pipelines has each request handled once when a drain begins', async t => {
  const { app, port, called, until, go } = await serveByName()
  const pool = new Pool(`http://127.0.0.1:${port}`, { pipelining: 10, connections: 1 })
  t.teardown(() => pool.close())
  await (await pool.request({ path: '/sync', method: 'GET' })).body.text()
  const names = Array.from({ length: 10 }, (_, i) => `${i}`)
  const answers = names.map(async name => (await pool.request({ path: `/wait/${name}`, method: 'GET' })).body.text())
  await until(...names)
  app.healthz.drain(60_000)
  for (const name of names) go(name)
  t.strictSame(await Promise.all(answers), names)
  t.strictSame(called, ['sync', ...names])
  await app.close()
})

t.test('each answer of a drain closes its connection, whatever the app says in that header', async t => {
  const upstream = createServer((_request, response) => { response.end('upstream') }).listen(0, '127.0.0.1')
  t.teardown(() => upstream.close())
  await once(upstream, 'listening')
  const url = `http://127.0.0.1:${(upstream.address() as AddressInfo).port}`
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(healthz)
  app.register(proxy, { upstream: url, prefix: '/proxy' })
  app.get('/fetch', () => fetch(url))
  app.get('/reply', (_request, reply) => { reply.headers({ Connection: 'keep-alive', 'Keep-Alive': 'timeout=5', 'x-a': 'a' }).send('reply') })
  app.get('/set', (_request, reply) => {
    reply.hijack().raw.setHeader('Connection', 'keep-alive').setHeader('Keep-Alive', 'timeout=5').setHeader('x-a', 'a').end('set')
  })
  app.get('/list', (_request, reply) => {
    reply.hijack().raw.writeHead(200, 'Fine', ['x-a', 'a', 'Connection', 'keep-alive', 'x-a', 'b', 'keep-alive', 'timeout=5']).end('list')
  })
  app.get('/twice', (_request, reply) => {
    const { raw } = reply.hijack()
    raw.writeHead(200, { 'x-a': 'a' })
    t.throws(() => raw.writeHead(200), { code: 'ERR_HTTP_HEADERS_SENT' })
    raw.end('twice')
  })
  const port = await listen(app)
  app.healthz.drain(60_000)
  for (const path of ['/proxy', '/fetch', '/reply', '/set', '/list', '/twice']) {
    const client = new Client(connectTcp(port, '127.0.0.1'))
    client.send(path)
    await client.ended
    t.strictSame(client.connections, ['close'], path)
    t.notMatch(client.text, /keep-alive/i)
    t.match(client.text, /^HTTP\/1.1 200 (OK|Fine)/)
    if (!/proxy|fetch/.test(path)) t.match(client.text, /x-a: a\r\n/)
    if (path === '/list') t.match(client.text, /x-a: a\r\nx-a: b\r\n/)
  }
})

/** Lets `localhost` have two addresses on any machine. */
function twoAddresses (t: Test) {
  const { lookup } = dns
  t.teardown(() => { dns.lookup = lookup })
  dns.lookup = ((host: string, options: { all?: boolean }, done: Function) => {
    if (host !== 'localhost' || !options.all) return Reflect.apply(lookup, dns, [host, options, done])
    process.nextTick(done, null, ['127.0.0.1', '127.0.0.2'].map(address => ({ address, family: 4 })))
  }) as unknown as typeof lookup
}

t.test('the second server that Fastify makes for localhost closes its connections too', async t => {
  twoAddresses(t)
  const app = Fastify()
  app.register(async scope => { scope.register(healthz) }, { prefix: '/a' })
  app.register(async scope => {
    scope.register(healthz)
    scope.addHook('onListen', async () => { scope.healthz.drain(60_000) })
  }, { prefix: '/b' })
  app.get('/', async () => 'served')
  await app.listen({ port: 0, host: 'localhost' })
  t.equal(app.addresses().length, 2)
  const agent = new Agent({ keepAlive: true })
  for (const { address, port } of app.addresses() as AddressInfo[]) {
    t.equal((await ask(agent, port, address)).connection, 'close', address)
  }
  t.notOk(channel('http.server.request.start').hasSubscribers, 'both servers are known')
  await app.close()
})

t.test('a request under way on the second server is the last of its connection, too', async t => {
  twoAddresses(t)
  const app = Fastify()
  app.register(healthz)
  let go = () => {}
  const arrived = new Promise<void>(resolve => {
    app.get('/', async () => { resolve(); await new Promise<void>(resolve => { go = resolve }); return 'slow' })
  })
  await app.listen({ port: 0, host: 'localhost' })
  const answer = ask(new Agent({ keepAlive: true }), (app.server.address() as AddressInfo).port, '127.0.0.2')
  await arrived
  app.healthz.drain(60_000)
  go()
  t.match(await answer, { connection: 'close', body: 'slow' })
  await app.close()
})

t.test('an app on another address keeps its connections, though it has the same port', async t => {
  twoAddresses(t)
  const { app } = await serve({}, 'localhost')
  const { port } = app.server.address() as AddressInfo
  const other = Fastify()
  t.teardown(() => other.close())
  other.get('/', async () => 'other')
  await other.listen({ port, host: '127.0.0.3' })
  const agent = new Agent({ keepAlive: true })
  t.teardown(() => agent.destroy())
  app.healthz.drain(60_000)
  t.match(await ask(agent, port, '127.0.0.3'), { connection: 'keep-alive', body: 'other' })
  t.match(await ask(agent, port, '127.0.0.1'), { connection: 'close', body: 'served' })
  await app.close()
  t.match(await ask(agent, port, '127.0.0.3'), { connection: 'keep-alive', reused: true })
})

t.test('an app that takes over the server of one that drains has it for itself when that has closed', async t => {
  let starts = 0
  const app = await restartable(async (factory: any, options: any) => {
    const app = factory(options)
    const start = ++starts
    app.register(healthz)
    app.get('/', async () => `start ${start}`)
    return app
  }, {}) as any
  t.teardown(() => app.close())
  await app.listen({ port: 0, host: '127.0.0.1' })
  const { port } = app.server.address() as AddressInfo
  const agent = new Agent({ keepAlive: true })
  t.teardown(() => agent.destroy())
  const listeners = () => ['request', 'connection', 'session'].map(event => app.server.listenerCount(event))
  const before = listeners()
  for (const drain of [false, true]) {
    if (drain) app.healthz.drain(60_000)
    await app.restart()
    t.match(await ask(agent, port), { connection: 'keep-alive', body: `start ${starts}` })
    t.strictSame(listeners(), before)
  }
  app.healthz.drain(60_000)
  t.match(await ask(agent, port), { connection: 'close', body: 'start 3' })
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

const servers: Array<[string, object]> = [
  ['TLS', { https: tls }],
  ['h2c', { http2: true }],
  ['HTTP/2', { http2: true, https: tls }],
  ['HTTP/2 that allows HTTP/1', { http2: true, https: { ...tls, allowHTTP1: true } }]
]
for (const [name, options] of servers) {
  t.test(`a TCP connection that stays silent does not hold the close of a server of ${name}`, async t => {
    const { app, port } = await serve(options)
    const socket = connectTcp(port, '127.0.0.1')
    t.teardown(() => socket.destroy())
    await once(socket, 'connect')
    await sleep(20)
    const began = performance.now()
    await app.close()
    t.ok(performance.now() - began < 2000)
  })
}

t.test('a connection that has begun and gone silent does not hold the close of a server of HTTP/2', async t => {
  const h2c = await serve({ http2: true })
  const stuck = connectTcp(h2c.port, '127.0.0.1')
  t.teardown(() => stuck.destroy())
  // The preface and empty settings, by a client that never ends.
  stuck.write('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0')
  await sleep(50)
  await h2c.app.close()

  const both = await serve({ http2: true, https: { ...tls, allowHTTP1: true } })
  const silent = connectTls({ port: both.port, host: '127.0.0.1', rejectUnauthorized: false })
  t.teardown(() => silent.destroy())
  await once(silent, 'secureConnect')
  silent.pause()
  await both.app.close()
  t.equal(both.app.healthz.state, 'closed')
})

for (const [name, options] of [['HTTP/1.1', {}], ['HTTP/2 that allows HTTP/1', servers[3]![1]]] as const) {
  t.test(`a WebSocket is left alone by the close of a server of ${name}`, async t => {
    const { app, port } = await serve(options)
    new WebSocketServer({ server: app.server }).on('connection', socket => { socket.on('message', data => socket.send(data)) })
    const socket = new WebSocket(`${'https' in options ? 'wss' : 'ws'}://127.0.0.1:${port}`, { rejectUnauthorized: false })
    await once(socket, 'open')
    const closed = app.close()
    await sleep(1700)
    socket.send('still there')
    t.equal(String((await once(socket, 'message'))[0]), 'still there')
    socket.close()
    await closed
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
