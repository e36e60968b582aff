import t from 'tap'
import { defaultDelay } from '../../lib/defaults.js'

const KUBERNETES = { KUBERNETES_SERVICE_HOST: '10.96.0.1' }
/** What `node --watch` sets. */
const WATCHED = { WATCH_REPORT_DEPENDENCIES: '1' }

t.test('a drain takes 5 s by default, and no time in a terminal or under a watcher', async t => {
  t.equal(defaultDelay({}, false), 5000)
  t.equal(defaultDelay({}, true), 0)
  t.equal(defaultDelay(WATCHED, false), 0)
})

t.test('in a pod it takes 5 s also under a watcher and with a terminal', async t => {
  t.equal(defaultDelay(KUBERNETES, false), 5000)
  t.equal(defaultDelay({ ...KUBERNETES, ...WATCHED }, true), 5000)
})

t.test('the environment and stdin are those of the process', async t => {
  t.equal(defaultDelay(), defaultDelay(process.env, process.stdin.isTTY))
})
