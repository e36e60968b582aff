// The image of examples/docker, run with podman as examples/kubernetes would have it run. `npm run test:container` builds it.
import { once } from 'node:events'
import { request } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Container } from '../helpers/container.js'
import { Kubelet } from '../helpers/kubelet.js'
import { lacksKubectl, type Manifest, readManifests, render } from '../helpers/kustomize.js'

const UNAVAILABLE = "database: Can't connect"

/** The pod's container, and a kubelet that has begun to probe it by the numbers of the manifests. */
async function startPod (t: Test, manifests: Manifest[]) {
  const { spec } = manifests.find(({ kind }) => kind === 'Deployment')!.spec.template
  const [{ env, ports, securityContext, startupProbe, livenessProbe, readinessProbe }] = spec.containers
  const container = await Container.run('localhost/orders', [
    `--user=${spec.securityContext.runAsUser}`,
    // In Kubernetes it covers /tmp too.
    ...securityContext.readOnlyRootFilesystem ? ['--read-only', '--read-only-tmpfs=false'] : [],
    ...securityContext.allowPrivilegeEscalation ? [] : ['--security-opt=no-new-privileges'],
    ...securityContext.capabilities.drop.map((name: string) => `--cap-drop=${name}`),
    ...env.map(({ name, value }: { name: string, value: string }) => `--env=${name}=${value}`)
  ])
  const portOf = (wanted: string): number => ports.find(({ name }: { name: string }) => name === wanted).containerPort
  const resolved = ({ httpGet, ...numbers }: any) => ({ ...numbers, httpGet: { ...httpGet, port: portOf(httpGet.port) } })
  const kubelet = new Kubelet({
    probes: { startup: resolved(startupProbe), liveness: resolved(livenessProbe), readiness: resolved(readinessProbe) }
  })
  t.teardown(async () => {
    await kubelet.stop()
    await container.remove()
  })
  kubelet.start()
  return {
    container,
    kubelet,
    readiness: readinessProbe as { failureThreshold: number, periodSeconds: number },
    drainMs: Number(env.find(({ name }: { name: string }) => name === 'DRAIN_MS').value),
    graceMs: spec.terminationGracePeriodSeconds * 1000,
    ask: (path: string, method = 'GET') => ask(`http://127.0.0.1:${portOf('http')}${path}`, method)
  }
}

type Pod = Awaited<ReturnType<typeof startPod>>

/** One request by a client that would like to keep the connection. */
function ask (url: string, method: string): Promise<{ status: number, connection: string | undefined, body: string }> {
  return new Promise((resolve, reject) => {
    request(url, { method, agent: false, headers: { connection: 'keep-alive' } }, response => {
      response.setEncoding('utf8').toArray().then(chunks => resolve({
        status: response.statusCode!, connection: response.headers.connection, body: chunks.join('')
      }), reject)
    }).on('error', reject).end()
  })
}

async function starts (t: Test, { kubelet, ask }: Pod): Promise<void> {
  await once(kubelet, 'ready')
  t.equal(kubelet.history.at(-2)?.probe, 'startup')
  t.match(kubelet.history.at(-1), { probe: 'readiness', result: 'success', status: 200 })
  t.match(await ask('/'), { status: 200, connection: 'keep-alive' })
}

async function losesItsDatabase (t: Test, { kubelet, readiness, ask }: Pod): Promise<void> {
  const unready = once(kubelet, 'unready')
  await ask('/database/down', 'POST')
  await unready
  const failed = kubelet.history.filter(({ result }) => result === 'failure').slice(-readiness.failureThreshold)
  t.equal(failed.length, readiness.failureThreshold)
  for (const { probe, status, body } of failed) {
    t.strictSame([probe, status, JSON.parse(body!)], ['readiness', 503, { status: 503, title: UNAVAILABLE }])
  }
}

async function hasItBack (t: Test, { kubelet, ask }: Pod): Promise<void> {
  const ready = once(kubelet, 'ready')
  await ask('/database/up', 'POST')
  await ready
  t.match(kubelet.history.at(-1), { probe: 'readiness', result: 'success', status: 200 })
}

