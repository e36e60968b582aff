import t from 'tap'
import { HealthError } from '../lib/errors.js'
import { type CheckPlan, News, type Observer } from '../lib/news.js'
import { judge, judgeError, type Judgement } from '../lib/result.js'

const plan: CheckPlan = { probe: 'ready', name: 'database', timeout: 800, critical: true, maxAge: 0 }
const MINUTE = 60_000

/** The news of a check since 0 ms, and what they told. `result` goes on from the outcome before. */
function newsOf () {
  const told: unknown[][] = []
  const write = (what: keyof Observer) => (of: CheckPlan, ...rest: unknown[]) => { told.push(of === plan ? [what, ...rest] : ['another check']) }
  const observer: Observer = {
    finished () { finished++ },
    changed: (_plan, from, { outcome }, lastedMs) => { told.push(['changed', from, outcome, lastedMs]) },
    causeChanged: (_plan, { message, error }) => { told.push(['causeChanged', message ?? error]) },
    overran: write('overran'),
    stuck: write('stuck')
  }
  let finished = 0
  const news = new News(plan, observer, 0)
  let before: 'unknown' | 'pass' | 'fail' = 'unknown'
  const result = (judgement: Judgement, now: number) => {
    news.result(before, { ...judgement, startedAt: now, checkedAt: now, durationMs: 0 }, now)
    before = judgement.outcome
  }
  return { news, told, result, finished: () => finished }
}

const pass = judge(true)
const failed = judge(false)
const says = (message: string) => judgeError(new HealthError(message))

t.test('each result is told as finished, and a change of the outcome once, with how long it had been as before', async t => {
  const { told, result, finished } = newsOf()
  result(pass, 10)
  result(pass, 20)
  result(failed, 1000)
  result(failed, 2000)
  result(pass, 4500)
  t.strictSame(told, [['changed', 'unknown', 'pass', 10], ['changed', 'pass', 'fail', 990], ['changed', 'fail', 'pass', 3500]])
  t.equal(finished(), 5)
})

t.test('another cause of the same failure is told, a minute after the last one and no sooner', async t => {
  const { told, result } = newsOf()
  const unreadable = Object.defineProperty(new Error('x'), 'message', { get () { throw new Error('no') } })
  result(says('a'), 0)
  result(says('a'), MINUTE)
  result(says('b'), MINUTE + 1)
  result(says('c'), 2 * MINUTE)
  result(says('c'), 2 * MINUTE + 1)
  result(judgeError('text'), 3 * MINUTE + 1)
  result(judgeError(undefined), 4 * MINUTE + 1)
  result(judgeError(unreadable), 5 * MINUTE + 1)
  result(judgeError(unreadable), 6 * MINUTE + 1)
  t.strictSame(told.slice(1), [
    ['causeChanged', 'b'], ['causeChanged', 'c'], ['causeChanged', 'text'], ['causeChanged', undefined], ['causeChanged', unreadable]
  ])
})

t.test('the minute of a cause begins anew with each failure, whose own cause is known with it', async t => {
  const { told, result } = newsOf()
  result(says('a'), 0)
  result(pass, 30_000)
  result(says('b'), 40_000)
  result(says('c'), 40_000 + MINUTE - 1)
  result(says('b'), 40_000 + MINUTE)
  t.equal(told.length, 3)
  result(says('c'), 40_000 + MINUTE)
  t.strictSame(told.slice(3), [['causeChanged', 'c']])
})

t.test('a call is told that blocked for longer than the timeout, a minute after the last one and no sooner', async t => {
  const { news, told } = newsOf()
  news.blocked(800, 800)
  t.strictSame(told, [])
  news.blocked(800.1, 1000)
  news.blocked(5000, 1000 + MINUTE - 1)
  t.strictSame(told, [['overran', 800.1]])
  news.blocked(900, 1000 + MINUTE)
  t.strictSame(told.slice(1), [['overran', 900]])
})

t.test('once it is stopped nothing is told', async t => {
  const { news, told, result, finished } = newsOf()
  news.stuck(3, 600_000)
  news.stop()
  result(failed, 1)
  result(says('b'), 1 + MINUTE)
  news.blocked(1000, MINUTE)
  news.stuck(3, 600_000)
  t.strictSame(told, [['stuck', 3, 600_000]])
  t.equal(finished(), 0)
})
