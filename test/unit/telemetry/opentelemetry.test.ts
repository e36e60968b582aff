import { channel, hasSubscribers } from 'node:diagnostics_channel'
import type { IncomingMessage } from 'node:http'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { context, metrics, SpanStatusCode, trace } from '@opentelemetry/api'
import { core, metrics as sdkMetrics, node, tracing } from '@opentelemetry/sdk-node'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import healthz, { HealthError } from '../../../lib/index.js'
import { BUCKETS } from '../../../lib/telemetry/metrics.js'
import opentelemetry, { isProbe } from '../../../lib/telemetry/opentelemetry.js'

const CHANNELS = ['fastify-healthz:check', 'fastify-healthz:abort', 'fastify-healthz:block', 'fastify-healthz:drain']

class Reader extends sdkMetrics.MetricReader {
  protected async onShutdown () {}
  protected async onForceFlush () {}
}

/** Starts an SDK for the process, which exports on demand. */
function startSdk (t: Test) {
  const reader = new Reader()
  const meters = new sdkMetrics.MeterProvider({ readers: [reader] })
  metrics.setGlobalMeterProvider(meters)
  const exporter = new tracing.InMemorySpanExporter()
  const tracers = new node.NodeTracerProvider({ spanProcessors: [new tracing.SimpleSpanProcessor(exporter)] })
  tracers.register()
  t.teardown(async () => {
    metrics.disable()
    trace.disable()
    context.disable()
    await Promise.all([meters.shutdown(), tracers.shutdown()])
  })
  const collect = async () => {
    const { resourceMetrics, errors } = await reader.collect()
    t.strictSame(errors, [])
    return resourceMetrics.scopeMetrics.flatMap(({ scope, metrics }) => scope.name === 'fastify-healthz' ? metrics : [])
  }
  return {
    meters,
    collect,
    /** The values by metric and attributes, such as `probe.status ready pass`. */
    async values (start = '') {
      const points = (await collect()).flatMap(({ descriptor, dataPoints }) => dataPoints.map(({ attributes, value }) => {
        const name = [descriptor.name.replace('healthz.', ''), ...Object.values(attributes)].join(' ')
        return [name, typeof value === 'number' ? value : value.count] as const
      }))
      return Object.fromEntries(points.filter(([name]) => name.startsWith(start)))
    },
    /** The spans that ended since the last call. */
    spans () {
      const spans = exporter.getFinishedSpans()
      exporter.reset()
      return spans
    }
  }
}

async function boot (t: Test, options: healthz.HealthzOptions = {}, given: opentelemetry.OpenTelemetryOptions = {}) {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(healthz, options)
  await app.register(opentelemetry, given)
  await app.ready()
  return { app, run: (probe = 'ready') => app.healthz.run(probe) }
}

/** A query that its driver's instrumentation traces, after something asynchronous. */
async function query (name = 'query') {
  await setImmediate()
  trace.getTracer('driver').startSpan(name).end()
}

t.test('probes and checks are in one state at a time, as they were last seen, and in none before', async t => {
  const { values } = startSdk(t)
  let up = true
  const { run } = await boot(t, {
    ready: { a: () => up, b: { check: () => { throw new HealthError('away') }, critical: false } }
  })
  t.strictSame(await values('probe.status'), {})
  t.strictSame(await values('check'), {})
  await run()
  const warns = { 'check.status ready b pass': 0, 'check.status ready b warn': 1, 'check.status ready b fail': 0 }
  t.strictSame(await values('probe.status'), { 'probe.status ready pass': 1, 'probe.status ready fail': 0 })
  t.strictSame(await values('check.status'), {
    'check.status ready a pass': 1, 'check.status ready a warn': 0, 'check.status ready a fail': 0, ...warns
  })
  up = false
  t.match(await values(), { 'probe.status ready pass': 1, 'check.status ready a pass': 1 }, 'nobody has called it')
  await run()
  t.strictSame(await values('probe.status'), { 'probe.status ready pass': 0, 'probe.status ready fail': 1 })
  t.strictSame(await values('check.status'), {
    'check.status ready a pass': 0, 'check.status ready a warn': 0, 'check.status ready a fail': 1, ...warns
  })
})

