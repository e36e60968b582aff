// A slow boot, as the kubelet sees it.
import t from 'tap'
import { Kubelet } from '../helpers/kubelet.js'
import { startService } from '../helpers/service.js'

t.jobs = 2

t.test('with a port of their own during a slow boot startup says Starting, then passes, and live never fails', async t => {
  const child = startService(t, `
    const app = Fastify({ logger: { stream } })
    app.register(healthz, { listen: { port: 0, host: '127.0.0.1' }, live: () => app.hasDecorator('database'), noLog: true })
    app.register(async () => {
      await new Promise(resolve => setTimeout(resolve, 600))
      app.decorate('database', {})
    })
    await app.listen({ port: 0, host: '127.0.0.1' })`)
  const { port } = await child.line(/^Probes listening/)
  // 50 times as often as in the manifests, so that a boot of 0.6 s is as one of 30 s.
  const spec = (name: string, failureThreshold: number) => ({ httpGet: { port, path: `/healthz/${name}` }, periodSeconds: 0.04, timeoutSeconds: 1, failureThreshold })
  const kubelet = new Kubelet({ probes: { startup: spec('startup', 30), liveness: spec('live', 3), readiness: spec('ready', 2) } })
  t.teardown(() => kubelet.stop())
  const ready = new Promise<void>(resolve => kubelet.once('ready', resolve))
  kubelet.start()
  await ready
  t.equal(kubelet.killed, undefined)
  const startup = kubelet.history.filter(({ probe }) => probe === 'startup')
  t.ok(startup.length > 5, `${startup.length} startup probes`)
  t.strictSame(startup.map(({ status }) => status), [...Array(startup.length - 1).fill(503), 200])
  t.ok(startup.slice(0, -1).every(({ output }) => /503/.test(output)))
  t.ok(kubelet.history.filter(({ probe }) => probe === 'liveness').every(({ result }) => result === 'success'))
  child.kill('SIGTERM')
})

t.test('a liveness probe without a startup probe passes all through a slow boot', async t => {
  const child = startService(t, `
    const app = Fastify({ logger: { stream } })
    app.register(healthz, { listen: { port: 0, host: '127.0.0.1' }, live: () => app.hasDecorator('database'), noLog: true })
    app.register(async () => {
      await new Promise(resolve => setTimeout(resolve, 400))
      app.decorate('database', {})
    })
    await app.listen({ port: 0, host: '127.0.0.1' })`)
  const { port } = await child.line(/^Probes listening/)
  const kubelet = new Kubelet({
    probes: { liveness: { httpGet: { port, path: '/healthz/live' }, periodSeconds: 0.04, failureThreshold: 1 }, readiness: { httpGet: { port, path: '/healthz/ready' }, periodSeconds: 0.04 } }
  })
  t.teardown(() => kubelet.stop())
  const ready = new Promise<void>(resolve => kubelet.once('ready', resolve))
  kubelet.start()
  await ready
  const live = kubelet.history.filter(({ probe }) => probe === 'liveness')
  t.ok(live.length > 3)
  t.ok(live.every(({ result }) => result === 'success'))
  t.equal(kubelet.killed, undefined)
})
