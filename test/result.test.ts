import t from 'tap'
import { HealthError } from '../lib/errors.js'
import { causeOf, isThenable, judge, judgeError, judgeTimeout, type Result } from '../lib/result.js'

t.test('only exactly false is no pass', async t => {
  t.strictSame(judge(false), { outcome: 'fail', reason: 'failed' })
  for (const answer of [undefined, null, true, 0, '', 'false', NaN]) t.strictSame(judge(answer), { outcome: 'pass' })
})

t.test('a HealthError is expected, and anything else is not', async t => {
  const error = new HealthError('away')
  t.strictSame(judgeError(error), { outcome: 'fail', reason: 'failed', message: 'away', error })
  for (const thrown of [new Error('away'), 'away', null, undefined]) {
    t.strictSame(judgeError(thrown), { outcome: 'fail', reason: 'unexpected', error: thrown })
  }
})

t.test('a timeout says what the check waited for, if it has told', async t => {
  const told = { outcome: 'fail', reason: 'timeout', message: 'no answer within 500 ms' }
  t.strictSame(judgeTimeout(500, 'answer'), told)
  for (const awaiting of [undefined, null, 1, '', Symbol('answer')]) {
    t.strictSame(judgeTimeout(500, awaiting), { outcome: 'fail', reason: 'timeout' })
  }
})

t.test('what has a then to be called is waited for', async t => {
  for (const value of [Promise.resolve(), { then () {} }, Object.assign(() => {}, { then () {} })]) t.ok(isThenable(value))
  for (const value of [undefined, null, 'then', {}, { then: true }, () => {}]) t.notOk(isThenable(value))
})

t.test('one cause is told from another by its reason and its message, and none throws', async t => {
  const times = { outcome: 'fail', startedAt: 0, checkedAt: 0, durationMs: 0 } as const
  const unreadable = Object.defineProperty(new Error('x'), 'message', { get () { throw new Error('no') } })
  const results: Array<Partial<Result>> = [
    { reason: 'failed' }, { reason: 'timeout' }, { reason: 'failed', message: 'a' }, { reason: 'failed', message: 'b' },
    { reason: 'unexpected', error: new Error('a') }, { reason: 'unexpected', error: 'b' }, { reason: 'unexpected', error: unreadable },
    { reason: 'unexpected', error: null }
  ]
  t.equal(new Set(results.map(result => causeOf({ ...times, ...result }))).size, results.length)
  t.equal(causeOf({ ...times, reason: 'unexpected', error: new Error('a') }), causeOf({ ...times, reason: 'unexpected', error: new Error('a') }))
})