t.test('a collection runs no check', async t => {
  const { values } = startSdk(t)
  let runs = 0
  const { run } = await boot(t, { ready: () => { runs++ } })
  for (let i = 0; i < 3; i++) await values()
  t.equal(runs, 0)
  await run()
  await values()
  t.equal(runs, 1)
})

t.test('runs are timed by the state after them, with the buckets of the metrics for Prometheus', async t => {
  const { collect, values } = startSdk(t)
  let wait = false
  const { run } = await boot(t, { ready: { a: { check: () => wait ? new Promise(() => {}) : undefined, timeout: 20 } } })
  await run()
  await run()
  wait = true
  await run()
  t.strictSame(await values('check.duration'), { 'check.duration ready a pass': 2, 'check.duration ready a fail': 1 })
  const { descriptor, dataPoints } = (await collect()).find(({ descriptor }) => descriptor.name === 'healthz.check.duration')!
  t.equal(descriptor.unit, 's')
  const { buckets, sum } = dataPoints[1]!.value as { buckets: { boundaries: number[] }, sum: number }
  t.strictSame(buckets.boundaries, BUCKETS)
  t.ok(sum >= 0.02 && sum < 20, 'in seconds')
})

t.test('aborted requests, blocks and late connections are counted, those of this app alone', async t => {
  const { collect, values } = startSdk(t)
  const { app } = await boot(t)
  const other = Fastify()
  t.teardown(() => other.close())
  await other.register(healthz)
  const counts = { 'probe.aborted live': 0, 'probe.aborted ready': 0, 'probe.aborted startup': 0, 'drain.late_connections': 0 }
  t.match(await values(), counts, 'from 0 on')
  for (const each of [app, other]) {
    channel('fastify-healthz:abort').publish({ app: each, probe: 'ready', waitedMs: 1003, checks: [] })
    channel('fastify-healthz:block').publish({ app: each, blockedMs: 1500 })
    channel('fastify-healthz:drain').publish({ app: each, lastedMs: 1, newConnections: 7 })
  }
  const counted = { ...counts, 'probe.aborted ready': 1, 'loop.blocked.duration': 1, 'drain.late_connections': 7 }
  t.match(await values(), counted)
  const blocked = (await collect()).find(({ descriptor }) => descriptor.name === 'healthz.loop.blocked.duration')
  t.match(blocked, { dataPoints: [{ value: { sum: 1.5 } }] })
})

t.test('the app is in one state at a time, and its holds and its boot are exported', async t => {
  const { values } = startSdk(t)
  const { app } = await boot(t)
  const states = (now: string) => Object.fromEntries(['starting', 'serving', 'draining', 'closing', 'closed']
    .map(state => [`app.status ${state}`, Number(state === now)]))
  t.strictSame(await values('app'), states('serving'))
  t.match(await values(), { holds: 0, 'boot.duration': app.healthz.bootMs! / 1000 })
  const release = app.healthz.hold('job')
  t.match(await values(), { holds: 1 })
  const drained = app.healthz.drain(60_000)
  t.strictSame(await values('app'), states('draining'))
  release()
  await app.close()
  await drained
})

t.test('a check that is removed is in no state, and one that takes its place appears with its first run', async t => {
  const { values } = startSdk(t)
  const { app, run } = await boot(t)
  const states = (pass: number, fail: number) =>
    ({ 'check.status ready a pass': pass, 'check.status ready a warn': 0, 'check.status ready a fail': fail })
  const remove = app.healthz.add('ready', 'a', () => {})
  await run()
  t.strictSame(await values('check.status'), states(1, 0))
  remove()
  t.strictSame(await values('check.status'), states(0, 0))
  app.healthz.add('ready', 'a', () => false)
  t.strictSame(await values('check.status'), states(0, 0))
  await run()
  t.strictSame(await values('check.status'), states(0, 1))
})

