// The simulation of docs/scale.md, with fewer pods.
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import underPressure from '@fastify/under-pressure'
import Fastify from 'fastify'
import t from 'tap'
import { rowsIn } from '../helpers/docs.js'
import { project, run } from '../helpers/package.js'

const load = (file: string) => import(pathToFileURL(join(project, 'bench/fleet-simulation', file)).href)
/** Its queries at random moments have higher peaks than the targets, which the verdicts know. */
const PODS = 100

t.test('a fleet meets the targets, whether its database refuses or hangs', async t => {
  const [{ FAILURES, simulate }, { SETUPS }, { targets }] = await Promise.all(['scenario.mjs', 'setups.mjs', 'tables.mjs'].map(load))
  const setup = SETUPS.find(({ id }: { id: string }) => id === 'threshold')
  const results = []
  for (const failure of FAILURES) results.push({ setup, pods: PODS, failure, ...await simulate(setup, { pods: PODS, failure, seed: 1 }) })
  t.strictSame(results.map(({ unready, restarts }) => [unready, restarts]), [[0, 0], [0, 0]], 'no pod is unready at rest, none restarts')
  const verdicts = rowsIn(targets([results])).slice(2)
  t.equal(verdicts.length, 5)
  for (const [target, verdict] of verdicts) t.match(verdict!, / (met|by chance)$/, target!)
})

t.test('the benchmark prints the tables of a fleet', async t => {
  const { code, stdout, stderr } = await run(process.execPath, ['bench/run.mjs', '--only', 'fleet', '--pods', '10'], project)
  t.equal(code, 0, code === 0 ? 'succeeds' : stderr)
  t.match(stdout, /^\| 10 pods, the database refuses /m)
  t.match(stdout, /^\| 10 pods, the database hangs /m)
})

t.test('under-pressure does what its model does', async t => {
  const boot = async (healthCheck: () => Promise<boolean>, pluginTimeout?: number) => {
    const app = Fastify({ ...pluginTimeout !== undefined && { pluginTimeout } })
    t.teardown(() => app.close())
    await app.register(underPressure, { healthCheck, exposeStatusRoute: true })
    return app
  }
  let queries = 0
  let up = true
  const query = async () => { queries++; return up }
  const status = async (app: ReturnType<typeof Fastify>) => (await app.inject('/status')).statusCode

  const app = await boot(query)
  t.strictSame([await status(app), await status(app), queries], [200, 200, 3], 'a query for the boot and for each probe')
  up = false
  const late = await boot(query)
  up = true
  t.strictSame([await status(app), await status(late), queries], [200, 503, 5], 'the query of the boot is never repeated')
  await t.rejects(boot(() => new Promise(() => {}), 50), { code: 'AVV_ERR_PLUGIN_EXEC_TIMEOUT' }, 'a query that hangs ends the boot')
})
