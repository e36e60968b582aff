import t from 'tap'
import { Run } from '../../../lib/engine/run.js'

const run = () => new Run(0, 0)

t.test('a signal aborts with the reason, whether it was read before or is after', async t => {
  const reason = new DOMException('late', 'TimeoutError')
  const [before, after] = [run(), run()]
  t.notOk(before.signal.aborted)
  before.abort(reason)
  after.abort(reason)
  t.strictSame([before.signal.reason, after.signal.reason], [reason, reason])
  t.equal(after.signal, after.signal)
  t.strictSame([before.signalled, run().signalled], [true, false])
})
