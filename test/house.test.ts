// How the house is kept, where no other suite sees it.
import { join } from 'node:path'
import t from 'tap'
import { filesIn, project } from './helpers/package.js'

/** Files of `lib/` without a test of their own, by the one that holds them. */
const HELD_ELSEWHERE: Readonly<Record<string, string>> = {
  // A list of names and nothing else: what has to be in it is what the page on ready-made checks has.
  'checks/index.ts': 'ready-made-checks.test.ts'
}

t.test('a file of lib/ has a test of its name in test/, or a reason why another one holds it', async t => {
  const [files, tests] = await Promise.all(['lib', 'test'].map(folder => filesIn(join(project, folder)))) as [string[], string[]]
  t.ok(files.length > 40)
  const without = files.filter(file => !tests.includes(file.replace(/\.ts$/, '.test.ts')))
  const exceptions = Object.keys(HELD_ELSEWHERE)
  t.strictSame(without.filter(file => !exceptions.includes(file)), [], 'no other file is without')
  t.strictSame(exceptions.filter(file => !without.includes(file)), [], 'no exception is left that is none any more')
  for (const [file, test] of Object.entries(HELD_ELSEWHERE)) t.ok(tests.includes(test), `${file} is held by ${test}, which exists`)
})
