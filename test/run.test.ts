import t from 'tap'
import type { Result } from '../lib/result.js'
import { Run } from '../lib/run.js'
import { Turn } from '../lib/turn.js'
import { FakeTime } from './helpers/time.js'

const pass: Result = { outcome: 'pass', startedAt: 0, checkedAt: 0, durationMs: 0 }

function run (): Run {
  return new Run(new Turn(new FakeTime()))
}

t.test('all who wait for a run get its result, those who come late at once', async t => {
  const shared = run()
  const got: Result[] = []
  shared.then(result => got.push(result))
  shared.then(result => got.push(result))
  t.strictSame(got, [])
  shared.resolve(pass)
  shared.then(result => got.push(result))
  t.strictSame(got, [pass, pass, pass])
  t.equal(await shared, pass)
  t.doesNotThrow(() => run().resolve(pass), 'nobody waits for this one')
})

t.test('a signal aborts with the reason, whether it was read before or is after', async t => {
  const reason = new DOMException('late', 'TimeoutError')
  const [before, after] = [run(), run()]
  t.notOk(before.signal.aborted)
  before.abort(reason)
  after.abort(reason)
  t.strictSame([before.signal.reason, after.signal.reason], [reason, reason])
  t.equal(after.signal, after.signal)
})