async function terminates (t: Test, { container, kubelet, readiness, drainMs, graceMs, ask }: Pod): Promise<void> {
  await new Promise<void>(resolve => {
    kubelet.on('probe', ({ probe }) => { if (probe === 'readiness') resolve() })
  })
  // So that the next probe of readiness comes well within the drain.
  await sleep(readiness.periodSeconds * 1000 / 2)
  const before = kubelet.history.length
  const begun = Date.now()
  kubelet.delete()
  const stopped = container.stop(graceMs / 1000)
  const answers = []
  while (Date.now() - begun < drainMs - 500) {
    answers.push(await ask('/'))
    await sleep(20)
  }
  await stopped
  await kubelet.stop()

  const drained = answers.slice(answers.findIndex(({ connection }) => connection === 'close'))
  t.strictSame([...new Set(answers.map(({ status, body }) => `${status} ${body}`))], ['200 served\n'], 'requests are served')
  t.strictSame([...new Set(drained.map(({ connection }) => connection))], ['close'], 'clients are sent elsewhere')
  const probes = kubelet.history.slice(before)
  t.match(probes[0], { status: 503, body: '"Shutting down"' }, 'readiness fails')
  t.strictSame([...new Set(probes.map(({ probe }) => probe))], ['readiness'])

  const { State } = await container.inspect()
  const tookMs = Date.parse(State.FinishedAt) - begun
  t.comment(`${answers.length} requests, of them ${drained.length} in the drain; ended after ${tookMs} ms`)
  t.strictSame([State.Status, State.ExitCode], ['exited', 0])
  t.ok(tookMs >= drainMs, 'not before the end of the drain')
  t.ok(tookMs < graceMs, 'within the grace')
  t.equal(kubelet.killed, undefined, 'the kubelet never had a reason to restart it')
  t.notOk(kubelet.history.some(({ probe, result }) => probe === 'liveness' && result !== 'success'))
}

t.test('the container of examples/docker', async t => {
  const pod = await startPod(t, readManifests('kubernetes/deployment.yaml'))
  const { container, ask } = pod
  const { State: { StartedAt, Health }, Config: { Healthcheck, StopSignal } } = await container.inspect()

  t.test('has a HEALTHCHECK of its image, and SIGTERM as its signal', async t => {
    t.match(Healthcheck.Test, ['CMD', /healthz-probe$/])
    t.equal(Health.Status, 'starting')
    t.equal(StopSignal, 15)
  })

  t.test('starts, as the kubelet sees it', t => starts(t, pod))
  t.test('turns healthy', async t => {
    t.match(await container.check(), { Status: 'healthy', FailingStreak: 0 })
  })

  t.test('loses its database, as the kubelet sees it', t => losesItsDatabase(t, pod))
  t.test('stays healthy while the start period lasts', async t => {
    const { Status, FailingStreak, Log } = await container.check()
    t.strictSame([Status, FailingStreak, Log!.at(-1)!.ExitCode], ['healthy', 0, 1])
  })
  t.test('has it back, as the kubelet sees it', t => hasItBack(t, pod))

  t.test('turns unhealthy when its database goes after the start period', async t => {
    await sleep(Math.max(0, Date.parse(StartedAt) + Healthcheck.StartPeriod / 1e6 - Date.now()))
    await ask('/database/down', 'POST')
    for (let streak = 1; streak <= Healthcheck.Retries; streak++) {
      const { Status, FailingStreak, Log } = await container.check()
      t.strictSame([Status, FailingStreak], [streak < Healthcheck.Retries ? 'healthy' : 'unhealthy', streak])
      t.match(Log!.at(-1), { ExitCode: 1, Output: UNAVAILABLE })
    }
  })
  t.test('turns healthy again when it is back', async t => {
    await ask('/database/up', 'POST')
    t.match(await container.check(), { Status: 'healthy', FailingStreak: 0 })
  })

  t.test('drains on `podman stop`, and exits with 0', t => terminates(t, pod))
})

t.test('the same with probes on a port of their own', { skip: lacksKubectl }, async t => {
  const pod = await startPod(t, render('kubernetes', { ownPort: true }))
  t.test('starts, as the kubelet sees it', t => starts(t, pod))
  t.test('loses its database, as the kubelet sees it', t => losesItsDatabase(t, pod))
  t.test('has it back, as the kubelet sees it', t => hasItBack(t, pod))
  t.test('drains on `podman stop`, and exits with 0', t => terminates(t, pod))
})
