// The page of the ready-made checks holds what there is.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import * as checks from '../../lib/checks/index.js'
import { blocksOf, readPage } from '../helpers/docs.js'
import { project } from '../helpers/package.js'

const page = readPage('docs/ready-made-checks.md')

t.test('a recipe is on the page as it is in its file', async t => {
  const folder = join(project, 'examples/recipes')
  const files = readdirSync(folder).map(file => readFileSync(join(folder, file), 'utf8').trimEnd())
  const recipes = blocksOf(page).map(({ code }) => code).filter(code => code.includes('export function'))
  t.not(recipes.length, 0)
  t.same(recipes.filter(recipe => !files.some(file => file.endsWith(recipe))), [])
})

t.test('every ready-made check has its row and its piece on the page', async t => {
  const names = Object.keys(checks).sort()
  t.same([...page.text.matchAll(/^### (\w+)$/gm)].map(([, name]) => name!).sort(), names)
  t.same([...page.text.matchAll(/^\| \[`(\w+)`\]\(#(\w+)\)/gm)].map(([, name, anchor]) => anchor === name!.toLowerCase() && name).sort(), names)
})
