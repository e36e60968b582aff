import t from 'tap'
import { Lifecycle } from '../../../lib/engine/lifecycle.js'
import { PASS } from '../../../lib/engine/aggregate.js'
import { policyOf } from '../../../lib/options/probe-policies.js'
import { Holds } from '../../../lib/engine/holds.js'
import { NO_HOLDS } from '../../helpers/probe.js'
import { FakeTime } from '../../helpers/time.js'

function lifecycleOf (startedAt = 0) {
  const time = new FakeTime()
  const told: unknown[][] = []
  const booted: number[] = []
  const holds = new Holds(time, 10_000, { waiting () {}, abandoned () {} })
  const lifecycle = new Lifecycle(time, {
    stateChanged: (from, to, lastedMs) => { told.push([from, to, lastedMs]) },
    drainBegan: (delayMs, signal) => { told.push(['began', delayMs, signal]) },
    served: bootMs => { booted.push(bootMs) },
    drainEnded: lastedMs => { told.push(['ended', lastedMs]) }
  }, holds, startedAt)
  return { lifecycle, time, told, booted, holds }
}

const titlesOf = (lifecycle: Lifecycle) => ['live', 'ready', 'startup', 'deep'].map(probe => lifecycle.override(policyOf(probe))?.title)

t.test('each state determines what probes answer whatever their checks say', async t => {
  const { lifecycle } = lifecycleOf()
  const titles = () => titlesOf(lifecycle)
  t.strictSame(titles(), ['OK', 'Starting', 'Starting', 'Starting'])
  lifecycle.serve()
  t.strictSame(titles(), [undefined, undefined, undefined, undefined])
  lifecycle.drain(5)
  t.strictSame(titles(), [undefined, 'Shutting down', undefined, undefined], 'a drain is no reason for live not to look')
  lifecycle.close()
  t.strictSame(titles(), ['OK', 'Shutting down', 'Shutting down', 'Shutting down'], 'a close is')
  t.ok(lifecycle.closing)
  lifecycle.closed()
  t.ok(lifecycle.closing)
  t.strictSame(titles(), ['OK', 'Shutting down', 'Shutting down', 'Shutting down'], 'no check runs any more')
  t.equal(lifecycle.override(policyOf('live')), PASS)
})

