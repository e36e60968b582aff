import t from 'tap'
import { HealthError } from '../../../lib/errors.js'
import { type CheckPlan, Transitions, type Observer } from '../../../lib/engine/transitions.js'
import { evaluate, evaluateError, type Evaluation, type Result } from '../../../lib/engine/evaluate.js'
import { FakeTime } from '../../helpers/time.js'

const plan: CheckPlan = { probe: 'ready', name: 'database', timeout: 800, critical: true, maxAge: 0 }
const optional: CheckPlan = { ...plan, critical: false }
const MINUTE = 60_000

/** The transitions of a check since 0 ms, what was reported, and what of it for the log. `result` goes on from the outcome before. */
function transitionsOf (critical = true) {
  const told: unknown[][] = []
  const logged: unknown[][] = []
  const time = new FakeTime()
  const write = (what: keyof Observer) => (of: CheckPlan, ...rest: unknown[]) => { told.push(of === plan || of === optional ? [what, ...rest] : ['another check']) }
  const observer: Observer = {
    finished () { finished++ },
    changed: (_plan, from, { outcome }, lastedMs) => { told.push(['changed', from, outcome, lastedMs]) },
    tolerated: write('tolerated'),
    failing: (_plan, { message }, unlogged) => { logged.push([time.now(), message ?? 'failing', unlogged]) },
    recovered: (_plan, lastedMs, unlogged) => { logged.push([time.now(), `recovered after ${lastedMs}`, unlogged]) },
    causeChanged: (_plan, { message, error }) => { told.push(['causeChanged', message ?? error]) },
    overran: write('overran'),
    stuck: write('stuck'),
    dataDropped: write('dataDropped')
  }
  let finished = 0
  const transitions = new Transitions(critical ? plan : optional, observer, time)
  let before: 'unknown' | Result['outcome'] = 'unknown'
  const result = (evaluation: Evaluation, now: number) => {
    const result: Result = { ...evaluation, startedAt: now, checkedAt: now, durationMs: 0 }
    transitions.finished(result)
    transitions.result(before, result, now)
    before = evaluation.outcome
  }
  /** Comes to these results, each at its moment. */
  const goOn = async (...results: Array<readonly [at: number, evaluation: Evaluation]>) => {
    for (const [at, evaluation] of results) {
      await time.advance(at - time.now())
      result(evaluation, at)
    }
  }
  return { transitions, told, logged, time, result, goOn, finished: () => finished }
}

const pass = evaluate(true)
const failed = evaluate(false)
const says = (message: string) => evaluateError(new HealthError(message))
const tolerated: Evaluation = { ...failed, outcome: 'warn' }
const recovering: Evaluation = { outcome: 'fail', reason: 'recovering', message: 'recovering, passed 1 of 2 times' }

t.test('each result is told as finished, and a change of the outcome once, with how long it had been as before', async t => {
  const { told, result, finished } = transitionsOf()
  result(pass, 10)
  result(pass, 20)
  result(failed, 1000)
  result(failed, 2000)
  result(pass, 4500)
  t.strictSame(told, [['changed', 'unknown', 'pass', 10], ['changed', 'pass', 'fail', 990], ['changed', 'fail', 'pass', 3500]])
  t.equal(finished(), 5)
})

t.test('a tolerated failure is a change to warn, and logged as tolerated, and the failure that follows is another change', async t => {
  const { told, logged, result, time } = transitionsOf()
  result(pass, 0)
  result(tolerated, 1000)
  result(tolerated, 2000)
  result(pass, 3000)
  result(tolerated, 4000)
  result(says('a'), 5000)
  result(pass, 7000)
  t.strictSame(told.map(([what, ...rest]) => what === 'changed' ? rest : what), [
    ['unknown', 'pass', 0], 'tolerated', ['pass', 'warn', 1000], 'tolerated', ['warn', 'pass', 2000], 'tolerated', ['pass', 'warn', 1000],
    ['warn', 'fail', 1000], ['fail', 'pass', 2000]
  ])
  t.strictSame(logged, [[0, 'a', 0], [0, 'recovered after 2000', 0]])
  t.equal(time.timers, 0)
})

t.test('a check that is not critical warns of tolerated failures and of others, which is one change', async t => {
  const { told, logged, result } = transitionsOf(false)
  result(pass, 0)
  result(tolerated, 1000)
  result(says('a'), 5000)
  result(tolerated, 7000)
  result(pass, 8000)
  t.strictSame(told.filter(([what]) => what === 'changed'), [
    ['changed', 'unknown', 'pass', 0], ['changed', 'pass', 'warn', 1000], ['changed', 'warn', 'pass', 7000]
  ])
  t.strictSame(logged, [[0, 'a', 0], [0, 'recovered after 2000', 0]], 'the log has how long it failed')
})

t.test('a check that is recovering has no other cause', async t => {
  const { told, result } = transitionsOf()
  result(says('a'), 0)
  result(recovering, 2 * MINUTE)
  result(says('a'), 3 * MINUTE)
  t.equal(told.length, 1)
  result(says('b'), 4 * MINUTE)
  t.strictSame(told.slice(1), [['causeChanged', 'b']])
})

