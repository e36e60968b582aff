import t from 'tap'
import { type Evaluation, evaluate, evaluateError } from '../../../lib/engine/evaluate.js'
import { Thresholds } from '../../../lib/engine/thresholds.js'
import { HealthError } from '../../../lib/errors.js'

const pass = evaluate(true)
const fail = evaluateError(new HealthError('down'))

/** The outcomes of a check after runs that passed (`p`) and failed (`f`); `F` settles late, after its timeout was counted. */
function outcomes (runs: string, failureThreshold?: number, successThreshold?: number): string {
  const thresholds = new Thresholds({ failureThreshold, successThreshold })
  return [...runs].map(run => thresholds.count(run === 'p' ? pass : fail, run === 'F').outcome[0]).join('')
}

t.test('without thresholds the last run decides, and its evaluation is passed on as it is', async t => {
  t.equal(outcomes('pfpffp'), 'pfpffp')
  const thresholds = new Thresholds({})
  t.equal(thresholds.count(pass, false), pass)
  t.equal(thresholds.count(fail, false), fail)
})

t.test('a check fails after so many failed runs in a row, and warns until then', async t => {
  t.equal(outcomes('pffff', 3), 'pwwff')
  t.equal(outcomes('pffpffpfff', 3), 'pwwpwwpwwf', 'a pass starts the count again')
  t.equal(outcomes('pfpf', 2), 'pwpw')
})

t.test('nothing is tolerated before the first pass', async t => {
  t.equal(outcomes('f', 3), 'f')
  t.equal(outcomes('ffffpf', 3), 'ffffpw')
})

t.test('a failed check passes after so many passed runs in a row', async t => {
  t.equal(outcomes('pfpppf', 1, 3), 'pfffpf')
  t.equal(outcomes('pfppfppp', 1, 3), 'pffffffp', 'a failure starts the count again')
  t.equal(outcomes('fpp', 1, 2), 'ffp')
})

t.test('the first pass of a check that has not failed, or is only warned of, needs no others', async t => {
  t.equal(outcomes('p', 1, 5), 'p')
  t.equal(outcomes('pfp', 2, 5), 'pwp')
})

t.test('both thresholds count on their own', async t => {
  t.equal(outcomes('pfffpfppf', 3, 2), 'pwwffffpw')
})

t.test('a run that timed out and fails late is counted once', async t => {
  t.equal(outcomes('pfFfFf', 3), 'pwwwwf')
  t.equal(outcomes('pfp', 3), 'pwp', 'and passes late like any other')
})

t.test('a failure has the number of them in a row, and a recovery how far it is', async t => {
  const thresholds = new Thresholds({ failureThreshold: 2, successThreshold: 3 })
  const count = (run: Evaluation) => thresholds.count(run, false)
  count(pass)
  t.strictSame(count(fail), { ...fail, outcome: 'warn', failures: 1 })
  t.strictSame(count(fail), { ...fail, failures: 2 })
  t.strictSame(count(pass), { outcome: 'fail', reason: 'recovering', message: 'recovering, passed 1 of 3 times' })
  t.strictSame(count(fail), { ...fail, failures: 1 }, 'it has not recovered, so nothing is tolerated')
  t.strictSame([pass, pass, pass].map(count), [
    { outcome: 'fail', reason: 'recovering', message: 'recovering, passed 1 of 3 times' },
    { outcome: 'fail', reason: 'recovering', message: 'recovering, passed 2 of 3 times' },
    pass
  ])
})
