import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { project } from '../helpers/package.js'
import { literalErrors } from './helpers/models.js'

interface Panel {
  readonly id: number
  readonly title: string
  readonly description: string
  readonly datasource: object
  readonly gridPos: { readonly x: number, readonly y: number, readonly w: number, readonly h: number }
  readonly targets: ReadonlyArray<{ readonly refId: string, readonly datasource: object, readonly expr: string }>
}

const read = (path: string) => readFileSync(join(project, path), 'utf8')
const dashboard = JSON.parse(read('examples/monitoring/dashboard.json'))
const { panels }: { panels: Panel[] } = dashboard

t.test("the dashboard has the type of Grafana's schema", async t => {
  const errors = (value: object) => literalErrors([{ type: "import('./grafana.js').DashboardFile", value }])
  t.strictSame(errors(dashboard), [])
  t.match(errors({ ...dashboard, panel: [] }), [/'"panel"' does not\s+exist/], 'a typing error would be found')
})

t.test('each panel has its place, its queries the data source and the pods that were chosen, and its metrics exist', async t => {
  t.equal(new Set(panels.map(({ id }) => id)).size, panels.length)
  const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) => {
    return Array.from({ length: w * h }, (_, i) => `${x + i % w} ${y + Math.floor(i / w)}`)
  })
  t.equal(new Set(cells).size, cells.length, 'none overlaps another')
  t.notOk(panels.some(({ gridPos: { x, w } }) => x + w > 24))
  const source = { type: 'prometheus', uid: '$datasource' }
  const documented = read('docs/metrics.md')
  for (const { title, description, datasource, targets } of panels) {
    t.match(description, /\.$/, title)
    t.strictSame([datasource, ...targets.map(({ datasource }) => datasource)], Array(targets.length + 1).fill(source))
    t.equal(new Set(targets.map(({ refId }) => refId)).size, targets.length)
    for (const { expr } of targets) {
      for (const [, name] of expr.matchAll(/\b(healthz_\w+?)(?:_bucket)?\{/g)) t.match(documented, `| \`${name}\` |`)
      for (const [selector] of expr.matchAll(/healthz_\w+\{[^}]*\}/g)) t.match(selector, 'namespace=~"$namespace", job=~"$job", pod=~"$pod"')
    }
  }
})

t.test('its variables can be one, many or all', async t => {
  const variables: Array<Record<string, unknown>> = dashboard.templating.list
  t.strictSame(variables.map(({ name }) => name), ['datasource', 'namespace', 'job', 'pod'])
  for (const variable of variables.slice(1)) t.match(variable, { multi: true, includeAll: true, allValue: '.*' })
})
