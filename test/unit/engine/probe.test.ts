import t from 'tap'
import type { ProbeRun } from '../../../lib/engine/probe.js'
import { HealthError } from '../../../lib/errors.js'
import { PASS } from '../../../lib/engine/aggregate.js'
import { deferred } from '../../helpers/checks.js'
import { probeOf } from '../../helpers/probe.js'

t.test('a probe is synchronous while all of its checks are', async t => {
  const { probe, add, runner } = probeOf()
  t.strictSame(probe.run(), { problem: PASS, checks: [] })
  add('a', () => {})
  t.match(probe.run(), { problem: PASS, checks: [[{ name: 'a' }, { outcome: 'pass' }]] })
  const remove = probe.add(runner('b', () => false))
  t.match(probe.run(), { problem: { status: 503, title: 'b: failed' } })
  remove()
  add('c', async () => {})
  const promise = probe.run()
  t.type(promise, Promise)
  t.equal((await promise).problem, PASS)
})

t.test('all checks of a probe run side by side, and each result counts', async t => {
  const { probe, add } = probeOf()
  const running: string[] = []
  const gate = deferred()
  const wait = (name: string, answer: unknown) => async () => { running.push(name); await gate.promise; return answer }
  add('a', wait('a', false))
  add('b', wait('b', true))
  add('c', () => { throw new Error('x') })
  add('d', wait('d', false))
  const outcome = probe.run()
  t.strictSame(running, ['a', 'b', 'd'], 'a check that throws keeps no other from running')
  gate.resolve()
  t.strictSame((await outcome).problem, { status: 500, title: 'a: failed; c: failed unexpectedly; d: failed' })
})

t.test('each check has its own timeout, and the probe answers after the longest', async t => {
  const { probe, add, time } = probeOf()
  add('short', () => new Promise(() => {}), { timeout: 100 })
  add('long', () => new Promise(() => {}), { timeout: 500, critical: false })
  let outcome: ProbeRun | undefined
  Promise.resolve(probe.run()).then(settled => { outcome = settled })
  await time.advance(499)
  t.equal(outcome, undefined)
  await time.advance(1)
  t.match(outcome, { problem: { title: 'short: timed out' }, checks: [[{}, { durationMs: 100 }], [{}, { durationMs: 500 }]] })
})

t.test('what is left out is not run, and nothing of that outcome is remembered', async t => {
  const { probe, add, changes } = probeOf('startup')
  let calls = 0
  add('a', () => { calls++; return false })
  add('b', () => {})
  t.equal((await probe.run(new Set(['a']))).problem, PASS)
  t.equal(calls, 0)
  t.doesNotThrow(() => add('c', () => {}), 'it has not passed permanently')
  t.strictSame(changes.map(({ kind }) => kind), ['check'])
  t.equal(probe.snapshot().outcome, 'unknown')
})

t.test('the startup probe, once it has passed, passes without running anything', async t => {
  const { probe, add, changes, time } = probeOf('startup')
  let calls = 0
  let answer = false
  add('a', () => { calls++; return answer })
  add('b', () => {}, { interval: 100 })
  probe.start()
  t.match(probe.run(), { problem: { status: 503 } })
  answer = true
  t.match(probe.run(), { problem: PASS })
  t.throws(() => add('late', () => {}), { code: 'HEALTHZ_ERR_STARTUP_PASSED' })
  answer = false
  t.match(probe.run(), { problem: PASS, checks: [[{}, { outcome: 'pass' }], [{}, {}]] })
  t.equal(calls, 2)
  t.equal(time.timers, 0, 'not in the background either')
  t.strictSame(changes.filter(({ kind }) => kind === 'probe').map(({ from, to }) => [from, to]), [['unknown', 'fail'], ['fail', 'pass']])
})

t.test('a startup probe does not latch past a check that was added while it ran', async t => {
  const { probe, add, runner } = probeOf('startup')
  const gate = deferred()
  add('a', () => gate.promise)
  const under = probe.run()
  const remove = probe.add(runner('b', () => false))
  gate.resolve()
  t.match(await under, { problem: PASS })
  t.match(await probe.run(), { problem: { title: 'b: failed' } })
  remove()
  t.match(await probe.run(), { problem: PASS })
  t.throws(() => add('late', () => {}), { code: 'HEALTHZ_ERR_STARTUP_PASSED' })
})

t.test('another probe does not pass for good', async t => {
  const { probe, add } = probeOf('ready')
  let answer = true
  add('a', () => answer)
  probe.run()
  answer = false
  t.match(probe.run(), { problem: { status: 503 } })
})

t.test('while the app drains, ready says so without running anything, and a run under way counts no more', async t => {
  const { probe, add, lifecycle, changes } = probeOf()
  let calls = 0
  const gate = deferred()
  add('a', () => { calls++; return gate.promise })
  const under = probe.run()
  lifecycle.drain(5000)
  const title = 'Shutting down'
  t.match(probe.run(), { problem: { status: 503, title }, checks: [[{}, { reason: 'unchecked' }]] })
  gate.resolve()
  t.match(await under, { problem: { status: 503, title } })
  t.equal(calls, 1)
  t.match(changes.filter(({ kind }) => kind === 'probe'), [{ from: 'unknown', to: 'fail', title }])
})

