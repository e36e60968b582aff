import t from 'tap'
import { Pulse, sharedNow } from '../../../lib/watchdog/pulse.js'

t.test('what one thread writes another one reads from the same memory', async t => {
  const main = new Pulse()
  const thread = new Pulse(main.memory)
  t.equal(thread.at, 0, 'it has not beaten yet')
  for (const state of ['starting', 'serving', 'draining', 'closing', 'closed'] as const) {
    main.state = state
    t.equal(thread.state, state)
  }
  const before = sharedNow()
  main.beat(true)
  t.ok(thread.at >= before && thread.at <= sharedNow())
  t.equal(thread.debugged, true)
  main.beat(false)
  t.equal(thread.debugged, false)
  t.equal(thread.state, 'closed')
})

t.test('the end of the port is waited for, up to a limit', async t => {
  const main = new Pulse()
  const began = performance.now()
  main.awaitClose(50)
  t.ok(performance.now() - began >= 49)
  new Pulse(main.memory).closed()
  main.awaitClose(60_000)
})
