import t from 'tap'
import * as checks from '../../../lib/checks/index.js'
import { readOptions } from '../../../lib/checks/options.js'

t.test('known options are returned', async t => {
  const options = { max: 5 }
  t.strictSame(readOptions('x', options, ['max']), options)
})

t.test('unknown options and values that are not objects are errors', async t => {
  t.throws(() => readOptions('x', { max: 5, mox: 5 }, ['max']), {
    code: 'HEALTHZ_ERR_OPTION_UNKNOWN', message: 'Unknown option `x().mox`: expected one of `max`'
  })
  t.throws(() => readOptions('x', 5 as any, []), {
    code: 'HEALTHZ_ERR_OPTION_INVALID', message: 'Expected `options of x()` to be an object, got `5` (number)'
  })
})

t.test('each check of the process, the machine and the network rejects unknown options', async t => {
  for (const name of ['eventLoopDelay', 'eventLoopUtilization', 'heapUsed', 'heartbeat', 'rss', 'diskFree', 'tcp', 'http'] as const) {
    const make = checks[name] as (options?: object) => unknown
    t.throws(() => make(), { message: `Expected \`options of ${name}()\` to be an object, got \`undefined\`` })
    t.throws(() => make({ nowhere: 1 }), { code: 'HEALTHZ_ERR_OPTION_UNKNOWN', message: RegExp(`\`${name}\\(\\)\\.nowhere\``) })
  }
})
