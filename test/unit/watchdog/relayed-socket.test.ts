import { once } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import type { ToThread } from '../../../lib/watchdog/messages.js'
import { RelayedSocket } from '../../../lib/watchdog/relayed-socket.js'

const ADDRESSES = {
  remoteAddress: '127.0.0.2', remotePort: 40_000, remoteFamily: 'IPv4', localAddress: '127.0.0.1', localPort: 9090
}

function create () {
  const sent: ToThread[] = []
  const socket = new RelayedSocket(7, ADDRESSES, message => { sent.push(message) })
  return { socket, sent, types: () => sent.map(({ type }) => type) }
}

t.test('it has the addresses of the connection, and what of a net.Socket means nothing here', async t => {
  const { socket } = create()
  t.match(socket, ADDRESSES)
  t.strictSame(socket.address(), { address: '127.0.0.1', family: 'IPv4', port: 9090 })
  t.equal(socket.ref().unref().setNoDelay().setKeepAlive(), socket)
  t.equal(socket.answered, false)
})

t.test('it reads what the client sent, and counts the bytes', async t => {
  const { socket } = create()
  socket.receive(Buffer.from('GET '))
  socket.receive(Buffer.from('/'))
  socket.receive(null)
  let read = ''
  for await (const chunk of socket) read += chunk
  t.equal(read, 'GET /')
  t.equal(socket.bytesRead, 5)
})

t.test('what is read is reported in large portions', async t => {
  const { socket, sent } = create()
  socket.resume()
  for (let i = 0; i < 3; i++) {
    socket.receive(Buffer.alloc(10_000))
    await sleep(0)
  }
  t.strictSame(sent, [{ type: 'read', id: 7, count: 20_000 }])
})

t.test('writes are complete at once, up to what the thread may be behind', async t => {
  const { socket, sent, types } = create()
  let done = 0
  const write = (size: number) => socket.write(Buffer.alloc(size), () => { done++ })
  write(60_000)
  await sleep(0)
  t.equal(done, 1)
  write(60_000)
  write(10)
  write(20)
  await sleep(0)
  t.equal(done, 1)
  t.equal(sent.length, 2)
  socket.written(20_000)
  socket.written(40_000)
  await sleep(0)
  t.equal(done, 4)
  t.match(sent[2], { type: 'data', id: 7, bytes: { length: 30 } }, 'those that waited are one message')
  socket.end()
  await once(socket, 'finish')
  t.equal(types().at(-1), 'end')
  socket.written(30)
})

t.test('it emits timeout once nothing came and went for that long, as often as it is set', async t => {
  const { socket } = create()
  let calls = 0
  const count = () => { calls++ }
  t.equal(socket.setTimeout(60_000, count), socket)
  socket.setTimeout(1)
  // A timer of its own is unref'd.
  const alive = setTimeout(() => {}, 60_000)
  await once(socket, 'timeout')
  t.equal(calls, 1)
  socket.setTimeout(50, count)
  socket.setTimeout(0, count)
  await sleep(80)
  t.equal(calls, 1, 'switched off')
  socket.write(Buffer.alloc(100_000))
  const began = performance.now()
  socket.setTimeout(100, count)
  await once(socket, 'timeout')
  t.ok(performance.now() - began >= 190, 'a write under way has one more period')
  clearTimeout(alive)
  t.equal(calls, 2)
  socket.setTimeout(60_000)
  socket.receive(Buffer.from('x'))
  socket.written(100_000)
  socket.write('y')
  socket.setTimeout(1, count)
  socket.destroy()
  await sleep(20)
  t.equal(calls, 2, 'no more after its end')
})

t.test('destroyed, it tells the thread once', async t => {
  const { socket, types } = create()
  socket.write('a')
  socket.destroy()
  await once(socket, 'close')
  socket.destroy()
  t.strictSame(types(), ['data', 'destroy'])
  t.equal(socket.answered, false)
})

t.test('left, it is no abort of the client', async t => {
  const { socket } = create()
  socket.leave()
  await once(socket, 'close')
  t.equal(socket.answered, true)
})

t.test('destroySoon waits for what has been written', async t => {
  const { socket, types } = create()
  socket.write(Buffer.alloc(100_000))
  socket.destroySoon()
  await sleep(0)
  t.equal(socket.destroyed, false)
  socket.written(100_000)
  await once(socket, 'close')
  t.strictSame(types(), ['data', 'end', 'destroy'])

  const ended = create()
  ended.socket.end()
  await once(ended.socket, 'finish')
  ended.socket.destroySoon()
  t.equal(ended.socket.destroyed, true, 'and for nothing if there is nothing')
})
