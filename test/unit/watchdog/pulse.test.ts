import t from 'tap'
import { Pulse, sharedNow } from '../../../lib/watchdog/pulse.js'

t.test('what one thread writes another one reads from the same memory', async t => {
  const main = new Pulse()
  const thread = new Pulse(main.memory)
  t.equal(thread.at, 0, 'it has not beaten yet')
  t.equal(thread.starting, true)
  main.started()
  t.equal(thread.starting, false)
  const before = sharedNow()
  main.beat(true)
  t.ok(thread.at >= before && thread.at <= sharedNow())
  t.equal(thread.debugged, true)
  main.beat(false)
  t.equal(thread.debugged, false)
  t.equal(thread.starting, false)
})

t.test('the end of the port is waited for, up to a limit', async t => {
  const main = new Pulse()
  const began = performance.now()
  main.awaitClose(50)
  t.ok(performance.now() - began >= 49)
  new Pulse(main.memory).closed()
  main.awaitClose(60_000)
})
