import t from 'tap'
import { HealthError } from '../../../lib/errors.js'
import { causeOf, isThenable, evaluate, evaluateError, evaluateTimeout, type Result } from '../../../lib/engine/evaluate.js'

t.test('only exactly false is no pass', async t => {
  t.strictSame(evaluate(false), { outcome: 'fail', reason: 'failed' })
  for (const answer of [undefined, null, true, 0, '', 'false', NaN]) t.strictSame(evaluate(answer), { outcome: 'pass' })
})

t.test('a function or a generator is no result: it was not run', async t => {
  for (const answer of [() => {}, async () => {}, class {}, (function * () {})(), (async function * () {})()]) {
    t.match(evaluate(answer), { outcome: 'fail', reason: 'unexpected', error: { message: /^The check returned a (function|generator), which was not / } })
  }
  for (const answer of [[], new Map().values(), { next () {} }, [][Symbol.iterator]()]) t.strictSame(evaluate(answer), { outcome: 'pass' })
})

t.test('a HealthError is expected, and anything else is not', async t => {
  const error = new HealthError('away')
  t.strictSame(evaluateError(error), { outcome: 'fail', reason: 'failed', message: 'away', error })
  for (const thrown of [new Error('away'), 'away', null, undefined]) {
    t.strictSame(evaluateError(thrown), { outcome: 'fail', reason: 'unexpected', error: thrown })
  }
})

t.test('a timeout says what the check waited for, if it has told', async t => {
  const told = { outcome: 'fail', reason: 'timeout', message: 'no answer within 500 ms' }
  t.strictSame(evaluateTimeout(500, 'answer'), told)
  for (const awaiting of [undefined, null, 1, '', Symbol('answer')]) {
    t.strictSame(evaluateTimeout(500, awaiting), { outcome: 'fail', reason: 'timeout' })
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

t.test('a message of which only numbers differ is the same cause', async t => {
  const times = { outcome: 'fail', reason: 'failed', startedAt: 0, checkedAt: 0, durationMs: 0 } as const
  const cause = (message: string) => causeOf({ ...times, message })
  t.equal(cause('no beat for 75 s'), cause('no beat for 135 s'))
  t.not(cause('no beat for 75 s'), cause('no beat for 75 min'))
})
