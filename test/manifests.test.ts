import { readFileSync } from 'node:fs'
import { cp } from 'node:fs/promises'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { type Example, startProgram } from './helpers/example.js'
import { composeFindings, imageFindings, readDockerfile } from './helpers/image.js'
import { build, type Manifest, readManifests } from './helpers/kustomize.js'
import {
  type Ask, budget, CHECK_TIMEOUT, CLOSE_TIMEOUT, drainOf, type Env, findings, probesOf, workloadOf
} from './helpers/manifests.js'
import { modelFindings } from './helpers/models.js'
import { pack, project, run } from './helpers/package.js'

const examples = join(project, 'examples')
const read = (name: string) => readFileSync(join(examples, name), 'utf8')

const dockerfile = read('docker/Dockerfile')
const ignore = read('docker/.dockerignore')

/** What is applied together, by the file that its workload's numbers stand in. */
const sets: { [name: string]: Manifest[] } = {
  'kubernetes/deployment.yaml': build(join(examples, 'kubernetes')),
  'kubernetes/own-port/kustomization.yaml': build(join(examples, 'kubernetes'), ['own-port']),
  'openshift/kustomization.yaml': build(join(examples, 'openshift')),
  'openshift/own-port': build(join(examples, 'openshift'), ['../kubernetes/own-port']),
  'openshift/deploymentconfig.yaml': [
    'openshift/deploymentconfig.yaml', 'kubernetes/service.yaml', 'kubernetes/poddisruptionbudget.yaml', 'openshift/route.yaml'
  ].flatMap(name => readManifests(join(examples, name)))
}

const expectFinding = (t: Test, found: string[], finding: RegExp) => {
  t.ok(found.some(one => finding.test(one)), String(finding), { found })
}

type Change = (workload: any, objects: { [kind: string]: any }) => void

const change = (objects: Manifest[], change: Change) => {
  const changed = structuredClone(objects)
  const workload = workloadOf(changed)
  change(workload.spec.template.spec.containers[0], {
    workload, pod: workload.spec.template.spec, ...Object.fromEntries(changed.map(object => [object.kind, object]))
  })
  return changed
}

