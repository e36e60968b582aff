import t from 'tap'
import { expectSize, inBytes, inMiB } from '../../../lib/checks/size.js'

t.test('a size is a fraction, or at least 1 MiB in bytes', async t => {
  for (const size of [Number.MIN_VALUE, 0.5, 0.999, 2 ** 20, 5e9]) t.equal(expectSize('x', size), size)
  for (const wrong of [0, 1, 90, 1.5, -0.5, 2 ** 20 - 1, 2 ** 20 + 0.5, 2 ** 60, Infinity, NaN, '0.5', null, undefined]) {
    t.throws(() => expectSize('rss().max', wrong), {
      code: 'HEALTHZ_ERR_OPTION_INVALID',
      message: /^Expected `rss\(\)\.max` to be a fraction between 0 and 1, or an integer >= 1048576 \(bytes\), got `/
    }, String(wrong))
  }
})

t.test('a fraction is relative to the total', async t => {
  t.equal(inBytes(0.25, 1000), 250)
  t.equal(inBytes(2 ** 21, 1000), 2 ** 21)
})

t.test('a value above a limit is shown above it', async t => {
  t.equal(inMiB(2 ** 20 + 1, 'ceil'), 2)
  t.equal(inMiB(2 ** 20 + 1, 'floor'), 1)
})