t.test('apps of one process are added up, and those that have closed are left out', async t => {
  const { meters, values } = startSdk(t)
  const meter = meters.getMeter('fastify-healthz')
  const added = t.capture(meter, 'addBatchObservableCallback', meter.addBatchObservableCallback)
  const removed = t.capture(meter, 'removeBatchObservableCallback', meter.removeBatchObservableCallback)
  const [one, other] = [await boot(t, { ready: { a: () => {} } }), await boot(t, { ready: { a: () => false } })]
  await one.run()
  await other.run()
  const sums = {
    'probe.status ready pass': 1,
    'probe.status ready fail': 1,
    'check.status ready a pass': 1,
    'check.status ready a fail': 1,
    'check.duration ready a pass': 1,
    'check.duration ready a fail': 1,
    'app.status serving': 2
  }
  t.match(await values(), sums)
  await other.app.close()
  t.match(await values(), { ...sums, 'probe.status ready fail': 0, 'check.status ready a fail': 0, 'app.status serving': 1 })
  for (const name of CHANNELS) t.ok(hasSubscribers(name))
  await one.app.close()
  for (const name of CHANNELS) t.notOk(hasSubscribers(name))
  const gone = { 'probe.status ready pass': 0, 'check.status ready a pass': 0, 'app.status serving': 0 }
  t.strictSame(removed().length, 0)
  t.match(await values(), gone)
  t.strictSame(removed().map(({ args }) => args[0]), [added()[0]!.args[0]], 'nothing is observed any more')
  t.match(await values(), gone)
})

t.test('titles and errors are in no metric', async t => {
  const { collect } = startSdk(t)
  const { run } = await boot(t, { ready: { a: () => { throw new HealthError('words', { cause: new Error('secret') }) } } })
  await run()
  t.notMatch(JSON.stringify(await collect()), /words|secret/)
})

/** Every way in which a check runs, to be awaited until its queries are over. */
const WAYS: Record<string, (t: Test, given: opentelemetry.OpenTelemetryOptions) => Promise<void>> = {
  async 'on demand' (t, given) {
    const { run } = await boot(t, { ready: { a: () => query() } }, given)
    await run()
  },
  async synchronously (t, given) {
    const { run } = await boot(t, { ready: { a: () => { trace.getTracer('driver').startSpan('query').end() } } }, given)
    await run()
  },
  async 'shared by several callers' (t, given) {
    const { run } = await boot(t, { ready: { a: () => query() } }, given)
    await Promise.all([run(), run(), run()])
  },
  async 'in the background' (t, given) {
    const ran = new Promise<void>(resolve => {
      boot(t, { ready: { a: { check: () => query().finally(resolve), interval: 60_000 } } }, given).catch(t.threw)
    })
    await ran
    await setImmediate()
  },
  async 'added at run time' (t, given) {
    const { app, run } = await boot(t, {}, given)
    app.healthz.add('ready', 'a', () => query())
    await run()
  },
  async 'loaded from a module' (t, given) {
    const { run } = await boot(t, { ready: { a: join(__dirname, '../../fixtures/traced.cjs') } }, given)
    await run()
  },
  async 'late, after its timeout' (t, given) {
    let finish!: () => void
    const late = new Promise<void>(resolve => { finish = resolve })
    const { run } = await boot(t, { ready: { a: { check: () => late.then(() => query()), timeout: 10 } } }, given)
    await run()
    finish()
    await setImmediate()
    await setImmediate()
  },
  async 'in a request that is not traced' (t, given) {
    const { run } = await boot(t, { ready: { a: () => query() } }, given)
    await context.with(core.suppressTracing(context.active()), () => run())
  },
  async 'in a request that is traced' (t, given) {
    const { run } = await boot(t, { ready: { a: () => query() } }, given)
    await trace.getTracer('http').startActiveSpan('GET /healthz/ready', () => run())
  }
}

