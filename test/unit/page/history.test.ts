import t from 'tap'
import { CheckHistory, History, MINUTES } from '../../../lib/page/history.js'
import type { CheckRun, HealthzChange } from '../../../types/healthz.js'

const MINUTE = 60_000
const run = (outcome: CheckRun['outcome'], durationMs = 1): CheckRun => ({ app: {}, probe: 'ready', check: 'database', outcome, durationMs })

t.test('of each minute the worst outcome and the longest run are remembered', async t => {
  const history = new CheckHistory(0)
  history.ran('pass', 5, 0)
  history.ran('fail', 1, 10)
  history.ran('warn', 3, 20)
  history.ran('pass', 2.26, 2 * MINUTE)
  const { outcomes, longest } = history.hour(3 * MINUTE)
  t.strictSame(outcomes.slice(-4), ['fail', undefined, 'pass', undefined])
  t.strictSame(longest.slice(-4), [5, 0, 2.3, 0])
  t.equal(outcomes.length, MINUTES)
})

t.test('what is older than an hour is forgotten, also after a long silence', async t => {
  const history = new CheckHistory(0)
  for (let minute = 0; minute < 60; minute++) history.ran('fail', 1, minute * MINUTE)
  t.equal(history.hour(59 * MINUTE).outcomes.filter(outcome => outcome === 'fail').length, 60)
  history.ran('pass', 1, 60 * MINUTE)
  t.strictSame(history.hour(60 * MINUTE).outcomes.slice(-2), ['fail', 'pass'])
  t.ok(history.hour(300 * MINUTE).outcomes.every(outcome => outcome === undefined))
})

t.test('a clock that is set back adds to the last minute', async t => {
  const history = new CheckHistory(10 * MINUTE)
  history.ran('fail', 1, 10 * MINUTE)
  history.ran('pass', 9, 0)
  t.equal(history.hour(0).outcomes.at(-1), 'fail')
  t.equal(history.hour(0).longest.at(-1), 9)
})

t.test('percentiles are those of the last 128 runs', async t => {
  const history = new CheckHistory(0)
  t.equal(history.percentile(0.5), undefined)
  history.ran('pass', 7, 0)
  t.equal(history.percentile(0.99), 7)
  for (let ms = 1; ms <= 128; ms++) history.ran('pass', ms, 0)
  t.equal(history.percentile(0.5), 64)
  t.equal(history.percentile(0.99), 127)
})

t.test('the last fifty changes are kept, but not first results that pass', async t => {
  const history = new History(() => 0)
  const change = { kind: 'check', probe: 'ready', check: 'database', from: 'unknown', to: 'pass', at: 1, lastedMs: 1 } as HealthzChange
  history.changed(change)
  t.strictSame(history.transitions, [])
  t.equal(history.since('ready/database'), 1)
  for (let at = 2; at <= 100; at++) history.changed({ kind: 'probe', probe: 'ready', from: 'pass', to: 'fail', at, lastedMs: 1, title: 'x'.repeat(301) })
  history.changed({ kind: 'state', from: 'serving', to: 'draining', at: 101, lastedMs: 5 })
  t.equal(history.transitions.length, 50)
  t.strictSame(history.transitions[0], { at: 101, what: 'app', from: 'serving', to: 'draining', lastedMs: 5 })
  t.strictSame(history.transitions[1], { at: 100, what: 'ready', from: 'pass', to: 'fail', lastedMs: 1, title: `${'x'.repeat(297)}…` })
})

t.test('checks that are gone are forgotten', async t => {
  const history = new History(() => 0)
  history.ran(run('pass'))
  history.ran(run('fail'))
  t.equal(history.of('ready', 'database')!.hour(0).outcomes.at(-1), 'fail')
  history.keep(new Set(['ready/database']))
  t.not(history.of('ready', 'database'), undefined)
  history.keep(new Set())
  t.equal(history.of('ready', 'database'), undefined)
})

t.test('of ever new checks a thousand are remembered', async t => {
  const history = new History(() => 0)
  for (let i = 0; i < 1500; i++) history.ran({ ...run('pass'), check: `check-${i}` })
  t.equal(history.of('ready', 'check-499'), undefined)
  t.not(history.of('ready', 'check-500'), undefined)
})

t.test('a million events take no more memory than the first ones', async t => {
  const history = new History(() => 0)
  const event = run('fail')
  const record = (count: number) => {
    for (let i = 0; i < count; i++) {
      history.ran(event)
      if (i % 10 === 0) history.changed({ kind: 'probe', probe: 'ready', from: 'pass', to: 'fail', at: i, lastedMs: 1, title: 'down' })
    }
  }
  record(1000)
  global.gc?.()
  const before = process.memoryUsage().heapUsed
  record(1_000_000)
  t.equal(history.transitions.length, 50)
  global.gc?.()
  if (global.gc !== undefined) t.ok(process.memoryUsage().heapUsed - before < 1_000_000)
})
