// The workflows of GitHub Actions: valid, and with no more rights than they need.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { validateWorkflow } from '@action-validator/core'
import t from 'tap'
import { parse } from 'yaml'
import { project } from '../helpers/package.js'

const folder = join(project, '.github/workflows')
const workflows = readdirSync(folder).map(name => ({ name, text: readFileSync(join(folder, name), 'utf8') }))

for (const { name, text } of workflows) {
  t.test(name, async t => {
    t.strictSame(validateWorkflow(text).errors, [], 'is valid')

    const uses = text.match(/\buses:.*/g) ?? []
    t.ok(uses.length > 0)
    const loose = uses.filter(line => !/^uses: [\w-]+\/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$/.test(line))
    t.strictSame(loose, [], 'pins every action to a commit, with its version beside it')

    const { permissions, jobs } = parse(text)
    t.ok(permissions, 'has no default permissions')
    const granted = [permissions, ...Object.values<any>(jobs).map(job => job.permissions ?? {})].flatMap(Object.entries)
    const allowed = name === 'release.yml' ? ['contents: read', 'id-token: write'] : ['contents: read']
    t.strictSame([...new Set(granted.map(entry => entry.join(': ')))], allowed, 'reads the sources, and only a release signs')
    t.notMatch(text, /persist-credentials: true|secrets\.|pull_request_target/)
  })
}

t.test('the oldest supported version of Node is tested', async t => {
  const { engines } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8'))
  const { jobs } = parse(workflows.find(({ name }) => name === 'ci.yml')!.text)
  t.equal(jobs.test.strategy.matrix.node[0], Number(/^>=(\d+)/.exec(engines.node)![1]))
})
