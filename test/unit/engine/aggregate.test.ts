import t from 'tap'
import { outcomeOf, type Result } from '../../../lib/engine/evaluate.js'
import { aggregate, PASS, reports, wordsOf } from '../../../lib/engine/aggregate.js'

const times = { startedAt: 5, checkedAt: Date.UTC(2026, 0, 1), durationMs: 1.23456 }
const pass: Result = { outcome: 'pass', ...times }
const fail = (rest: Partial<Result> = {}): Result => ({ outcome: 'fail', reason: 'failed', ...times, ...rest })
const failed = fail()
const timeout = fail({ reason: 'timeout' })
const unexpected = fail({ reason: 'unexpected', error: new Error('secret') })
const unchecked: Result = { outcome: 'fail', reason: 'unchecked', startedAt: -Infinity, checkedAt: null, durationMs: null }
const said = (message: string) => fail({ message })
const one = (name: string, result: Result) => aggregate('ready', [[{ name, critical: true }, result]])
const all = (...checks: Array<[name: string, result: Result, critical?: boolean]>) =>
  aggregate('ready', checks.map(([name, result, critical = true]) => [{ name, critical }, result]))

t.test('a probe whose checks all pass, or that has none, passes', async t => {
  t.equal(all(), PASS)
  t.equal(all(['a', pass], ['b', pass]), PASS)
  t.strictSame(PASS, { status: 200, title: 'OK' })
})

t.test('a check without a name speaks for its probe', async t => {
  t.strictSame(one('default', said("Can't connect")), { status: 503, title: "Can't connect" })
  t.strictSame(one('default', failed), { status: 503, title: 'The ready check failed' })
  t.strictSame(one('default', timeout), { status: 503, title: 'The ready check timed out' })
  t.strictSame(one('default', unexpected), { status: 500, title: 'The ready check failed unexpectedly' })
})

t.test('a check with a name puts it in front', async t => {
  t.strictSame(one('database', said("Can't connect")), { status: 503, title: "database: Can't connect" })
  t.strictSame(one('database', failed), { status: 503, title: 'database: failed' })
  t.strictSame(one('database', timeout), { status: 503, title: 'database: timed out' })
  t.strictSame(one('database', unchecked), { status: 503, title: 'database: not checked yet' })
  t.strictSame(one('database', unexpected), { status: 500, title: 'database: failed unexpectedly' })
})

t.test('several failing checks are joined in their order, and 500 wins over 503', async t => {
  t.strictSame(all(['b', failed], ['ok', pass], ['a', said('away')]), { status: 503, title: 'b: failed; a: away' })
  t.strictSame(all(['a', unexpected], ['b', failed]), { status: 500, title: 'a: failed unexpectedly; b: failed' })
})

t.test('a check that is not critical fails nothing', async t => {
  t.equal(all(['a', pass], ['b', unexpected, false]), PASS)
  t.strictSame(all(['a', failed], ['b', unexpected, false]), { status: 503, title: 'a: failed' })
})

t.test('a HealthError without a message reads as a plain failure', async t => {
  t.equal(one('default', said('')).title, 'The ready check failed')
  t.equal(one('database', said('')).title, 'database: failed')
})

t.test('in short a failure is its message, or else what its reason is called', async t => {
  t.strictSame([said('away'), said(''), timeout, unexpected, unchecked].map(wordsOf),
    ['away', 'failed', 'timed out', 'failed unexpectedly', 'not checked yet'])
})

t.test('a report of the checks says what an operator may know, and no error', async t => {
  const checkedAt = '2026-01-01T00:00:00.000Z'
  t.strictSame(reports([
    [{ name: 'a', critical: true }, pass],
    [{ name: 'b', critical: true }, unexpected],
    [{ name: 'c', critical: false }, said('away')],
    [{ name: '__proto__', critical: true }, unchecked]
  ]), Object.fromEntries([
    ['a', { status: 'pass', durationMs: 1.235, checkedAt }],
    ['b', { status: 'fail', title: 'failed unexpectedly', durationMs: 1.235, checkedAt }],
    ['c', { status: 'warn', title: 'away', durationMs: 1.235, checkedAt }],
    ['__proto__', { status: 'fail', title: 'not checked yet', durationMs: null, checkedAt: null }]
  ]))
})

t.test('a report has the data that the check set', async t => {
  const data = { free: 0.42 }
  t.match(reports([[{ name: 'a', critical: true }, { ...pass, data }], [{ name: 'b', critical: true }, fail({ data })]]), {
    a: { status: 'pass', data }, b: { status: 'fail', data }
  })
})

t.test('a report has no date where a test has mocked `Date`', async t => {
  const report = (checkedAt: number) => reports([[{ name: 'a', critical: true }, { ...pass, checkedAt }]]).a
  t.match(report(NaN), { status: 'pass', checkedAt: null })
  t.match(report(undefined as never), { status: 'pass', checkedAt: null })
  const { Date } = globalThis
  t.teardown(() => { globalThis.Date = Date })
  globalThis.Date = function () {} as never
  t.match(report(0), { status: 'pass', checkedAt: null })
})

t.test('the failure of a check that is not critical is a warning', async t => {
  t.strictSame([outcomeOf(true, 'fail'), outcomeOf(false, 'fail'), outcomeOf(false, 'pass'), outcomeOf(false, 'unknown')],
    ['fail', 'warn', 'pass', 'unknown'])
})
