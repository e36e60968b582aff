import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import t, { type Test } from 'tap'
import { seconds, systemTime } from '../../lib/clock.js'
import { deferred } from '../helpers/checks.js'

/** The two ends of a connection. */
async function pair (t: Test): Promise<[Socket, Socket]> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
  const [[socket]] = await Promise.all([once(server, 'connection') as Promise<[Socket]>, once(client, 'connect')])
  t.teardown(() => { server.close(); client.destroy(); socket.destroy() })
  return [client, socket]
}

t.test('after a stall what has arrived is read before what waits for that is called', async t => {
  const { start, afterPoll } = systemTime
  const [reading, writing] = await pair(t)
  const order: string[] = []
  reading.on('data', () => { order.push('read') })
  writing.write('x')
  start(() => {
    order.push('timer')
    afterPoll(() => { order.push('after') })
  }, 1)
  const { promise, resolve } = deferred<void>()
  setImmediate(() => {
    for (const until = systemTime.now() + 20; systemTime.now() < until;);
    start(resolve, 10)
  })
  await promise
  t.strictSame(order, ['timer', 'read', 'after'])
})

t.test('a background timer does not keep the process alive, and another does', async t => {
  const background = systemTime.start(() => {}, 1000, true) as NodeJS.Timeout
  const holding = systemTime.start(() => {}, 1000) as NodeJS.Timeout
  t.strictSame([background.hasRef(), holding.hasRef()], [false, true])
  systemTime.cancel(background)
  systemTime.cancel(holding)
})

t.test('a delay beyond the longest one of a timer is that one', async t => {
  const timer = systemTime.start(() => { t.fail('at once') }, 2 ** 31 * 1.1)
  await new Promise(resolve => setTimeout(resolve, 5))
  systemTime.cancel(timer)
})

t.test('a duration in a message has a fraction below ten seconds', async t => {
  t.strictSame([1040, 9949, 9950, 12_345].map(seconds), ['1.0 s', '9.9 s', '10 s', '12 s'])
})
