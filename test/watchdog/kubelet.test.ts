// A service whose event loop is blocked, under the probes of examples/kubernetes with the separate port, with the thread and
// without it. `HEALTHZ_LONG=1` runs it with the real periods.
import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { parse } from 'yaml'
import { startBlocking } from '../helpers/blocking.js'
import { type HistoryEntry, Kubelet, type ProbeSpec } from '../helpers/kubelet.js'

const LONG = process.env.HEALTHZ_LONG === '1'
/** Divides the periods and maxBlocked. The timeouts stay: the thread answers within them. */
const SCALE = LONG ? 1 : 5
const MAX_BLOCKED = 10_000 / SCALE
/** In ms. */
const BLOCK = LONG ? 5000 : 2500

const { spec } = parse(readFileSync('examples/kubernetes/deployment.yaml', 'utf8')).spec.template
const { livenessProbe, readinessProbe, startupProbe } = spec.containers[0]

async function start (t: Test, thread: string) {
  const service = startBlocking(t, { thread })
  const port = await service.probes()
  await service.app()
  const at = ({ httpGet, periodSeconds, ...spec }: ProbeSpec): ProbeSpec => {
    return { ...spec, periodSeconds: periodSeconds! / SCALE, httpGet: { path: httpGet.path, port } }
  }
  const kubelet = new Kubelet({ probes: { startup: at(startupProbe), liveness: at(livenessProbe), readiness: at(readinessProbe) } })
  kubelet.start()
  t.teardown(() => kubelet.stop())
  await until(() => kubelet.ready)
  return { service, kubelet }
}

async function until (condition: () => unknown): Promise<void> {
  while (!condition()) await sleep(20)
}

const failures = (entries: readonly HistoryEntry[], name: string) => entries.filter(({ probe, result }) => probe === name && result === 'failure')

t.jobs = 4
t.setTimeout(LONG ? 300_000 : 90_000)

t.test('with the thread, short blocks fail no liveness probe, and readiness fails with the reason', { timeout: 300_000 }, async t => {
  const { service, kubelet } = await start(t, 'true')
  for (let i = 0; i < 3; i++) {
    const before = kubelet.history.length
    await service.block()
    await sleep(BLOCK)
    // The probe that is due within a period.
    await until(() => failures(kubelet.history.slice(before), 'readiness').length > 0)
    service.release()
    await until(() => service.logged().length > i)
    for (const { body } of failures(kubelet.history.slice(before), 'readiness')) {
      t.match(JSON.parse(body ?? '""'), { status: 503, title: /^event loop blocked for [\d.]+ s$/ })
    }
    await until(() => kubelet.ready)
    await sleep(2000 / SCALE)
  }
  t.strictSame(failures(kubelet.history, 'liveness'), [])
  t.equal(kubelet.killed, undefined)
})

t.test('without the thread, readiness fails without a reason', { timeout: 300_000 }, async t => {
  const { service, kubelet } = await start(t, 'false')
  const before = kubelet.history.length
  await service.block()
  await until(() => failures(kubelet.history.slice(before), 'readiness').length > 0)
  service.release()
  t.strictSame(failures(kubelet.history.slice(before), 'readiness').map(({ body }) => body), [undefined])
  kubelet.stop()
  service.kill('SIGTERM')
  t.strictSame((await service.exit).stderr, '')
})

for (const thread of [true, false]) {
  t.test(`${thread ? 'with' : 'without'} the thread, a block without end restarts the container`, { timeout: 300_000 }, async t => {
    const { service, kubelet } = await start(t, thread ? `{ maxBlocked: ${MAX_BLOCKED} }` : 'false')
    const before = kubelet.history.length
    await service.block()
    const blockedAt = performance.now()
    await until(() => kubelet.killed)
    const tookMs = performance.now() - blockedAt
    t.equal(kubelet.killed, 'liveness')
    // It isn't heard.
    service.kill('SIGTERM')
    await sleep(500)
    service.kill('SIGKILL')
    kubelet.stop()
    const lines = await service.written()
    const lost = failures(kubelet.history.slice(before), 'liveness')
    t.comment(`restarted ${(tookMs / 1000).toFixed(1)} s into the block: ${lost.map(({ output, body }) => `${output} ${body ?? ''}`.trim()).join('; ')}`)
    if (!thread) return t.strictSame([lines, lost.map(({ body }) => body)], [[], lost.map(() => undefined)], 'nothing says why')
    t.ok(lost[0]!.at - blockedAt > MAX_BLOCKED - 2000, 'not before maxBlocked')
    for (const { body } of lost) t.match(JSON.parse(body ?? '""').title, /^event loop blocked for \d+(\.\d)? s$/)
    t.equal(lines.length, 1)
    t.match(lines[0]!.stack, /at block \(\[eval\]:\d+:\d+\)/, 'the function and the line are on stderr before the end')
  })
}
