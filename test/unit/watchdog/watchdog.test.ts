// The main thread's side. The thread is the test, and the server a real one.
import { EventEmitter, once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { ThreadData, ToMain, ToThread } from '../../../lib/watchdog/messages.js'
import { Pulse } from '../../../lib/watchdog/pulse.js'
import { freePort } from '../../helpers/own-server.js'
import { request } from '../../helpers/raw.js'

const ADDRESSES = {
  remoteAddress: '127.0.0.2', remotePort: 40_000, remoteFamily: 'IPv4', localAddress: '127.0.0.1', localPort: 9090
}
const REQUEST = Buffer.from('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')

/** As `Worker`. */
class FakeThread extends EventEmitter {
  readonly received: ToThread[] = []
  constructor (readonly file: string, readonly options: { readonly workerData: ThreadData }) { super() }
  unref () {}
  terminated = false
  terminate () { this.terminated = true }
  postMessage (message: ToThread) {
    this.received.push(message)
    if (message.type === 'close') new Pulse(this.options.workerData.pulse).closed()
  }

  say (...messages: ToMain[]) { for (const message of messages) this.emit('message', message) }

  /** What it got for a connection, as text, once that is so much. */
  async text (id: number, enough: RegExp): Promise<string> {
    for (;;) {
      const data = this.received.flatMap(message => message.type === 'data' && message.id === id ? [message.bytes] : [])
      const text = Buffer.concat(data).toString()
      if (enough.test(text)) return text
      this.say({ type: 'written', id, count: 0 })
      await sleep(1)
    }
  }
}

function start (t: Test, handle: RequestListener = (_request, response) => { response.end('answered') }) {
  let thread!: FakeThread
  const { Watchdog } = t.mockRequire<typeof import('../../../lib/watchdog/watchdog.js')>('../../../lib/watchdog/watchdog.js', {
    'node:worker_threads': {
      isMainThread: true,
      Worker: class extends FakeThread {
        constructor (...given: ConstructorParameters<typeof FakeThread>) {
          super(...given)
          thread = this
        }
      }
    }
  })
  const server = createServer(handle)
  t.teardown(() => { server.close() })
  const said: unknown[][] = []
  const opened = Watchdog.start(server, {
    port: 9090, host: undefined, timeout: 300, maxBlocked: 10_000, stack: true, alive: ['/live']
  }, () => ({
    loopBlocked: (...given) => { said.push(given) },
    threadDied: (...given) => { said.push(given) },
    threadUnavailable () {}
  }))
  return { server, said, thread, opened }
}

async function open (t: Test, handle?: RequestListener, address = { address: '127.0.0.1', family: 'IPv4', port: 9090 }) {
  const { opened, ...rest } = start(t, handle)
  rest.thread.say({ type: 'listening', address })
  const watchdog = await opened
  t.teardown(() => watchdog.close())
  t.equal(watchdog.address, address)
  return { watchdog, ...rest }
}

t.test('it starts the thread with its settings and a pulse, which beats and knows whether the app starts', async t => {
  const { watchdog, thread } = await open(t)
  const { pulse, ...data } = thread.options.workerData
  t.match(thread.file, /watchdog[/\\]thread\.js$/)
  t.strictSame(data, { port: 9090, host: undefined, timeout: 300, maxBlocked: 10_000, stack: true, alive: ['/live'] })
  const seen = new Pulse(pulse)
  t.equal(seen.starting, true)
  watchdog.started()
  t.equal(seen.starting, false)
  const { at } = seen
  t.ok(at > 0)
  while (seen.at === at) await sleep(20)
})

t.test('a port that the thread cannot listen on is an error, and a thread that fails to start another', async t => {
  const taken = start(t)
  taken.thread.say({ type: 'failed', error: { name: 'Error', message: 'EADDRINUSE', code: 'EADDRINUSE' } })
  const { failure } = await taken.opened
  t.match(failure, { message: 'EADDRINUSE', code: 'EADDRINUSE' })
  t.ok(failure instanceof Error)
  t.equal(taken.thread.terminated, true)
  taken.thread.emit('exit', 1)
  const missing = start(t)
  missing.thread.emit('error', new Error('no such file'))
  await t.rejects(missing.opened, { message: 'no such file' })
  missing.thread.emit('exit', 1)
  const gone = start(t)
  gone.thread.emit('exit', 7)
  await t.rejects(gone.opened, { message: 'the thread exited with code 7' })
  t.strictSame([taken.said, missing.said, gone.said], [[], [], []])
})

t.test('connections of the thread are connections of the server', async t => {
  const { thread } = await open(t, ({ socket }, response) => { response.end(socket.remoteAddress) })
  thread.say({ type: 'open', id: 1, addresses: ADDRESSES }, { type: 'data', id: 1, bytes: REQUEST })
  t.match(await thread.text(1, /127/), /^HTTP\/1\.1 200 OK\r\n[^]*127\.0\.0\.2$/)
  thread.say({ type: 'end', id: 1 })
  while (!thread.received.some(({ type }) => type === 'destroy')) {
    thread.say({ type: 'written', id: 1, count: 0 })
    await sleep(1)
  }
  thread.say({ type: 'written', id: 1, count: 0 })
})

t.test('a connection that the client closed is closed', async t => {
  for (const error of [undefined, { name: 'Error', message: 'reset', code: 'ECONNRESET' }]) {
    const closed: unknown[] = []
    const errors: unknown[] = []
    const { server, thread } = await open(t, (request, response) => {
      request.socket.on('error', ({ code }: NodeJS.ErrnoException) => { errors.push(code) })
      response.on('close', () => { closed.push((request.socket as { answered?: boolean }).answered) })
    })
    thread.say({ type: 'open', id: 1, addresses: ADDRESSES }, { type: 'data', id: 1, bytes: REQUEST })
    await once(server, 'request')
    thread.say({ type: 'close', id: 1, error })
    while (closed.length === 0) await sleep(1)
    t.strictSame([closed, errors], [[false], error === undefined ? [] : ['ECONNRESET']])
  }
})

t.test('what the thread has answered is not handled, or no longer', async t => {
  let handled = 0
  const answered: unknown[] = []
  const { server, thread } = await open(t, (request, response) => {
    handled++
    response.on('close', () => { answered.push((request.socket as { answered?: boolean }).answered) })
  })
  thread.say({ type: 'open', id: 1, addresses: ADDRESSES }, { type: 'data', id: 1, bytes: REQUEST }, { type: 'answered', id: 1 })
  thread.say({ type: 'open', id: 2, addresses: ADDRESSES })
  await sleep(20)
  thread.say({ type: 'data', id: 2, bytes: REQUEST }, { type: 'answered', id: 2 })
  await sleep(20)
  t.equal(handled, 0)
  thread.say({ type: 'open', id: 3, addresses: ADDRESSES }, { type: 'data', id: 3, bytes: REQUEST })
  await once(server, 'request')
  thread.say({ type: 'answered', id: 3 })
  while (answered.length === 0) await sleep(1)
  t.strictSame([handled, answered], [1, [true]])
})

t.test('a block is passed on', async t => {
  const { said, thread } = await open(t)
  thread.say({ type: 'blocked', blockedMs: 1500, stack: 'at spin' }, { type: 'blocked', blockedMs: 2500, stack: undefined })
  while (said.length < 2) await sleep(1)
  t.strictSame(said, [[1500, 'at spin'], [2500, undefined]])
})

t.test('a thread that dies is reported, and the server listens itself at the same address', async t => {
  for (const [error, message] of [[new Error('out of memory'), 'out of memory'], [undefined, 'the thread exited with code 1']] as const) {
    const port = await freePort()
    const { said, server, thread } = await open(t, undefined, { address: '127.0.0.1', family: 'IPv4', port })
    thread.say({ type: 'open', id: 1, addresses: ADDRESSES })
    await sleep(10)
    if (error !== undefined) thread.emit('error', error)
    const listens = once(server, 'listening')
    thread.emit('exit', 1)
    await listens
    t.match(said, [[{ message }]])
    t.equal(said[0]!.length, 1)
    t.equal((await request(port, 'GET', '/')).body, 'answered')
  }
})

t.test('if the port is taken meanwhile that is reported as well', async t => {
  const port = await freePort()
  const other = createServer().listen(port, '127.0.0.1')
  t.teardown(() => other.close())
  await once(other, 'listening')
  const { said, thread } = await open(t, undefined, { address: '127.0.0.1', family: 'IPv4', port })
  thread.emit('exit', 1)
  while (said.length === 0) await sleep(1)
  t.match(said, [[{ message: 'the thread exited with code 1' }, { code: 'EADDRINUSE' }]])
})

t.test('closed, it tells the thread, whose end is none to report', async t => {
  const { said, server, thread, watchdog } = await open(t)
  watchdog.close()
  watchdog.close()
  t.match(thread.received, [{ type: 'close' }])
  t.equal(thread.received.length, 1)
  thread.emit('exit', 0)
  t.equal(server.listening, false)
  t.strictSame(said, [])
})