t.test('a change of the outcome is told once, after those of the checks that made it', async t => {
  const { probe, add, changes, time } = probeOf()
  let answer: unknown = true
  add('a', () => answer)
  await time.advance(5)
  for (const next of [true, true, false, false, true]) {
    answer = next
    await probe.run()
    await time.advance(10)
  }
  t.match(changes, [
    { kind: 'check', probe: 'ready', check: 'a', from: 'unknown', to: 'pass', lastedMs: 5 },
    { kind: 'probe', probe: 'ready', from: 'unknown', to: 'pass', lastedMs: 5, title: undefined },
    { kind: 'check', from: 'pass', to: 'fail', title: 'failed', lastedMs: 20 },
    { kind: 'probe', from: 'pass', to: 'fail', title: 'a: failed', lastedMs: 20 },
    { kind: 'check', from: 'fail', to: 'pass', lastedMs: 20 },
    { kind: 'probe', from: 'fail', to: 'pass', lastedMs: 20 }
  ])
  t.equal(changes.length, 6)
})

t.test('while the results of its checks read the same, the problem of a probe is the same object', async t => {
  const { probe, add } = probeOf()
  const answers: Record<string, () => unknown> = { a: () => false, b: () => {} }
  for (const name of ['a', 'b']) add(name, () => answers[name]!())
  const problem = () => (probe.run() as ProbeRun).problem
  const first = problem()
  t.strictSame(first, { status: 503, title: 'a: failed' })
  t.equal(problem(), first)
  answers.b = () => false
  const both = problem()
  t.strictSame(both, { status: 503, title: 'a: failed; b: failed' })
  answers.a = () => { throw new HealthError('failed') }
  t.equal(problem(), both)
  answers.a = () => { throw new Error('failed unexpectedly') }
  t.strictSame(problem(), { status: 500, title: 'a: failed unexpectedly; b: failed' })
  answers.a = () => { throw new HealthError('failed unexpectedly') }
  t.strictSame(problem(), { status: 503, title: 'a: failed unexpectedly; b: failed' }, 'another status')
  answers.a = answers.b = () => {}
  t.equal(problem(), PASS)
})

t.test('one check alone fails the answer even if it is not critical', async t => {
  const { probe, add, changes } = probeOf()
  add('a', () => false)
  const b = add('b', () => false, { critical: false })
  t.match(await probe.runOne(b), { problem: { status: 503, title: 'b: failed' }, checks: [[{ name: 'b', critical: false }, { outcome: 'fail' }]] })
  t.strictSame(changes.map(({ kind }) => kind), ['check'], 'and says nothing about the probe')
})

t.test('one check alone does not run when the app is not there for it', async t => {
  const { probe, add, lifecycle } = probeOf()
  const a = add('a', () => t.fail('ran'))
  lifecycle.close()
  t.match(await probe.runOne(a), { problem: { status: 503, title: 'Shutting down' }, checks: [[{}, { reason: 'unchecked' }]] })
})

t.test('a check that is added or removed while a probe runs changes the next run, not this one', async t => {
  const { probe, add, runner } = probeOf()
  const gate = deferred()
  const remove = probe.add(runner('a', () => gate.promise))
  const under = probe.run()
  remove()
  add('b', () => false)
  t.match(probe.run(), { problem: { title: 'b: failed' } })
  gate.resolve(false)
  t.match(await under, { problem: { title: 'a: failed' }, checks: [[{ name: 'a' }, {}]] })
  t.equal(probe.get('a'), undefined)
  t.ok(probe.get('b'))
})

t.test('a snapshot tells what is known without running anything', async t => {
  const { probe, add } = probeOf()
  let calls = 0
  add('a', () => { calls++ })
  t.strictSame(probe.snapshot(), {
    outcome: 'unknown', checks: { a: { status: 'fail', title: 'not checked yet', durationMs: null, checkedAt: null } }
  })
  probe.run()
  t.match(probe.snapshot(), { outcome: 'pass', checks: { a: { status: 'pass', durationMs: 0, checkedAt: '2026-01-01T00:00:00.000Z' } } })
  t.equal(calls, 1)
})

t.test('a probe that is stopped answers at once those that wait, with the results there are', async t => {
  const { probe, add } = probeOf()
  add('quick', () => {})
  const slow = add('slow', () => new Promise(() => {}))
  const all = probe.run()
  const one = probe.runOne(slow)
  probe.stop()
  t.match(await all, { checks: [[{ name: 'quick' }, { outcome: 'pass' }], [{ name: 'slow' }, { reason: 'unchecked' }]] })
  t.match(await one, { checks: [[{ name: 'slow' }, { reason: 'unchecked' }]] })
})
