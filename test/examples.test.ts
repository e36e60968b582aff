import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { parseAllDocuments } from 'yaml'
import { startExample } from './helpers/example.js'
import { messages } from './helpers/log.js'

const read = (name: string) => readFileSync(join(__dirname, '../examples', name), 'utf8')

/** What the header of `basic.ts` tells a newcomer to type. */
const tour = [...read('basic.ts').matchAll(/^\/\/ +curl (?:-i|-X (\w+)) localhost:8080(\/\S+)$/gm)]
  .map(([, method = 'GET', path]) => ({ method, path: path! }))

/** The title of the 503, by program. */
const programs = {
  basic: "Can't connect to the database",
  specifiers: "Can't connect to the database",
  contributed: "database: Can't connect"
}

for (const [name, title] of Object.entries(programs)) {
  t.test(`${name}: the commands of the tour show a 503, one line with its cause, and the recovery`, async t => {
    const example = await startExample(name)
    t.teardown(example.stop)
    const listening = example.log.length
    const ask = async ({ method, path }: typeof tour[number]) => {
      const answer = await fetch(example.url + path, { method })
      return { status: answer.status, body: await answer.text() }
    }

    const answers = []
    for (const command of tour) {
      answers.push(await ask(command))
      // Asked again while it fails, it has nothing new to say.
      if (answers.at(-1)!.status === 503) answers.push(await ask(command))
    }
    // A line of it comes after all others that there may be.
    await ask({ method: 'POST', path: '/database/up' })
    const isDone = ({ msg }: { msg: string }) => msg === 'request completed'
    await example.logged(isDone, 5)

    const ok = { status: 200, body: '{"status":200,"title":"OK"}' }
    const away = { status: 503, body: JSON.stringify({ status: 503, title }) }
    const switched = (state: string) => ({ status: 200, body: `The database is ${state}\n` })
    t.strictSame(answers, [ok, ok, switched('down'), away, away, switched('up'), ok])

    const lines = example.log.slice(listening).filter(({ msg }) => !msg.startsWith('Server listening at'))
    const [failing, recovered] = lines.filter(({ msg }) => msg.startsWith('ready'))
    t.strictSame(messages(lines), [
      'incoming request', 'request completed', // down
      failing?.msg, 'request completed', 'request completed', // 503 twice
      'incoming request', 'request completed', // up
      recovered?.msg,
      'incoming request', 'request completed' // up once more
    ])
    t.match(failing, {
      level: 40, probe: 'ready', msg: "Can't connect", err: { type: 'HealthError', stack: 'connect ECONNREFUSED' }
    })
    t.match(recovered, { level: 30, probe: 'ready', msg: /recovered after \d/, lastedMs: Number })
    t.match(lines.filter(line => isDone(line) && line.probe), [{ res: { statusCode: 503 } }, { res: { statusCode: 503 } }])
  })
}

interface Probe {
  httpGet: { path: string, port: string }
  periodSeconds: number
  timeoutSeconds: number
  failureThreshold: number
}

interface Container {
  image: string
  ports: Array<{ name: string, containerPort: number }>
  startupProbe: Probe
  livenessProbe: Probe
  readinessProbe: Probe
  resources: { requests: object, limits: object }
  securityContext: object
}

interface Workload {
  kind: string
  spec: {
    selector: Record<string, string> & { matchLabels?: Record<string, string> }
    strategy: { rollingParams?: { timeoutSeconds: number } }
    template: {
      metadata: { labels: Record<string, string> }
      spec: { terminationGracePeriodSeconds: number, securityContext: object, containers: [Container] }
    }
  }
}

interface Service {
  kind: string
  metadata: { name: string }
  spec: { selector: Record<string, string>, ports: Array<{ name: string, targetPort: string }> }
}

interface Route {
  kind: string
  spec: { to: { kind: string, name: string }, port: { targetPort: string } }
}

const manifests = [
  // The news of a deleted pod takes seconds to reach every node, and OpenShift's router reloads every 5 s at the least.
  { file: 'kubernetes/deployment.yaml', kinds: ['Deployment', 'Service'], news: 5 },
  { file: 'openshift/deploymentconfig.yaml', kinds: ['DeploymentConfig', 'Service', 'Route'], news: 2 * 5 }
]

