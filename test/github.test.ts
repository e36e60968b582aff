// What GitHub does for the project: its workflows, the updates of dependencies, what it asks of who opens an issue.
import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { validateWorkflow } from '@action-validator/core'
import t from 'tap'
import { parse } from 'yaml'
import { filesIn, project } from './helpers/package.js'

const read = (path: string) => readFileSync(join(project, '.github', path), 'utf8')
const workflows = readdirSync(join(project, '.github/workflows'))
const texts = workflows.map(name => read(`workflows/${name}`))

t.test('every workflow is one that GitHub understands', async t => {
  workflows.forEach((name, i) => t.same(validateWorkflow(texts[i]!).errors, [], name))
})

t.test('every action is named by the hash of a commit, with its version beside it', async t => {
  const uses = texts.flatMap(text => text.match(/\buses:.*/g) ?? [])
  t.not(uses.length, 0)
  t.same(uses.filter(line => !/^uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(line)), [])
  t.equal(new Set(uses).size, new Set(uses.map(line => line.split('@')[0])).size, 'one version of each')
})

t.test('a workflow may read the sources, and only the one that publishes may sign', async t => {
  workflows.forEach((name, i) => {
    const { permissions, jobs } = parse(texts[i]!)
    t.ok(permissions, `${name} says what it may do`)
    const granted = [permissions, ...Object.values<any>(jobs).map(job => job.permissions ?? {})].flatMap(Object.entries)
    const allowed = name === 'release.yml' ? ['contents: read', 'id-token: write'] : ['contents: read']
    t.same([...new Set(granted.map(entry => entry.join(': ')))], allowed, name)
    t.notMatch(texts[i], /persist-credentials: true|secrets\.|pull_request_target/, name)
  })
})

t.test('the oldest Node that is supported is tested', async t => {
  const { engines } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8'))
  t.equal(parse(read('workflows/ci.yml')).jobs.test.strategy.matrix.node[0], Number(/^>=(\d+)/.exec(engines.node)![1]))
})

t.test('whatever has dependencies of its own is kept up to date', async t => {
  const updates: Array<Record<string, string>> = parse(read('dependabot.yml')).updates
  const updated = updates.map(update => `${update['package-ecosystem']} ${update['directory']}`)
  const kinds: Record<string, string> = { 'package.json': 'npm', Dockerfile: 'docker' }
  const below = await Promise.all(readdirSync(project).filter(name => ['bench', 'examples'].includes(name))
    .map(async folder => (await filesIn(join(project, folder))).map(file => `${folder}/${file}`)))
  const needed = below.flat().filter(file => !file.includes('node_modules/') && basename(file) in kinds)
    .map(file => `${kinds[basename(file)]} /${dirname(file)}`)
  for (const update of ['npm /', 'github-actions /', ...needed]) t.ok(updated.includes(update), update)
})

t.test('who reports a bug is asked for what shows it', async t => {
  const { body } = parse(read('ISSUE_TEMPLATE/bug.yml')) as { body: Array<Record<string, any>> }
  const required = body.filter(({ validations }) => validations?.required).map(({ id }) => id)
  t.same(required, ['what', 'program', 'versions'])
  t.ok(body.some(({ id }) => id === 'manifest'), 'the manifest only where there is one')
})