t.test('a drain during the boot changes ready only, until the app has been ready', async t => {
  const { lifecycle } = lifecycleOf()
  lifecycle.drain(5)
  t.notOk(lifecycle.hasServed)
  t.strictSame(titlesOf(lifecycle), ['OK', 'Shutting down', 'Starting', 'Starting'])
  lifecycle.serve()
  t.ok(lifecycle.hasServed)
  t.strictSame(titlesOf(lifecycle), [undefined, 'Shutting down', undefined, undefined])
  t.equal(lifecycle.state, 'draining')
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
  t.strictSame(told, [['starting', 'serving', 10], ['serving', 'closing', 5], ['closing', 'closed', 0]])
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

t.test('a drain that an observer starts is the one that it is told of', async t => {
  const time = new FakeTime()
  let began = 0
  const drains: unknown[] = []
  const lifecycle: Lifecycle = new Lifecycle(time, {
    stateChanged: () => { drains.push(lifecycle.drain(1)) },
    drainBegan: () => { began++ },
    served () {},
    drainEnded () {}
  }, NO_HOLDS)
  drains.push(lifecycle.drain(5000))
  t.equal(drains[0], drains[1])
  t.equal(began, 1)
})

t.test('a close ends a drain at once, and one that starts in a close is waited for', async t => {
  const { lifecycle, time, told } = lifecycleOf()
  lifecycle.serve()
  const drained = lifecycle.drain(5000)
  await time.advance(2000)
  lifecycle.close()
  await drained
  t.strictSame(told.slice(-2), [['draining', 'closing', 2000], ['ended', 2000]])
  t.equal(time.timers, 0)

  const second = lifecycleOf()
  second.lifecycle.serve()
  second.lifecycle.close()
  let over = false
  second.lifecycle.drain(5000).then(() => { over = true })
  t.equal(second.lifecycle.state, 'closing', 'never back')
  await second.time.advance(4999)
  t.notOk(over)
  await second.time.advance(1)
  t.ok(over)
})

t.test('a drain that nobody waited for in a close ends when the server has closed', async t => {
  const { lifecycle, time } = lifecycleOf()
  lifecycle.close()
  const drained = lifecycle.drain(5000)
  lifecycle.closed()
  await drained
  t.equal(time.timers, 0)
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
  t.equal(lifecycle.override(policyOf('ready'))?.title, 'Shutting down')
  t.strictSame(told, [['starting', 'draining', 0], ['began', 0, undefined], ['ended', 0]])
})

t.test('a policy decides for each phase whether the probe passes, fails or runs its checks', async t => {
  const rules = ['check', 'pass', 'fail'] as const
  const titles = (lifecycle: Lifecycle, phase: string) => rules.map(rule => {
    const policy = { whileStarting: 'check', whileDraining: 'check', whileClosing: 'check', whileBlocked: 'fail', permanent: false, [phase]: rule } as const
    return lifecycle.override(policy)?.title
  })
  const { lifecycle } = lifecycleOf()
  t.strictSame(titles(lifecycle, 'whileStarting'), [undefined, 'OK', 'Starting'])
  lifecycle.serve()
  lifecycle.drain(5)
  t.strictSame(titles(lifecycle, 'whileDraining'), [undefined, 'OK', 'Shutting down'])
  lifecycle.close()
  t.strictSame(titles(lifecycle, 'whileClosing'), [undefined, 'OK', 'Shutting down'])
  t.strictSame(titles(lifecycle, 'whileDraining'), [undefined, undefined, undefined], 'a close is no drain any more')
})

t.test('the boot is measured once, from the start of the process or of the restart', async t => {
  for (const startedAt of [0, 30]) {
    const { lifecycle, time, booted } = lifecycleOf(startedAt)
    t.equal(lifecycle.bootMs, null)
    await time.advance(40)
    lifecycle.serve()
    await time.advance(40)
    lifecycle.serve()
    t.equal(lifecycle.bootMs, 40 - startedAt)
    t.strictSame(booted, [40 - startedAt])

    const drained = lifecycleOf(startedAt)
    drained.lifecycle.drain(5)
    drained.lifecycle.serve()
    t.equal(drained.lifecycle.bootMs, 0 - startedAt)
    t.strictSame(drained.booted, [], 'one that drains already never serves')
  }
})

t.test('the drain signal aborts once, when a drain or the close starts', async t => {
  for (const start of ['drain', 'close', 'closed'] as const) {
    const { lifecycle } = lifecycleOf()
    const { drainSignal } = lifecycle
    const states: string[] = []
    drainSignal.addEventListener('abort', () => { states.push(lifecycle.state) })
    lifecycle.serve()
    t.notOk(drainSignal.aborted)
    lifecycle[start](5)
    t.equal(drainSignal.reason.name, 'AbortError')
    lifecycle.close()
    t.strictSame(states, [{ drain: 'draining', close: 'closing', closed: 'closed' }[start]])
  }
})

t.test('a drain is over after the delay once nothing is held, and a close ends the delay but not the wait', async t => {
  const { lifecycle, time, told, holds } = lifecycleOf()
  lifecycle.serve()
  const release = holds.hold('job')
  let over = -1
  lifecycle.drain(100).then(() => { over = time.now() })
  await time.advance(150)
  t.equal(over, -1)
  t.equal(lifecycle.state, 'draining')
  release()
  await time.advance(0)
  t.equal(over, 150)
  t.strictSame(told.at(-1), ['ended', 150])

  const second = lifecycleOf()
  const job = second.holds.hold('job')
  let closed = false
  second.lifecycle.drain(100).then(() => { closed = true })
  second.lifecycle.close()
  await second.time.advance(10)
  t.notOk(closed)
  job()
  await second.time.advance(0)
  t.ok(closed)
})

t.test('the delay of a drain can be ended, once', async t => {
  const { lifecycle, time, told } = lifecycleOf()
  lifecycle.endDelay()
  lifecycle.serve()
  const drained = lifecycle.drain(5000)
  await time.advance(10)
  lifecycle.endDelay()
  lifecycle.endDelay()
  await drained
  t.strictSame(told.filter(([what]) => what === 'ended'), [['ended', 10]])
  t.equal(time.timers, 0)
})
