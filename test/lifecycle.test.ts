import t from 'tap'
import { Lifecycle } from '../lib/lifecycle.js'
import { PASS } from '../lib/verdict.js'
import { FakeTime } from './helpers/time.js'

function lifecycleOf () {
  const time = new FakeTime()
  const told: unknown[][] = []
  const lifecycle = new Lifecycle(time, {
    stateChanged: (from, to, lastedMs) => { told.push([from, to, lastedMs]) },
    drainBegan: (delayMs, signal) => { told.push(['began', delayMs, signal]) },
    drainEnded: lastedMs => { told.push(['ended', lastedMs]) }
  })
  return { lifecycle, time, told }
}

t.test('each state tells what probes answer whatever their checks say', async t => {
  const { lifecycle } = lifecycleOf()
  const titles = () => ['live', 'ready', 'startup', 'deep'].map(probe => lifecycle.answer(probe)?.title)
  t.strictSame(titles(), ['OK', 'Starting', 'Starting', 'Starting'])
  lifecycle.serve()
  t.strictSame(titles(), [undefined, undefined, undefined, undefined])
  lifecycle.drain(5)
  t.strictSame(titles(), [undefined, 'Shutting down', undefined, undefined], 'a drain is no reason for live not to look')
  lifecycle.close()
  t.strictSame(titles(), ['OK', 'Shutting down', 'Shutting down', 'Shutting down'], 'a close is')
  t.ok(lifecycle.closing)
  lifecycle.closed()
  t.strictSame(titles(), ['OK', 'Shutting down', 'Shutting down', 'Shutting down'], 'no check runs any more')
  t.equal(lifecycle.answer('live'), PASS)
})

t.test('the state goes one way, and each change is told once with how long the one before had lasted', async t => {
  const { lifecycle, time, told } = lifecycleOf()
  t.equal(lifecycle.state, 'starting')
  await time.advance(10)
  lifecycle.serve()
  lifecycle.serve()
  await time.advance(5)
  lifecycle.close()
  lifecycle.closed()
  lifecycle.serve()
  lifecycle.close()
  t.strictSame(told, [['starting', 'serving', 10], ['serving', 'draining', 5], ['draining', 'closed', 0]])
  t.equal(lifecycle.state, 'closed')
})

t.test('a drain lasts for its delay, and a second one is the first', async t => {
  const { lifecycle, time, told } = lifecycleOf()
  lifecycle.serve()
  let over = 0
  const drained = lifecycle.drain(5000, 'SIGTERM')
  drained.then(() => { over = time.now() })
  t.equal(lifecycle.drain(1), drained)
  t.equal(lifecycle.state, 'draining')
  await time.advance(4999)
  t.equal(over, 0)
  await time.advance(1)
  t.equal(over, 5000)
  t.equal(lifecycle.drain(1), drained)
  t.strictSame(told.slice(1), [['serving', 'draining', 0], ['began', 5000, 'SIGTERM'], ['ended', 5000]])
  lifecycle.close()
  t.equal(time.timers, 0)
})

t.test('a close ends a drain at once, and one that is begun in a close is waited for', async t => {
  const { lifecycle, time, told } = lifecycleOf()
  lifecycle.serve()
  const drained = lifecycle.drain(5000)
  await time.advance(2000)
  lifecycle.close()
  await drained
  t.strictSame(told.at(-1), ['ended', 2000])
  t.equal(time.timers, 0)

  const second = lifecycleOf()
  second.lifecycle.serve()
  second.lifecycle.close()
  let over = false
  second.lifecycle.drain(5000).then(() => { over = true })
  await second.time.advance(4999)
  t.notOk(over)
  await second.time.advance(1)
  t.ok(over)
})

t.test('there is nothing to drain when the app has closed', async t => {
  const { lifecycle, time, told } = lifecycleOf()
  lifecycle.closed()
  told.length = 0
  await lifecycle.drain(5000)
  t.strictSame(told, [])
  t.equal(time.timers, 0)
})

t.test('a drain without delay is over at once, and one while the app boots keeps it from serving', async t => {
  const { lifecycle, time, told } = lifecycleOf()
  await lifecycle.drain(0)
  t.equal(time.timers, 0)
  lifecycle.serve()
  t.equal(lifecycle.state, 'draining')
  t.equal(lifecycle.answer('ready')?.title, 'Shutting down')
  t.strictSame(told, [['starting', 'draining', 0], ['began', 0, undefined], ['ended', 0]])
})
