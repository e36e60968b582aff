import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import t from 'tap'
import { project } from '../helpers/package.js'
import { hasAll } from '../helpers/services.js'

const folder = join(project, 'examples/monitoring')
const promtool = (...args: string[]) => spawnSync('promtool', args, { cwd: folder, encoding: 'utf8' })
const missing = promtool('--version').status === 0 ? [] : ["`promtool` of Debian's package prometheus"]

if (hasAll(t, missing)) {
  for (const args of [['check', 'rules', '--lint-fatal', 'alerts.yaml'], ['test', 'rules', 'alerts.test.yaml']]) {
    t.test(`promtool ${args.join(' ')}`, async t => {
      const { status, stdout, stderr } = promtool(...args)
      t.equal(status, 0, stdout + stderr)
    })
  }
}
