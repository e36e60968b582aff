import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { setImmediate } from 'node:timers/promises'
import { createContext, runInContext } from 'node:vm'
import t, { type Test } from 'tap'
import { HealthError } from '../../../lib/errors.js'
import { Events } from '../../../lib/telemetry/events.js'
import { HealthzLog } from '../../../lib/telemetry/log.js'
import { probeOf } from '../../helpers/probe.js'
import { FakeTime } from '../../helpers/time.js'

function listen (t: Test, channel: string) {
  const messages: any[] = []
  const listener = (message: unknown) => { messages.push(message) }
  subscribe(channel, listener)
  t.teardown(() => unsubscribe(channel, listener))
  return messages
}

t.test('a change of a check has the outcome, the title and the error', async t => {
  const { probe, add, changes, time } = probeOf()
  const error = new HealthError('away')
  let answer: () => unknown = () => { throw error }
  add('a', () => answer(), { critical: false })
  await time.advance(7)
  probe.run()
  const at = time.date()
  t.strictSame(changes[0], { kind: 'check', probe: 'ready', check: 'a', from: 'unknown', to: 'warn', at, lastedMs: 7, title: 'away', error })
  answer = () => {}
  probe.run()
  t.strictSame(changes[2], { kind: 'check', probe: 'ready', check: 'a', from: 'warn', to: 'pass', at, lastedMs: 0 })
  answer = () => false
  probe.run()
  t.strictSame(changes[3], { kind: 'check', probe: 'ready', check: 'a', from: 'pass', to: 'warn', at, lastedMs: 0, title: 'failed' })
})

t.test('listeners receive changes in order, including those made by a listener', async t => {
  const { events, lifecycle } = probeOf()
  const heard: string[] = []
  events.onChange(({ to }) => {
    heard.push(`first: ${to}`)
    if (to === 'closing') lifecycle.closed()
  })
  const undo = events.onChange(({ to }) => { heard.push(`second: ${to}`) })
  lifecycle.close()
  t.strictSame(heard, ['first: closing', 'second: closing', 'first: closed', 'second: closed'])
  undo()
  undo()
  events.stateChanged('starting', 'serving', 0)
  t.strictSame(heard.slice(4), ['first: serving'])
})

t.test('a listener is called as often as it was added, and each returned function removes one', async t => {
  const { events, lifecycle } = probeOf()
  let calls = 0
  const listener = () => { calls++ }
  const undo = events.onChange(listener)
  events.onChange(listener)
  lifecycle.close()
  t.equal(calls, 2)
  undo()
  lifecycle.closed()
  t.equal(calls, 3)
})

t.test('an error of a listener is logged and has no other effect', async t => {
  const { events, lifecycle, lines, changes } = probeOf()
  const heard: string[] = []
  events.onChange(() => { throw new Error('in a listener') })
  events.onChange(async () => { throw new Error('in an async one') })
  events.onChange(({ to }) => { heard.push(to) })
  lifecycle.close()
  await setImmediate()
  t.strictSame(heard, ['closing'])
  t.strictSame(lines, [['error', 'healthz.onChange listener failed'], ['error', 'healthz.onChange listener failed']])
  lifecycle.closed()
  t.equal(changes.length, 2, 'the next change is told as well')
})

t.test('a listener may return any thenable, and a `then` that throws is a failure', async t => {
  const { events, lifecycle, lines } = probeOf()
  const failed = (): never => { throw new Error('in a listener') }
  const answers = [
    runInContext("Promise.reject(new Error('of another realm'))", createContext({})),
    { then (_pass: unknown, fail: (error: Error) => void) { fail(new Error("of another library's")) } },
    { then: failed },
    { get then () { return failed() } },
    Object.assign(Promise.resolve(), { then: failed })
  ]
  for (const answer of answers) events.onChange(() => answer)
  events.onChange(() => ({ then: 'it is no promise' }))
  lifecycle.close()
  await setImmediate()
  t.strictSame(lines, answers.map(() => ['error', 'healthz.onChange listener failed']))
})