for (const { file, kinds, news } of manifests) {
  t.test(file, async t => {
    const text = read(file)
    const documents = parseAllDocuments(text)
    t.strictSame(documents.flatMap(document => [...document.errors, ...document.warnings]), [])
    const [workload, service, route] = documents.map(document => document.toJS()) as [Workload, Service, Route?]
    const { metadata: { labels }, spec: pod } = workload.spec.template
    const [container] = pod.containers
    const { startupProbe, livenessProbe, readinessProbe } = container
    const probes = Object.entries({ startupProbe, livenessProbe, readinessProbe })
    const budget = ({ periodSeconds, failureThreshold }: Probe) => periodSeconds * failureThreshold

    t.test('holds what it should', async t => {
      t.strictSame([workload, service, route].flatMap(object => object?.kind ?? []), kinds)
      t.match(container.image, /^registry\.example\.com\//)
    })

    t.test('every probe asks for its own path, which the example answers with 200', async t => {
      const example = await startExample('basic')
      t.teardown(example.stop)
      t.strictSame(probes.map(([, { httpGet }]) => httpGet.path), ['/healthz/startup', '/healthz/live', '/healthz/ready'])
      for (const [name, { httpGet: { path } }] of probes) t.equal((await fetch(example.url + path)).status, 200, name)
    })

    t.test('probes, Service and Route find the port by its name', async t => {
      t.strictSame(container.ports, [{ name: 'http', containerPort: 8080 }])
      for (const [name, { httpGet }] of probes) t.equal(httpGet.port, 'http', name)
      t.strictSame(service.spec.ports.map(port => port.targetPort), ['http'])
      if (route === undefined) return
      t.match(service.spec.ports, [{ name: route.spec.port.targetPort }])
      t.strictSame(route.spec.to, { kind: 'Service', name: service.metadata.name })
    })

    t.test('selectors select the pods of the template', async t => {
      const { selector } = workload.spec
      for (const wanted of [selector.matchLabels ?? selector, service.spec.selector]) t.match(labels, wanted)
    })

    t.test('a probe is over when the next one is due', async t => {
      for (const [name, { timeoutSeconds, periodSeconds }] of probes) t.ok(timeoutSeconds <= periodSeconds, name)
    })

    t.test('how long a probe may fail is told in a comment', async t => {
      for (const [name, probe] of probes) {
        t.match(text, `${probe.periodSeconds} s * ${probe.failureThreshold} = ${budget(probe)} s`, name)
      }
    })

    t.test('an unwell pod is out of the traffic before it is restarted', async t => {
      t.ok(budget(readinessProbe) < budget(livenessProbe))
    })

    t.test('a pod has longer to start than a running one to come back', async t => {
      t.ok(budget(startupProbe) > budget(livenessProbe))
      const { rollingParams } = workload.spec.strategy
      if (rollingParams !== undefined) t.ok(rollingParams.timeoutSeconds > budget(startupProbe), 'within the rollout')
    })

    t.test('the drain outlasts the news of the end, and the pod is not killed before it has closed', async t => {
      const [, option] = /`(shutdown: .+?)`/.exec(text) ?? []
      const delay = option === 'shutdown: true' ? 5 : Number(/delay: ([\d_]+)/.exec(option!)![1]!.replace('_', '')) / 1000
      const inAll = delay + 10
      t.ok(delay >= news)
      t.ok(pod.terminationGracePeriodSeconds >= inAll + 10)
      t.match(text, `${delay} s of drain and up to 10 s to close, after which the service ends itself. ${inAll} s in all`, 'as the comment says')
    })

    t.test('the service needs no privileges, and asks for little', async t => {
      t.match(pod.securityContext, { runAsNonRoot: true })
      t.strictSame(container.securityContext, {
        allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: { drop: ['ALL'] }
      })
      t.match(container.resources, { requests: { cpu: String, memory: String }, limits: { memory: String } })
    })
  })
}
