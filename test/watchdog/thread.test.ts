// The tests of the separate port, once more with a thread: nothing differs while the event loop turns.
import { join } from 'node:path'
import t from 'tap'
import { WITH_THREAD } from '../helpers/service.js'

// Its long random tests are in `npm run test:long`.
const { HEALTHZ_LONG, ...env } = process.env

for (const file of ['probe-server', 'boot', 'aborts', 'requests.property']) {
  const args = [...process.execArgv, '--require', WITH_THREAD, join(__dirname, `../integration/${file}.test.ts`)]
  // What is loaded from `dist/` doesn't count for the coverage.
  t.spawn(process.execPath, args, { env: { ...env, HEALTHZ_THREAD: '1', _TAPJS_PROCESSINFO_COVERAGE_: '0' } }, file)
}