for (const [way, ask] of Object.entries(WAYS)) {
  t.test(`a check that runs ${way} leaves no span by default`, async t => {
    const { spans } = startSdk(t)
    await ask(t, {})
    t.strictSame(spans().map(({ name }) => name), [])
    await query()
    t.strictSame(spans().map(({ name }) => name), ['query'], 'others do')
  })

  t.test(`a check that runs ${way} leaves one trace with \`traces\`, and its query in it`, async t => {
    const { spans } = startSdk(t)
    await ask(t, { traces: true })
    const ended = spans()
    const run = ended.find(({ name }) => name === 'check ready/a')!
    const query = ended.find(({ name }) => name === 'query')!
    t.equal(ended.length, 2)
    t.equal(run.parentSpanContext, undefined)
    t.equal(query.parentSpanContext?.spanId, run.spanContext().spanId)
    t.match(run.attributes, { 'healthz.probe.name': 'ready', 'healthz.check.name': 'a' })
  })
}

t.test('the span of a run has the state of the check, and of a failure only its public title', async t => {
  const { spans } = startSdk(t)
  const outcomes: Record<string, () => unknown> = {
    pass: () => {},
    returned: () => false,
    health: async () => { throw new HealthError('no connection', { cause: new Error('secret') }) },
    bug: () => { throw new Error('secret') },
    hangs: () => new Promise(() => {})
  }
  let fails = true
  const { run } = await boot(t, {
    timeout: 10,
    ready: {
      ...outcomes,
      warns: { check: () => false, critical: false },
      recovers: { check: () => !fails, successThreshold: 2 }
    }
  }, { traces: true })
  const told = async () => {
    await run()
    const ended = spans()
    t.notMatch(JSON.stringify(ended.map(({ attributes, events, status }) => ({ attributes, events, status }))), /secret/)
    return Object.fromEntries(ended.map(({ name, attributes, status }) =>
      [name.replace('check ready/', ''), [attributes['healthz.check.state'], status.code, status.message]]))
  }
  const { UNSET, ERROR } = SpanStatusCode
  t.strictSame(await told(), {
    pass: ['pass', UNSET, undefined],
    returned: ['fail', ERROR, 'failed'],
    health: ['fail', ERROR, 'no connection'],
    bug: ['fail', ERROR, 'failed unexpectedly'],
    hangs: ['fail', ERROR, 'timed out'],
    warns: ['warn', ERROR, 'failed'],
    recovers: ['fail', ERROR, 'failed']
  })
  fails = false
  t.match(await told(), { recovers: ['fail', ERROR, 'recovering, passed 1 of 2 times'] })
  t.match(await told(), { recovers: ['pass', UNSET, undefined] })
})

t.test('the span of a run that times out ends at its timeout, whether the run settles or not', async t => {
  const { spans } = startSdk(t)
  const { run } = await boot(t, { ready: { a: { check: () => new Promise(() => {}), timeout: 50 } } }, { traces: true })
  await run()
  const [span] = spans()
  const ms = span!.duration[0] * 1000 + span!.duration[1] / 1e6
  t.ok(ms >= 45 && ms < 10_000, `${ms} ms`)
})

t.test('a run in the background that the close aborts leaves no span', async t => {
  const { spans } = startSdk(t)
  const { app } = await boot(t, {
    ready: { a: { check: ({ signal }) => new Promise(resolve => { signal.addEventListener('abort', resolve) }), interval: 60_000 } }
  }, { traces: true })
  await app.close()
  await setImmediate()
  t.strictSame(spans(), [])
})

t.test('without an SDK it exports nothing, and checks run as they do', async t => {
  for (const traces of [false, true]) {
    const { app, run } = await boot(t, { ready: { a: () => query(), b: () => false } }, { traces })
    t.match(await run(), { status: 503, checks: { a: { status: 'pass' }, b: { status: 'fail' } } })
    await app.close()
  }
})

