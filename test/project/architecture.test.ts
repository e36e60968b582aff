import t from 'tap'
import { project, run } from '../helpers/package.js'

t.test('the drawing of the architecture is that of the code, and no import leads back to its file or directory', async t => {
  t.match(await run(process.execPath, ['scripts/architecture.mjs', '--check'], project), { code: 0, stderr: '' })
})
