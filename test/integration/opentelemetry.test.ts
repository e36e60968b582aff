// The SDK of OpenTelemetry and its instrumentations in a process of their own, which exports to a receiver over OTLP. What
// needs databases is in test/services/opentelemetry.test.ts.
import t from 'tap'
import { startTraced } from '../helpers/otlp.js'

const OPTIONS = {
  'on the port of the app': '',
  'on a separate port': 'listen: { port: 0, host: \'127.0.0.1\' },',
  'on a separate port with a thread': 'listen: { port: 0, host: \'127.0.0.1\', thread: true },'
}

/** Checks call another server, which the http instrumentation traces. */
const program = (options: string, given = '') => `
  const call = require('./dist/lib/checks/index.js').http({ url: receiver })
  app.register(healthz, {
    ${options}
    live: () => {},
    ready: { called: call, cached: { check: call, interval: 60_000 } },
    startup: { away: () => { throw new healthz.HealthError('away', { cause: new Error('secret') }) } },
    details: true,
    timeout: 30_000,
    shutdown: { delay: 0 }
  })
  app.register(opentelemetry, { ${given} })
  app.get('/orders', async () => [])
`

const PATHS = ['/healthz/live', '/healthz/ready', '/healthz/ready?verbose', '/healthz/ready/called', '/healthz/startup', '/healthz/nowhere']
const STATUSES = [200, 200, 200, 200, 503, 404]

for (const [where, options] of Object.entries(OPTIONS)) {
  t.test(`${where} probes and their checks leave no span, and their metrics are received`, async t => {
    const { get, metrics, probe, stop, until } = await startTraced(t, program(options))
    await until(() => metrics['healthz.check.status ready cached pass'] === 1)
    const statuses = []
    for (const path of PATHS) statuses.push(await probe(path))
    t.strictSame(statuses, STATUSES)
    t.equal(await get('/orders'), 200)
    await until(() => metrics['healthz.probe.status ready pass'] === 1 && metrics['healthz.check.duration startup away fail'] === 1)
    t.match(metrics, {
      'healthz.probe.status live pass': 1,
      'healthz.probe.status live fail': 0,
      'healthz.probe.status ready fail': 0,
      'healthz.probe.status startup pass': 0,
      'healthz.probe.status startup fail': 1,
      'healthz.check.status live default pass': 1,
      'healthz.check.status ready called pass': 1,
      'healthz.check.status ready called warn': 0,
      'healthz.check.status ready called fail': 0,
      'healthz.check.status ready cached pass': 1,
      'healthz.check.status startup away fail': 1,
      'healthz.check.duration ready called pass': 3,
      'healthz.check.duration ready cached pass': 1,
      'healthz.probe.aborted ready': 0,
      'healthz.app.status serving': 1,
      'healthz.app.status draining': 0,
      'healthz.holds': 0
    })
    t.ok(metrics['healthz.boot.duration']! > 0)
    const spans = await stop()
    t.strictSame([...new Set(spans.map(({ attributes }) => attributes['url.path'] ?? attributes['http.route']))], ['/orders'])
    t.equal(metrics['healthz.probe.status ready pass'], 0, 'the last export says that the app is gone')
  })
}

t.test('with `traces` each run leaves one span, with its outcome, and its calls below it', async t => {
  const { probe, stop } = await startTraced(t, program('', 'traces: true'))
  for (const path of PATHS) await probe(path)
  const spans = await stop()
  const runs = spans.filter(({ scope }) => scope === 'fastify-healthz')
  t.strictSame(runs.map(({ name, parent }) => [name, parent]).sort(), [
    ['check live/default', undefined],
    ['check ready/cached', undefined],
    ['check ready/called', undefined],
    ['check ready/called', undefined],
    ['check ready/called', undefined],
    ['check startup/away', undefined]
  ])
  for (const { id, name } of runs.filter(({ name }) => name.startsWith('check ready'))) {
    const calls = spans.filter(({ parent }) => parent === id)
    t.match(calls, [{ scope: '@opentelemetry/instrumentation-http' }], name)
    t.equal(calls.length, 1)
  }
  t.match(runs.find(({ name }) => name === 'check startup/away'), {
    attributes: { 'healthz.probe.name': 'startup', 'healthz.check.name': 'away', 'healthz.check.state': 'fail' },
    status: { code: 2, message: 'away' }
  })
  t.notMatch(JSON.stringify(spans), 'secret')
})

t.test('without `isProbe` the requests of probes are traced, and still no check', async t => {
  const { probe, stop } = await startTraced(t, program(''), false)
  await probe('/healthz/ready')
  const spans = await stop()
  t.match(spans, [{ scope: '@opentelemetry/instrumentation-http', attributes: { 'url.path': '/healthz/ready' } }])
  t.equal(spans.length, 1, '@fastify/otel leaves probes out by itself')
})