t.test('another cause of the same failure is told, a minute after the last one and no sooner', async t => {
  const { told, result } = transitionsOf()
  const unreadable = Object.defineProperty(new Error('x'), 'message', { get () { throw new Error('no') } })
  result(says('a'), 0)
  result(says('a'), MINUTE)
  result(says('b'), MINUTE + 1)
  result(says('c'), 2 * MINUTE)
  result(says('c'), 2 * MINUTE + 1)
  result(evaluateError('text'), 3 * MINUTE + 1)
  result(evaluateError(undefined), 4 * MINUTE + 1)
  result(evaluateError(unreadable), 5 * MINUTE + 1)
  result(evaluateError(unreadable), 6 * MINUTE + 1)
  t.strictSame(told.slice(1), [
    ['causeChanged', 'b'], ['causeChanged', 'c'], ['causeChanged', 'text'], ['causeChanged', undefined], ['causeChanged', unreadable]
  ])
})

t.test('the minute of a cause begins anew with each failure, whose own cause is known with it', async t => {
  const { told, result } = transitionsOf()
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
  const { transitions, told } = transitionsOf()
  transitions.blocked(800, 800)
  t.strictSame(told, [])
  transitions.blocked(800.1, 1000)
  transitions.blocked(5000, 1000 + MINUTE - 1)
  t.strictSame(told, [['overran', 800.1]])
  transitions.blocked(900, 1000 + MINUTE)
  t.strictSame(told.slice(1), [['overran', 900]])
})

t.test('once it is stopped nothing is told', async t => {
  const { transitions, told, result, finished } = transitionsOf()
  transitions.stuck(3)
  transitions.stop()
  result(failed, 1)
  result(says('b'), 1 + MINUTE)
  transitions.blocked(1000, MINUTE)
  transitions.stuck(3)
  t.strictSame(told, [['stuck', 3]])
  t.equal(finished(), 0)
})

t.test('the first failure and the first recovery are logged at once, and so are those of an outage that comes later', async t => {
  const { logged, goOn } = transitionsOf()
  await goOn([0, pass], [1000, says('a')], [2000, says('a')], [3000, pass], [4000, pass], [60_000, says('b')], [90_000, pass])
  t.strictSame(logged, [[1000, 'a', 0], [3000, 'recovered after 2000', 0], [60_000, 'b', 0], [90_000, 'recovered after 30000', 0]])
})

t.test('a check that flaps is logged every ten seconds, as it is then, with how many changes were left out', async t => {
  const { told, logged, goOn, time } = transitionsOf()
  const flips = Array.from({ length: 2000 }, (_, i) => [i * 10, i % 2 === 0 ? says('a') : pass] as const)
  await goOn(...flips)
  await time.advance(60_000)
  t.strictSame(logged, [
    [0, 'a', 0],
    [10, 'recovered after 10', 0],
    [10_000, 'recovered after 10', 997],
    [20_000, 'recovered after 10', 999]
  ])
  t.equal(told.length, 2000, 'each change is reported')
  t.equal(time.timers, 0)
})

t.test('a failure that stays is logged even if no run comes after it', async t => {
  const { logged, goOn, time } = transitionsOf()
  await goOn([0, says('a')], [100, pass], [200, says('b')])
  t.equal(time.holding, 0, 'the process does not wait for the line')
  await time.advance(9_799)
  t.equal(logged.length, 2)
  await time.advance(1)
  t.strictSame(logged.slice(2), [[10_000, 'b', 0]])
  await goOn([25_000, pass])
  t.strictSame(logged.slice(3), [[25_000, 'recovered after 24800', 0]])
})

t.test('in no span of time are there more lines than two and one for each ten seconds', async t => {
  const { logged, goOn, time } = transitionsOf()
  let at = 0
  let seed = 1
  const random = () => (seed = seed * 48_271 % 2_147_483_647) / 2_147_483_647
  for (let i = 0; i < 2000; i++) await goOn([at += Math.ceil(random() ** 4 * 30_000), i % 2 === 0 ? says(String(i)) : pass])
  await time.advance(10_000)
  const moments = logged.map(([at]) => at as number)
  for (const [i, from] of moments.entries()) {
    for (const [j, to] of moments.entries()) {
      if (j > i && j - i + 1 > 2 + (to - from) / 10_000) t.fail(`${j - i + 1} lines from ${from} to ${to}`)
    }
  }
  t.match(logged.at(-1), [Number, /^recovered/, Number])
  const flips = logged.length + logged.reduce((sum, [, , unlogged]) => sum + (unlogged as number), 0)
  t.equal(flips, 2000, 'each change is logged or counted')
})

t.test('a check that is stopped while a line waits writes none', async t => {
  const { transitions, logged, goOn, result, time } = transitionsOf()
  await goOn([0, says('a')], [1, pass], [2, says('b')])
  transitions.stop()
  result(pass, 3)
  t.equal(time.timers, 0)
  await time.advance(20_000)
  t.equal(logged.length, 2)
})
