import t from 'tap'
import type { Result } from '../lib/result.js'
import { Run } from '../lib/run.js'

t.test('all who wait for a run get its result', async t => {
  const run = new Run(0, 0)
  const { result } = run
  t.equal(run.result, result)
  const pass: Result = { outcome: 'pass', startedAt: 0, checkedAt: 0, durationMs: 0 }
  run.resolve(pass)
  t.equal(await result, pass)
  t.doesNotThrow(() => new Run(0, 0).resolve(pass), 'nobody waits for this one')
})

t.test('a signal aborts with the reason, whether it was read before or is after', async t => {
  const reason = new DOMException('late', 'TimeoutError')
  const [before, after] = [new Run(0, 0), new Run(0, 0)]
  t.notOk(before.signal.aborted)
  before.abort(reason)
  after.abort(reason)
  t.strictSame([before.signal.reason, after.signal.reason], [reason, reason])
  t.equal(after.signal, after.signal)
})
