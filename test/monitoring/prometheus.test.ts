/**
 * The rules and the dashboard of examples/monitoring with a real Prometheus, which scrapes three services that are driven
 * through what happens to services. A minute of the rules is a second here.
 *
 * HEALTHZ_DRAW_DASHBOARD=1 draws docs/dashboard.svg from the data of the run.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { parse, stringify } from 'yaml'
import { probe } from '../helpers/kubelet.js'
import { freePort } from '../helpers/own-server.js'
import { project } from '../helpers/package.js'
import { startService } from '../helpers/service.js'
import { hasAll } from '../helpers/services.js'
import { draw, type Series } from './draw.js'

const read = (name: string) => readFileSync(join(project, 'examples/monitoring', name), 'utf8')

/** The durations of rules, a minute as a second. */
const shortened = (text: string) => text.replace(/\b(\d+)([mh])\b/g, (_, count, unit) => `${count * (unit === 'h' ? 60 : 1)}s`)

interface Rule { alert: string, expr: string, for?: string, labels: { severity: string } }
const rules: { groups: Array<{ rules: Rule[] }> } = parse(read('alerts.yaml'))
for (const { rules: group } of rules.groups) {
  for (const rule of group) {
    rule.expr = shortened(rule.expr)
    if (rule.for !== undefined) rule.for = shortened(rule.for)
  }
}

interface Alert { state: string, labels: Record<string, string>, annotations: Record<string, string> }

interface Panel { type: string, title: string, targets: Array<{ expr: string, legendFormat: string }> }
const { panels }: { panels: Panel[] } = JSON.parse(read('dashboard.json'))
/** As Grafana does it, with all of them chosen. */
const substituted = (expr: string) => expr.replaceAll('$__rate_interval', '5s').replaceAll(/\$(namespace|job|pod)/g, '.*')

const SERVICE = `
  const { register } = require('prom-client')
  let mode = 'pass'
  const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))
  const database = {
    pass () {},
    fail () { throw new healthz.HealthError("Can't connect") },
    late: () => sleep(300),
    slow: () => sleep(600)
  }
  const app = Fastify({ logger: { stream, level: 'warn' } })
  app.register(healthz, {
    noLog: true, listen: { port: 0, host: '127.0.0.1', thread: true }, ready: { database: () => database[mode]() }
  })
  app.register(require('./dist/lib/telemetry/prometheus.js'), { register })
  app.get('/metrics', () => register.metrics())
  app.get('/mode/:mode', async ({ params }) => { mode = params.mode; return mode })
  app.get('/block', async () => {
    for (const end = Date.now() + 1500; Date.now() < end;);
    return 'blocked'
  })
  app.get('/drain', async () => { app.healthz.hold('job'); app.healthz.drain(600_000); return 'draining' })
  await app.listen({ port: 0, host: '127.0.0.1' })
  say('serves', { port: app.server.address().port, probes: app.healthz.address.port })
`

/** A service, and its kubelet, which probes it four times a second. */
async function startPod (t: Test, job: string, pod: string) {
  const service = startService(t, SERVICE)
  const { port, probes } = await service.line('serves') as unknown as { port: number, probes: number }
  const prober = { timeoutSeconds: 1, runs: true }
  const kubelet = (async () => {
    while (prober.runs) {
      for (const name of ['live', 'ready']) await probe({ port: probes, path: `/healthz/${name}`, timeoutSeconds: prober.timeoutSeconds })
      await sleep(250)
    }
  })()
  const started = {
    target: { targets: [`127.0.0.1:${port}`], labels: { namespace: 'shop', pod } },
    job,
    get: async (path: string) => (await fetch(`http://127.0.0.1:${port}${path}`)).text(),
    patience (seconds: number) { prober.timeoutSeconds = seconds },
    async end (): Promise<void> {
      prober.runs = false
      service.kill('SIGKILL')
      await service.exit
      await kubelet
    }
  }
  t.teardown(() => started.end())
  return started
}
type Pod = Awaited<ReturnType<typeof startPod>>

const RESTARTS = 'kube_pod_container_status_restarts_total'