t.test('an unknown or invalid option refuses the boot', async t => {
  for (const [options, code] of [
    [{ trace: true }, 'HEALTHZ_ERR_OPTION_UNKNOWN'],
    [{ traces: 'all' }, 'HEALTHZ_ERR_OPTION_INVALID']
  ] as const) {
    const app = Fastify()
    t.teardown(() => app.close())
    app.register(healthz)
    app.register(opentelemetry, options as object)
    await t.rejects(async () => app.ready(), { code })
  }
})

t.test('it is refused without the plugin, and for a second time', async t => {
  const without = Fastify()
  without.register(opentelemetry)
  await t.rejects(async () => without.ready(), {
    // The oldest versions of Fastify 5 assert it, and have no code of their own for it.
    code: /^(FST_ERR_PLUGIN_DEPENDENCY_NOT_REGISTERED|ERR_ASSERTION)$/,
    message: "The dependency 'fastify-healthz' of plugin 'fastify-healthz-opentelemetry' is not registered"
  })
  const twice = Fastify()
  t.teardown(() => twice.close())
  twice.register(healthz)
  twice.register(opentelemetry)
  twice.register(async app => { app.register(opentelemetry) })
  await t.rejects(async () => twice.ready(), {
    code: 'HEALTHZ_ERR_ALREADY_REGISTERED',
    message: 'fastify-healthz/opentelemetry is already registered in this or a parent scope: register it once'
  })
})

t.test('requests to the probes of all apps of the process are recognized by their path', async t => {
  const to = (url: string, localPort = 80) => isProbe({ url, socket: { localPort } } as IncomingMessage)
  const recognized = (urls: string[]) => urls.filter(url => to(url))
  const paths = [
    '/healthz/ready', '/healthz/ready?verbose', '/healthz/ready/database', '/healthz/other', '/healthz/', '/healthz', '/healthzy',
    '/up', '/up?verbose', '/up/database', '/a/healthz/live', '/a', '/'
  ]
  t.strictSame(recognized(paths), [], 'none before')

  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(healthz, { paths: { live: '/up' } })
  await app.ready()
  t.strictSame(recognized(paths), [
    '/healthz/ready', '/healthz/ready?verbose', '/healthz/ready/database', '/healthz/other', '/up', '/up?verbose'
  ])

  const scoped = Fastify()
  scoped.register(async scope => { await scope.register(healthz, { prefix: '' }) }, { prefix: '/a' })
  await scoped.ready()
  t.strictSame(recognized(['/a/live', '/a/live/x', '/live', '/a/healthz/live']), ['/a/live'])

  await scoped.close()
  await app.close()
  t.strictSame(recognized([...paths, '/a/live']), [], 'none afterwards')
})

t.test('requests to probes with a separate port are recognized on that port', async t => {
  const to = (url: string, localPort: number) => isProbe({ url, socket: { localPort } } as IncomingMessage)
  for (const alongside of [false, true]) {
    const app = Fastify()
    t.teardown(() => app.close())
    app.register(async scope => {
      await scope.register(healthz, { paths: { live: '/' }, listen: { port: 0, host: '127.0.0.1', alongside } })
      const { port } = scope.healthz.address!
      t.ok(to('/', port), 'before the app is ready')
      t.strictSame([to('/healthz/ready', port), to('/a/healthz/ready', port)], [true, false])
      t.strictSame([to('/a/', port + 1), to('/a/healthz/ready', port + 1)], [alongside, alongside])
    }, { prefix: '/a' })
    await app.ready()
    await app.close()
  }
  const failing = Fastify()
  failing.register(healthz, { ready: './no-such-module.js' })
  await t.rejects(async () => failing.ready())
  t.notOk(to('/healthz/ready', 80), 'nor those of an app that failed to boot')
})