t.test('the service', async t => {
  const built = await pack('typescript', '@types/node')
  t.teardown(built.remove)
  for (const name of ['package.json', 'tsconfig.json', 'src']) {
    await cp(join(examples, 'docker', name), join(built.user, name), { recursive: true })
  }

  await t.test('is built as its Dockerfile does it, from what a user installs', async t => {
    const { code, stdout } = await run('npm', ['run', 'build', '--ignore-scripts'], built.user)
    t.equal(code, 0, stdout)
  })

  t.test('asks for the versions that this one was tested with', async t => {
    const [ours, its] = [project, built.user].map(folder => JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8')))
    const { 'fastify-healthz': range, ...others } = { ...its.dependencies, ...its.devDependencies }
    t.equal(range, `^${ours.version}`)
    t.match(ours.devDependencies, others)
    t.strictSame(its.engines, ours.engines)
  })

  const start = async (env: NodeJS.ProcessEnv) => {
    const example = await startProgram(join(built.user, 'dist/server.js'), env)
    t.teardown(example.stop)
    return example
  }
  const [alone, withOwnPort] = await Promise.all([start({}), start({ PROBES_PORT: '0' })])
  /** The first line about a port is that of the probes' own, which is there before the app. */
  const portOf = ({ log }: Example) => log.map(({ msg }) => /:(\d+)$/.exec(msg)?.[1]).find(port => port !== undefined)

  const ask: Ask = async (env, port, path) => {
    const example = env.PROBES_PORT === undefined ? alone : withOwnPort
    const url = port === Number(env.PORT ?? 8080)
      ? example.url
      : port === Number(env.PROBES_PORT) ? `http://127.0.0.1:${portOf(example)}` : undefined
    return url === undefined ? 0 : (await fetch(url + path)).status
  }

  for (const [name, objects] of Object.entries(sets)) {
    t.test(`${name}: its numbers fit each other, the plugin's, and the service`, async t => {
      t.strictSame(await findings(objects, ask), [])
    })
  }

  t.test('each rule for manifests finds what breaks it', async t => {
    const broken: { [set: string]: Array<[RegExp, Change]> } = {
      'kubernetes/deployment.yaml': [
        [/startupProbe: the service answers 404/, ({ startupProbe }) => { startupProbe.httpGet.path = '/health/startup' }],
        [/livenessProbe: .* is another probe's/, ({ livenessProbe }) => { livenessProbe.httpGet.path = '/healthz/ready' }],
        [/readinessProbe: the container has no port probes/,
          ({ readinessProbe }) => { readinessProbe.httpGet.port = 'probes' }],
        [/Probe: the service answers 0/, ({ ports }) => { ports[0].containerPort = 3000 }],
        [/hangs up before a check has timed out/, ({ readinessProbe }) => { readinessProbe.timeoutSeconds = 0.8 }],
        [/is not over when the next one is due/, ({ startupProbe }) => { startupProbe.timeoutSeconds = 3 }],
        [/successThreshold must be 1/, ({ livenessProbe }) => { livenessProbe.successThreshold = 2 }],
        [/restarted before it is out of the traffic/, ({ readinessProbe }) => { readinessProbe.failureThreshold = 6 }],
        [/less time to start/, ({ startupProbe }) => { startupProbe.failureThreshold = 3 }],
        [/a rollout is given up/, (_, { workload }) => { workload.spec.progressDeadlineSeconds = 60 }],
        [/takes an old pod before/, (_, { workload }) => { workload.spec.strategy.rollingUpdate.maxUnavailable = 1 }],
        [/one pod alone/, (_, { workload }) => { workload.spec.replicas = 1 }],
        [/the drain is over before the news/, ({ env }) => { env[0].value = '1000' }],
        [/killed within the 15 s/, (_, { pod }) => { pod.terminationGracePeriodSeconds = 20 }],
        [/killed within the 40 s/, container => { container.lifecycle = { preStop: { sleep: { seconds: 25 } } } }],
        [/Deployment: doesn't select its pods/, (_, { workload }) => { workload.spec.selector.matchLabels.tier = 'web' }],
        [/Service: doesn't select the pods/, (_, { Service }) => { Service.spec.selector = { app: 'orders' } }],
        [/Service: http is not the port/, ({ ports }) => { ports[0].name = 'web' }],
        [/PodDisruptionBudget: doesn't select/,
          (_, { PodDisruptionBudget }) => { PodDisruptionBudget.spec.selector = { matchLabels: {} } }],
        [/PodDisruptionBudget: must allow/,
          (_, { PodDisruptionBudget }) => { Object.assign(PodDisruptionBudget.spec, { maxUnavailable: undefined, minAvailable: 2 }) }],
        [/may run as root/, (_, { pod }) => { delete pod.securityContext.runAsNonRoot }],
        [/the user is a number/, (_, { pod }) => { delete pod.securityContext.runAsUser }],
        [/has privileges/, ({ securityContext }) => { securityContext.readOnlyRootFilesystem = false }],
        [/has no sizes/, ({ resources }) => { delete resources.limits }],
        [/a throttled process/, ({ resources }) => { resources.limits.cpu = '100m' }],
        [/no placeholder/, container => { container.image = 'registry.example.com/shop/orders:latest' }]
      ],
      'kubernetes/own-port/kustomization.yaml': [
        [/livenessProbe: the service answers 404 to .* on http/,
          ({ livenessProbe }) => { livenessProbe.httpGet.port = 'http' }],
        [/Service: probes is not the port of the service/,
          (_, { Service }) => { Service.spec.ports[0].targetPort = 'probes' }]
      ],
      'openshift/deploymentconfig.yaml': [
        [/a rollout is given up/, (_, { workload }) => { workload.spec.strategy.rollingParams.timeoutSeconds = 60 }],
        [/on OpenShift the cluster's/, (_, { pod }) => { pod.securityContext.runAsUser = 1000 }]
      ],
      'openshift/kustomization.yaml': [
        [/the drain is over before the news/, ({ env }) => { env[0].value = '5000' }],
        [/Route: there is no such Service/, (_, { Route }) => { Route.spec.to.name = 'order' }],
        [/Route: the Service has no such port/, (_, { Route }) => { Route.spec.port.targetPort = 'web' }]
      ]
    }
    for (const [name, changes] of Object.entries(broken)) {
      for (const [finding, how] of changes) expectFinding(t, await findings(change(sets[name]!, how), ask), finding)
    }
  })

  t.test('what docs/kubernetes.md tells load balancers asks the service, and waits for its checks', async t => {
    const doc = readFileSync(join(project, 'docs/kubernetes.md'), 'utf8')
    const blocks = [...doc.matchAll(/^```yaml\n([^]+?)^```/gm)].map(([, yaml]) => parse(yaml!))
    const [ingress, backend] = blocks as [Manifest, Manifest]
    const annotation = (name: string) => (ingress.metadata.annotations as Env)[`alb.ingress.kubernetes.io/healthcheck-${name}`]!
    const { healthCheck } = backend.spec
    const directive = (name: string) => new RegExp(` ${name} (\\S+?)s?\\b`).exec(doc)![1]!
    const checks = {
      alb: [annotation('path'), annotation('timeout-seconds'), annotation('interval-seconds')],
      gke: [healthCheck.requestPath, healthCheck.timeoutSec, healthCheck.checkIntervalSec],
      haproxy: [/uri (\S+)/.exec(doc)![1]!, directive('timeout check'), directive('inter')]
    }

    t.strictSame(modelFindings([ingress]), [[]])
    for (const [name, [path, timeout, interval]] of Object.entries(checks)) {
      t.equal(await ask({}, healthCheck.port, path), 200, name)
      t.ok(Number(timeout) > CHECK_TIMEOUT && Number(interval) >= Number(timeout), name, { timeout, interval })
    }
  })

  t.test('the Dockerfile is valid, and fits the service', async t => {
    t.strictSame(await imageFindings(dockerfile, ignore, ask), [])
  })

  t.test('each rule for a Dockerfile finds what breaks it', async t => {
    const broken: Array<[RegExp, string, string]> = [
      [/Unknown instruction: STOPSIGNL/, 'STOPSIGNAL', 'STOPSIGNL'],
      [/Unknown flag: start-intervall/, '--interval', '--start-intervall'],
      [/a number is missing/, ' --start-period=30s', ''],
      [/not healthz-probe by an absolute path/, 'CMD ["/app/node_modules/.bin/', 'CMD ["'],
      [/the probe hangs up before/, '"1s"', '"800ms"'],
      [/no time for the probe to start/, '--timeout=3s', '--timeout=1s'],
      [/is not over when the next one is due/, '--interval=10s', '--interval=3s'],
      [/the service answers 404 to 8080\/health/, '/healthz/ready', '/health'],
      [/EXPOSE: not the port 8080/, 'EXPOSE 8080', 'EXPOSE 3000'],
      [/something stands between/, '["node", "dist/server.js"]', '["npm", "start"]'],
      [/something stands between/, '["node", "dist/server.js"]', 'node dist/server.js'],
      [/USER: root, or not a number/, 'USER 1000', 'USER node'],
      [/nothing drains on SIGKILL/, 'STOPSIGNAL SIGTERM', 'STOPSIGNAL SIGKILL'],
      [/what only the build needs/, ' && npm prune --omit=dev', ''],
      [/FROM: what was compiled/, '-slim AS', ' AS']
    ]
    for (const [finding, from, to] of broken) {
      expectFinding(t, await imageFindings(dockerfile.replaceAll(from, to), ignore, ask), finding)
    }
    expectFinding(t, await imageFindings(dockerfile, ignore.replace('*', 'node_modules'), ask), /lets everything in/)
    expectFinding(t, await imageFindings(dockerfile, ignore.replace('!src', ''), ask), /keeps src out/)
  })
})

t.test('compose.yaml is valid, and waits for the service as long as it needs', async t => {
  const image = readDockerfile(dockerfile)
  const compose = parse(read('docker/compose.yaml'))
  t.strictSame(composeFindings(compose, image), [])

  const broken: Array<[RegExp, (services: any) => void]> = [
    [/must NOT have additional properties/, ({ orders }) => { orders.stop_grace = '20s' }],
    [/doesn't wait until orders is healthy/, ({ caller }) => { caller.depends_on.orders.condition = 'service_started' }],
    [/orders has no health/, ({ orders }) => { orders.healthcheck = { disable: true } }],
    [/nobody waits/, ({ caller }) => { delete caller.depends_on }],
    [/killed within the 15 s/, ({ orders }) => { delete orders.stop_grace_period }],
    [/killed within the 20 s/, ({ orders }) => { orders.environment = { DRAIN_MS: '10000' } }],
    [/publishes 127.0.0.1:80:80,/, ({ orders }) => { orders.ports = ['127.0.0.1:80:80'] }]
  ]
  for (const [finding, how] of broken) {
    const changed = structuredClone(compose)
    how(changed.services)
    expectFinding(t, composeFindings(changed, image), finding)
  }
})

t.test('the manifests are what their kinds may be', async t => {
  const kubernetes = sets['kubernetes/deployment.yaml']!
  const openshift = sets['openshift/deploymentconfig.yaml']!
  const broken: Array<[RegExp, Manifest[]]> = [
    [/timeoutSecond/, change(kubernetes, ({ readinessProbe }) => { readinessProbe.timeoutSecond = 1 })],
    [/timeoutSeconds must be integer/, change(kubernetes, ({ readinessProbe }) => { readinessProbe.timeoutSeconds = 0.5 })],
    [/selector\W+ is missing/, change(kubernetes, (_, { workload }) => { delete workload.spec.selector })],
    [/ports\/0 must have required property containerPort/, change(openshift, ({ ports }) => { delete ports[0].containerPort })],
    [/maxSurges/, change(openshift, (_, { workload }) => { workload.spec.strategy.rollingParams.maxSurges = 1 })],
    [/'"Edge"' is not assignable/, change(openshift, (_, { Route }) => { Route.spec.tls.termination = 'Edge' })],
    [/maxUnavailables/, change(kubernetes, (_, { PodDisruptionBudget }) => { PodDisruptionBudget.spec.maxUnavailables = 1 })],
    [/targetPorts/, change(kubernetes, (_, { Service }) => { Service.spec.ports[0].targetPorts = 1 })],
    [/not assignable to type 'never'/, change(kubernetes, (_, { Service }) => { Service.apiVersion = 'v2' })]
  ]
  const good = Object.values(sets).flat()
  const found = modelFindings([...good, ...broken.flatMap(([, objects]) => objects)])
  t.strictSame(found.splice(0, good.length).flat(), [])
  for (const [finding, objects] of broken) expectFinding(t, found.splice(0, objects.length).flat(), finding)
})

t.test('a kustomization that refers to what is not there, or to itself, is refused', async t => {
  const folder = t.testdir({
    app: {
      'kustomization.yaml': 'kind: Kustomization\nresources: [deployment.yaml]',
      'above.yaml': '',
      overlay: { 'kustomization.yaml': 'kind: Kustomization\nresources: [..]' },
      field: { 'kustomization.yaml': 'kind: Kustomization\nnamePrefix: my-' },
      patch: { 'kustomization.yaml': 'kind: Kustomization\npatches: [{ target: { kind: Deployment, name: web }, patch: "" }]' },
      image: { 'kustomization.yaml': 'kind: Kustomization\nimages: [{ name: web, newTag: "1" }]' }
    }
  })
  t.throws(() => build(join(folder, 'app')), /ENOENT.*deployment\.yaml/)
  t.throws(() => build(join(folder, 'app/overlay')), /cycle detected/)
  t.throws(() => build(join(folder, 'app/field')), /has namePrefix/)
  t.throws(() => build(join(folder, 'app/patch')), /no Deployment web/)
  t.throws(() => build(join(folder, 'app/image')), /no image web/)
  t.throws(() => build(join(examples, 'kubernetes/own-port')), /is a Component/)
  t.throws(() => build(join(examples, 'openshift'), ['../kubernetes/own-port', '../kubernetes']), /is a Kustomization/)
})

t.test('the DeploymentConfig runs the same pods as the Deployment on OpenShift', async t => {
  const pod = (name: string) => workloadOf(sets[name]!).spec.template
  t.strictSame(pod('openshift/deploymentconfig.yaml'), pod('openshift/kustomization.yaml'))
})

t.test('what the comments reckon is what the numbers say', async t => {
  for (const [name, objects] of Object.entries(sets)) {
    if (name.includes('own-port')) continue
    const text = read(name)
    const workload = workloadOf(objects)
    const drain = drainOf(workload)
    t.match(text, `${drain} s of drain and up to ${CLOSE_TIMEOUT} s to close, ${drain + CLOSE_TIMEOUT} s in all`, name)
    if (name.endsWith('kustomization.yaml')) continue
    for (const [probe, numbers] of probesOf(workload)) {
      t.match(text, `${numbers.periodSeconds} s * ${numbers.failureThreshold} = ${budget(numbers)} s`, `${name}: ${probe}`)
    }
  }
  const { healthcheck: { interval, retries, startPeriod } } = readDockerfile(dockerfile)
  t.match(dockerfile, `${interval} s * ${retries} = ${interval * retries} s. A failure within the first ${startPeriod} s`)

  const [kubernetes, docker] = ['kubernetes', 'docker'].map(name => readFileSync(join(project, 'docs', `${name}.md`), 'utf8'))
  for (const [, numbers] of probesOf(workloadOf(sets['kubernetes/deployment.yaml']!))) {
    t.match(kubernetes, `| ${numbers.periodSeconds} s × ${numbers.failureThreshold} = ${budget(numbers)} s |`)
  }
  t.match(docker, dockerfile.match(/^HEALTHCHECK .+\n.+/m)![0], 'the HEALTHCHECK of docs/docker.md is that of the Dockerfile')
  t.match(docker, `${interval} s × ${retries} = ${interval * retries} s`)
})