/** The one series of kube-state-metrics that the dashboard has. */
async function startStateMetrics (t: Test): Promise<number> {
  let restarts = 0
  const server = createServer((_request, response) => {
    response.setHeader('content-type', 'text/plain; version=0.0.4')
    // A restart with each scrape.
    response.end(`# TYPE ${RESTARTS} counter\n${RESTARTS}{namespace="shop",pod="orders-a",container="orders"} ${++restarts}\n`)
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => { server.closeAllConnections(); server.close() })
  return (server.address() as AddressInfo).port
}

async function startPrometheus (t: Test, pods: readonly Pod[]) {
  const folder = t.testdir({})
  const stateMetrics = await startStateMetrics(t)
  const jobs = [...new Set(pods.map(({ job }) => job))]
  writeFileSync(join(folder, 'rules.yaml'), stringify(rules))
  writeFileSync(join(folder, 'prometheus.yaml'), stringify({
    global: { scrape_interval: '500ms', scrape_timeout: '500ms', evaluation_interval: '500ms' },
    rule_files: ['rules.yaml'],
    scrape_configs: [
      ...jobs.map(job => ({ job_name: job, static_configs: pods.filter(pod => pod.job === job).map(({ target }) => target) })),
      { job_name: 'kube-state-metrics', honor_labels: true, static_configs: [{ targets: [`127.0.0.1:${stateMetrics}`] }] }
    ]
  }))
  const address = `127.0.0.1:${await freePort()}`
  const child: ChildProcess = spawn('prometheus', [
    '--config.file=prometheus.yaml', '--storage.tsdb.path=data', `--web.listen-address=${address}`, '--log.level=warn'
  ], { cwd: folder, stdio: ['ignore', 'inherit', 'inherit'] })
  const exit = once(child, 'exit')
  t.teardown(async () => {
    child.kill('SIGTERM')
    await exit
  })
  const get = async (path: string, query: Record<string, string> = {}) => {
    const { status, data, error }: any = await (await fetch(`http://${address}/api/v1/${path}?${new URLSearchParams(query)}`)).json()
    if (status !== 'success') throw new Error(error)
    return data
  }
  while (await get('status/runtimeinfo').then(() => false, () => true)) {
    if (child.exitCode !== null) throw new Error('Prometheus has exited')
    await sleep(100)
  }
  const alerts = async (): Promise<Alert[]> => (await get('alerts')).alerts.filter(({ state }: Alert) => state === 'firing')
  return {
    alerts,
    firing: async () => [...new Set((await alerts()).map(({ labels }) => `${labels.alertname} ${labels.severity}`))],
    series: async (query: string, start: number, step = 1): Promise<Series[]> => {
      return (await get('query_range', { query, start: String(start), end: String(Date.now() / 1000), step: String(step) })).result
    }
  }
}

async function suite (t: Test): Promise<void> {
  const [a, b, c] = await Promise.all([startPod(t, 'orders', 'orders-a'), startPod(t, 'orders', 'orders-b'), startPod(t, 'invoices', 'invoices-a')])
  const prometheus = await startPrometheus(t, [a, b, c])
  const began = Date.now() / 1000
  /** Alerts that may still fire, since they look back for longer. */
  const lasting = new Set<string>()

  /** Waits until just these fire. */
  async function fire (t: Test, ...expected: string[]): Promise<void> {
    for (;;) {
      const firing = await prometheus.firing()
      const others = firing.filter(name => !expected.includes(name) && !lasting.has(name))
      if (others.length > 0) throw new Error(`fires as well: ${others}`)
      if (expected.every(name => firing.includes(name))) break
      await sleep(200)
    }
    t.pass(`fires: ${expected}`)
    for (const { labels, annotations } of await prometheus.alerts()) t.comment(`${labels.alertname}: ${annotations.description}`)
  }

  /** Waits until they don't fire any longer. */
  async function resolve (t: Test, ...names: string[]): Promise<void> {
    for (;;) {
      const firing = await prometheus.firing()
      const others = firing.filter(name => !names.includes(name) && !lasting.has(name))
      if (others.length > 0) throw new Error(`fires as well: ${others}`)
      if (!firing.some(name => names.includes(name))) break
      await sleep(200)
    }
    t.pass('resolved')
  }

  await t.test('while all is well nothing fires', async t => {
    for (const end = Date.now() + 15_000; Date.now() < end; await sleep(500)) t.strictSame(await prometheus.firing(), [])
  })

  await t.test('a database that is down', async t => {
    await Promise.all([a.get('/mode/fail'), b.get('/mode/fail')])
    const expected = ['HealthzNotReady warning', 'HealthzNotReady critical', 'HealthzCheckFailing warning']
    for (const name of expected) lasting.add(name)
    await fire(t, ...expected)
    await Promise.all([a.get('/mode/pass'), b.get('/mode/pass')])
    await resolve(t, ...expected)
    lasting.clear()
  })

  await t.test('a database that is slow', async t => {
    await b.get('/mode/slow')
    await fire(t, 'HealthzCheckSlow info')
    await b.get('/mode/pass')
    await resolve(t, 'HealthzCheckSlow info')
  })

  await t.test('a prober that hangs up', async t => {
    b.patience(0.1)
    await b.get('/mode/late')
    await fire(t, 'HealthzProbeAborted warning')
    b.patience(1)
    await b.get('/mode/pass')
    await resolve(t, 'HealthzProbeAborted warning')
  })

  await t.test('a check that flaps', async t => {
    const ends = new AbortController()
    const flapping = (async () => {
      for (let i = 0; !ends.signal.aborted; i++) {
        await a.get(i % 2 === 0 ? '/mode/fail' : '/mode/pass')
        await sleep(1200)
      }
      await a.get('/mode/pass')
    })()
    await fire(t, 'HealthzCheckFlapping warning').finally(() => ends.abort())
    await flapping
    lasting.add('HealthzCheckFlapping warning')
  })

  await t.test('an event loop that is blocked again and again', async t => {
    for (let i = 0; i < 4; i++) {
      await c.get('/block')
      await sleep(600)
    }
    await fire(t, 'HealthzLoopBlocked warning')
    lasting.add('HealthzLoopBlocked warning')
  })

  await t.test('a drain that takes too long', async t => {
    await a.get('/drain')
    await fire(t, 'HealthzDrainTooLong warning')
    // For longer than a pod may be unready.
    for (const end = Date.now() + 7000; Date.now() < end; await sleep(500)) await fire(t, 'HealthzDrainTooLong warning')
    await a.end()
    await resolve(t, 'HealthzDrainTooLong warning')
  })

  await t.test('a workload that is gone', async t => {
    await c.end()
    await fire(t, 'HealthzNoData warning')
  })

  await t.test('every expression of the rules and of the dashboard had data', async t => {
    const exprs = [
      ...rules.groups.flatMap(({ rules }) => rules.map(({ alert, expr }) => [alert, expr])),
      ...panels.flatMap(({ title, targets }) => targets.map(({ expr }) => [title, substituted(expr)]))
    ]
    for (const [name, expr] of exprs) t.ok((await prometheus.series(expr!, began)).length > 0, `${name}: ${expr}`)
  })

  if (process.env.HEALTHZ_DRAW_DASHBOARD === '1') {
    const drawn = await Promise.all(panels.filter(({ type }) => type === 'timeseries').map(async ({ title, targets }) => ({
      title,
      lines: (await Promise.all(targets.map(async ({ expr, legendFormat }) => {
        const series = await prometheus.series(substituted(expr), began, 0.5)
        return series.map(({ metric, values }) => ({ values, name: legendFormat.replace(/\{\{(\w+)\}\}/g, (_, label) => metric[label] ?? '') }))
      }))).flat()
    })))
    writeFileSync(join(project, 'docs/dashboard.svg'), draw(drawn, began, Date.now() / 1000))
  }
}

const missing = spawnSync('prometheus', ['--version']).status === 0 ? [] : ["Debian's package prometheus"]
if (hasAll(t, missing)) t.test('the services', { timeout: 580_000 }, suite)