t.test('listeners receive changes even if the logger throws', async t => {
  const time = new FakeTime()
  const broken = new Proxy({}, { get: () => () => { throw new Error('the disk is full') } })
  const events = new Events({}, new HealthzLog(broken as any), time)
  const heard: string[] = []
  events.onChange(() => { throw new Error('in a listener') })
  events.onChange(({ to }) => { heard.push(to) })
  const plan = { probe: 'ready', name: 'a', timeout: 1, critical: true, maxAge: 0 }
  const result = { outcome: 'fail', reason: 'failed', startedAt: 0, checkedAt: 0, durationMs: 0 } as const
  events.changed(plan, 'unknown', result, 0)
  events.changed(plan, 'fail', { ...result, outcome: 'pass' }, 0)
  t.strictSame(heard, ['fail', 'pass'])
})

t.test('the same changes are published on the diagnostics channel, with the app', async t => {
  const messages = listen(t, 'fastify-healthz:change')
  const { probe, add, changes, lifecycle } = probeOf()
  messages.length = 0
  add('a', () => {})
  probe.run()
  lifecycle.close()
  t.strictSame(messages.map(({ app, ...change }) => { t.type(app, 'object'); return change }), changes)
  t.equal(messages.length, 3)
})

t.test('each finished run is published on its channel, with its outcome and duration', async t => {
  const messages = listen(t, 'fastify-healthz:check')
  const { probe, add, time } = probeOf()
  const error = new Error('boom')
  add('a', () => { throw error }, { critical: false })
  add('b', () => { time.block(5) })
  add('c', () => new Promise(() => {}), { timeout: 100 })
  const outcome = probe.run()
  await time.advance(100)
  await outcome
  const rest = { app: {}, probe: 'ready' }
  t.strictSame(messages, [
    { ...rest, check: 'a', outcome: 'warn', durationMs: 0, title: 'failed unexpectedly', error },
    { ...rest, check: 'b', outcome: 'pass', durationMs: 5 },
    { ...rest, check: 'c', outcome: 'fail', durationMs: 100, title: 'timed out' }
  ])
})

t.test('the data of a check is published with its runs, and with no change', async t => {
  const messages = listen(t, 'fastify-healthz:check')
  const { probe, add, changes } = probeOf()
  add('disk', run => { run.data = { free: 0.1 }; throw new HealthError('full') })
  probe.run()
  t.match(messages, [{ check: 'disk', outcome: 'fail', title: 'full', data: { free: 0.1 } }])
  t.strictSame(changes.map(change => 'data' in change), [false, false])
})

t.test('events that are only logged are passed on to the log', async t => {
  const { events, lines, changes } = probeOf()
  const plan = { probe: 'ready', name: 'a', timeout: 1, critical: true, maxAge: 0 }
  events.causeChanged(plan, { outcome: 'fail', reason: 'failed', startedAt: 0, checkedAt: 0, durationMs: 0 })
  events.overran(plan, 5)
  events.stuck(plan, 3)
  events.dataDropped(plan, 'rows (object)')
  events.failing(plan, { outcome: 'fail', reason: 'failed', startedAt: 0, checkedAt: 0, durationMs: 0 }, 0)
  events.recovered(plan, 5, 0)
  events.tolerated(plan, { outcome: 'warn', reason: 'failed', startedAt: 0, checkedAt: 0, durationMs: 0 })
  events.probeAborted({ probe: 'ready', waitedMs: 5, checks: [] }, true)
  events.probeAborted({ probe: 'ready', waitedMs: 5, checks: [] }, false)
  t.strictSame(lines.map(([level]) => level), ['warn', 'warn', 'error', 'warn', 'warn', 'info', 'debug', 'warn'])
  t.strictSame(changes, [])
})

t.test('a block of the event loop is logged and published, with its stack if there is one', async t => {
  const lines: unknown[][] = []
  const app = {}
  const events = new Events(app, new HealthzLog({ warn: (...line: unknown[]) => { lines.push(line) } } as any), new FakeTime())
  events.loopBlocked(1234, undefined)
  const blocks = listen(t, 'fastify-healthz:block')
  events.loopBlocked(12_345, '    at spin (a.js:1:2)')
  events.loopBlocked(1000, undefined)
  t.strictSame(lines, [
    [{ blockedMs: 1234 }, 'event loop blocked for 1.2 s'],
    [{ blockedMs: 12_345, stack: '    at spin (a.js:1:2)' }, 'event loop blocked for 12 s'],
    [{ blockedMs: 1000 }, 'event loop blocked for 1.0 s']
  ])
  t.strictSame(blocks, [{ app, blockedMs: 12_345, stack: '    at spin (a.js:1:2)' }, { app, blockedMs: 1000 }])
  t.equal(blocks[0].app, app)
})
