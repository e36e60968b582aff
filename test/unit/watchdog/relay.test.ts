// The thread's side, run in this thread, with the test as the main thread.
import { once } from 'node:events'
import { connect, createServer, type AddressInfo, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { MessageChannel } from 'node:worker_threads'
import t, { type Test } from 'tap'
import type { ThreadData, ToMain, ToThread } from '../../../lib/watchdog/messages.js'
import { Pulse, sharedNow } from '../../../lib/watchdog/pulse.js'
import type { stackOfMainThread } from '../../../lib/watchdog/stack.js'
import { parse } from '../../helpers/raw.js'

type Taker = typeof stackOfMainThread

/** A relay with the stack that it is to take, and the lines that it writes. */
async function start (t: Test, settings: Partial<ThreadData> = {}, takeStack: Taker = spin, starting = false) {
  const lines: Array<Record<string, unknown>> = []
  const { Relay } = t.mockRequire<typeof import('../../../lib/watchdog/relay.js')>('../../../lib/watchdog/relay.js', {
    'node:fs': { writeSync (fd: number, line: string) { lines.push({ fd, ...JSON.parse(line) }) } },
    '../../../lib/watchdog/stack.js': { stackOfMainThread: takeStack, PATIENCE: 200 }
  })
  const { port1, port2 } = new MessageChannel()
  const pulse = new Pulse()
  if (!starting) pulse.started()
  const beatAt = (at: number) => { new BigInt64Array(pulse.memory, 0, 1)[0] = BigInt(at) }
  pulse.beat(false)
  let beating: NodeJS.Timeout | undefined = setInterval(() => pulse.beat(false), 20)
  const messages: ToMain[] = []
  const arrived = new Set<() => void>()
  const ids: number[] = []
  port1.on('message', (message: ToMain) => {
    messages.push(message)
    if (message.type === 'open') ids.push(message.id)
    for (const look of arrived) look()
  })
  /** The first message of a type that hasn't been looked at. */
  const next = async <T extends ToMain['type']>(type: T): Promise<ToMain & { type: T }> => new Promise(resolve => {
    const look = () => {
      const index = messages.findIndex(message => message.type === type)
      if (index < 0) return
      arrived.delete(look)
      resolve(messages.splice(index, 1)[0] as ToMain & { type: T })
    }
    arrived.add(look)
    look()
  })
  const send = (message: ToThread) => port1.postMessage(message)
  const closed = once(port1, 'close')
  new Relay(port2, {
    port: 0, host: '127.0.0.1', pulse: pulse.memory, timeout: 300, maxBlocked: 10_000, stack: true, alive: ['/live'], ...settings
  }).listen()
  t.teardown(async () => {
    clearInterval(beating)
    send({ type: 'close' })
    // As the main thread does when a client has ended a connection.
    for (const id of ids) send({ type: 'destroy', id })
    await closed
  })
  return {
    pulse,
    lines,
    messages,
    next,
    send,
    closed,
    /** The main thread has been blocked for that long. */
    block (ms: number) {
      clearInterval(beating)
      beatAt(sharedNow() - ms)
    },
    /** Its event loop turns again. */
    turn () {
      pulse.beat(false)
      beating = setInterval(() => pulse.beat(false), 20)
    },
    /** Waits for a line. */
    async line () {
      while (lines.length === 0) await sleep(10)
      return lines.shift()!
    }
  }
}

async function startListening (t: Test, ...args: [settings?: Partial<ThreadData>, takeStack?: Taker, starting?: boolean]) {
  const relay = await start(t, ...args)
  const { address } = await relay.next('listening')
  return {
    ...relay,
    address,
    async connect (text = '') {
      const socket = connect(address.port, '127.0.0.1')
      t.teardown(() => socket.destroy())
      if (text !== '') socket.write(text)
      const { id, addresses } = await relay.next('open')
      return { socket, id, addresses }
    }
  }
}

/** The stack that is had at once. */
function spin (done: (stack: string) => void) {
  done('    at spin (a.js:1:2)')
  return () => {}
}

const request = (path: string, method = 'GET') => `${method} ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`

/** Reads to the end. */
async function read (socket: Socket): Promise<string> {
  let text = ''
  for await (const chunk of socket) text += chunk
  return text
}

t.test('it relays a connection to the main thread, and back', async t => {
  const { address, connect, next, send } = await startListening(t)
  const { socket, id, addresses } = await connect('hello')
  t.strictSame(addresses, {
    remoteAddress: '127.0.0.1', remotePort: socket.localPort, remoteFamily: 'IPv4', localAddress: '127.0.0.1', localPort: address.port
  })
  t.strictSame(Buffer.from((await next('data')).bytes).toString(), 'hello')
  send({ type: 'data', id, bytes: Buffer.from('answer') })
  socket.end()
  t.equal((await next('end')).id, id)
  send({ type: 'end', id })
  t.equal(await read(socket), 'answer')
  t.equal((await next('close')).id, id)
  send({ type: 'data', id, bytes: Buffer.from('to nobody') })
  send({ type: 'destroy', id })
})

t.test('the main thread may end a connection, and a client may reset it', async t => {
  const { connect, messages, next, send } = await startListening(t)
  const { socket, id } = await connect('x')
  send({ type: 'data', id, bytes: Buffer.from('the whole answer') })
  send({ type: 'destroy', id })
  t.equal(await read(socket), 'the whole answer')
  const other = await connect('y')
  t.strictSame(messages.filter(({ type }) => type === 'close'), [], 'the main thread knows of its own')
  other.socket.resetAndDestroy()
  t.equal((await next('close')).id, other.id)
})

t.test('it reports what has been written in large portions, and reads no further than the main thread', async t => {
  const { connect, messages, next, send } = await startListening(t)
  const { socket, id } = await connect('x')
  send({ type: 'data', id, bytes: Buffer.alloc(100) })
  send({ type: 'data', id, bytes: Buffer.alloc(20_000) })
  t.equal((await next('written')).count, 20_100)
  const received = () => messages.reduce((sum, message) => sum + (message.type === 'data' ? message.bytes.length : 0), 0)
  socket.write(Buffer.alloc(2 ** 20))
  while (received() < 65_536) await sleep(10)
  await sleep(100)
  const paused = received()
  t.ok(paused < 2 ** 19, String(paused))
  send({ type: 'read', id, count: 1 })
  while (received() < 2 ** 20) {
    send({ type: 'read', id, count: 65_536 })
    await sleep(5)
  }
})

t.test('a client that reads nothing of an answer holds no connection that the main thread has closed', async t => {
  const { closed, connect, send } = await startListening(t)
  const { socket, id } = await connect('x')
  socket.pause()
  const bytes = Buffer.alloc(16 * 2 ** 20)
  send({ type: 'data', id, bytes })
  send({ type: 'destroy', id })
  send({ type: 'close' })
  await closed
  let read = 0
  socket.on('data', chunk => { read += chunk.length }).on('error', () => {}).resume()
  await once(socket, 'close')
  t.ok(read < bytes.length, String(read))
})

t.test('a port that is taken is reported', async t => {
  const other = createServer().listen(0, '127.0.0.1')
  t.teardown(() => other.close())
  await once(other, 'listening')
  const { next } = await start(t, { port: (other.address() as AddressInfo).port })
  t.match((await next('failed')).error, { code: 'EADDRINUSE', port: Number })
})

t.test('closed, it accepts no more connections and ends with the last one', async t => {
  const { address, closed, connect: open, send } = await startListening(t)
  const { socket, id } = await open('x')
  send({ type: 'close' })
  send({ type: 'data', id, bytes: Buffer.from('still answered') })
  send({ type: 'destroy', id })
  t.equal(await read(socket), 'still answered')
  await closed
  const [error] = await once(connect(address.port, '127.0.0.1'), 'error')
  t.equal(error.code, 'ECONNREFUSED')
})

t.test('while the main thread is blocked, what it has not answered in time is answered here', async t => {
  const { block, connect, messages, next, turn } = await startListening(t)
  const answers = async (...requests: string[]) => {
    const clients = []
    for (const request of requests) clients.push(await connect(request))
    return await Promise.all(clients.map(async ({ socket }) => {
      const { statusLine, headers, body } = parse(await read(socket))
      t.equal(headers.get('content-type'), 'application/problem+json')
      t.equal(headers.get('connection'), 'close')
      return [statusLine, body.replace(/\d\.\d s/, 'N s')]
    }))
  }
  const unavailable = ['HTTP/1.1 503 Service Unavailable', '{"status":503,"title":"event loop blocked for N s"}']
  block(3000)
  const told = await answers(
    request('/live'), request('/live?verbose'), request('/live', 'HEAD'), request('/ready'), request('/live', 'POST')
  )
  t.strictSame(told, [
    ['HTTP/1.1 200 OK', '{"status":200,"title":"OK"}'], ['HTTP/1.1 200 OK', '{"status":200,"title":"OK"}'], ['HTTP/1.1 200 OK', ''],
    unavailable, unavailable
  ])
  for (let i = 0; i < 5; i++) await next('answered')
  t.strictSame(messages.filter(({ type }) => type === 'close'), [], 'they are no longer of the main thread')

  turn()
  const { socket } = await connect(request('/ready'))
  await next('blocked')
  await sleep(800)
  t.strictSame(messages.filter(({ type }) => type === 'answered'), [], 'a slow check is the business of the main thread')
  socket.destroy()
})

t.test('from maxBlocked on no probe passes', async t => {
  const { block, connect } = await startListening(t, { maxBlocked: 2000 })
  block(12_000)
  const { socket } = await connect(request('/live'))
  t.match(parse(await read(socket)), { statusLine: 'HTTP/1.1 503 Service Unavailable', body: /"event loop blocked for 1\d s"/ })
})

t.test('while the app boots live passes however long that blocks', async t => {
  const { block, connect } = await startListening(t, { maxBlocked: 2000 }, spin, true)
  block(5000)
  const live = await connect(request('/live'))
  const ready = await connect(request('/ready'))
  t.match(parse(await read(live.socket)).body, '"OK"')
  t.match(parse(await read(ready.socket)).body, '"Starting"')
})

t.test('a connection that has been taken over may go on in parts, end and be reset', async t => {
  const { block, connect, next } = await startListening(t)
  block(3000)
  const { socket } = await connect('GET /re')
  await next('answered')
  socket.end('ady HTTP/1.1\r\nHost: localhost\r\n\r\n')
  t.match(parse(await read(socket)).body, 'event loop blocked')
  const large = await connect('GET /re')
  await next('answered')
  large.socket.on('error', () => {}).write('ady HTTP/1.1\r\nHost: localhost\r\nContent-Length: 4000000\r\n\r\n')
  large.socket.write(Buffer.alloc(4_000_000))
  await once(large.socket.resume(), 'close')
  const other = await connect('GET /re')
  await next('answered')
  other.socket.resetAndDestroy()
  const idle = await connect()
  await sleep(500)
  t.equal(idle.socket.destroyed, false, 'one without a request stays')
})

t.test('a block is reported once, with a stack, and again when the event loop turns', async t => {
  const { block, line, lines, next, turn } = await startListening(t)
  block(1200)
  const written = await line()
  t.match(written, { fd: 2, level: 40, time: Number, pid: process.pid, hostname: String, stack: '    at spin (a.js:1:2)' })
  t.match(written.msg, /^event loop blocked for \d\.\d s$/)
  await sleep(300)
  t.strictSame(lines, [])
  turn()
  const blocked = await next('blocked')
  t.equal(blocked.stack, written.stack)
  t.ok(blocked.blockedMs >= 1200, String(blocked.blockedMs))

  block(1200)
  t.notOk('stack' in await line(), 'at most one stack a minute')
  turn()
  t.equal((await next('blocked')).stack, undefined)
})

t.test('a block is reported without a stack if that is unwanted or not to be had yet', async t => {
  let late!: (stack: string) => void
  let cancelled = 0
  for (const stack of [false, true]) {
    const { block, line, next, turn } = await startListening(t, { stack }, done => {
      late = done
      return () => { cancelled++ }
    })
    block(1200)
    t.notOk('stack' in await line())
    if (stack) {
      // As native code returns.
      late('    at native code')
      t.equal((await line()).stack, '    at native code')
    }
    turn()
    t.equal((await next('blocked')).stack, stack ? '    at native code' : undefined)
  }
  t.equal(cancelled, 1)
})

t.test('a line that cannot be written is left out', async t => {
  const { Relay } = t.mockRequire<typeof import('../../../lib/watchdog/relay.js')>('../../../lib/watchdog/relay.js', {
    'node:fs': { writeSync () { throw new Error('EAGAIN') } }
  })
  const { port1, port2 } = new MessageChannel()
  const pulse = new Pulse()
  new BigInt64Array(pulse.memory, 0, 1)[0] = BigInt(sharedNow() - 2000)
  new Relay(port2, {
    port: 0, host: '127.0.0.1', pulse: pulse.memory, timeout: 300, maxBlocked: 10_000, stack: false, alive: []
  }).listen()
  const reported = new Promise(resolve => { port1.on('message', ({ type }) => { if (type === 'blocked') resolve(type) }) })
  await sleep(300)
  port1.postMessage({ type: 'close' })
  t.equal(await reported, 'blocked')
})

t.test('a debugger that stops the main thread is no block', async t => {
  const { block, lines, pulse } = await startListening(t)
  block(1200)
  pulse.beat(true)
  block(1200)
  await sleep(500)
  t.strictSame(lines, [])
})

t.test('nor is a stop of the whole process', async t => {
  const { block, lines, messages, turn } = await startListening(t)
  block(0)
  const until = performance.now() + 2000
  while (performance.now() < until);
  await sleep(300)
  turn()
  await sleep(300)
  t.strictSame([lines, messages], [[], []])
})
