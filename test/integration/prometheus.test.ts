import { channel, hasSubscribers, subscribe, unsubscribe } from 'node:diagnostics_channel'
import * as successor from '@prometheus-io/client'
import Fastify, { type FastifyInstance, type FastifyPluginCallback } from 'fastify'
import fastifyMetrics from 'fastify-metrics'
import fastifyMetrics14 from 'fastify-metrics-14'
import * as original from 'prom-client'
import t, { type Test } from 'tap'
import healthz, { HealthError } from '../../lib/index.js'
import prometheus from '../../lib/telemetry/prometheus.js'

const NAMES = [
  'healthz_probe_up',
  'healthz_probe_last_change_timestamp_seconds',
  'healthz_probe_aborted_total',
  'healthz_check_up',
  'healthz_check_last_change_timestamp_seconds',
  'healthz_check_duration_seconds',
  'healthz_check_runs_total',
  'healthz_state',
  'healthz_holds',
  'healthz_boot_seconds',
  'healthz_drain_late_connections_total',
  'healthz_loop_blocked_total',
  'healthz_loop_blocked_seconds_total'
]

const CHANNELS = ['fastify-healthz:check', 'fastify-healthz:abort', 'fastify-healthz:block', 'fastify-healthz:drain']

/** What the tests use of a client. */
interface Tested {
  readonly Registry: typeof original.Registry
  readonly Gauge: typeof original.Gauge
  readonly register: original.Registry
  /** The metrics of several processes as one registry. */
  readonly aggregate: (metrics: object[]) => original.Registry
}

const CLIENTS: Record<string, Tested> = {
  'prom-client': { ...original, aggregate: metrics => original.AggregatorRegistry.aggregate(metrics) },
  // The types of the two differ in more than what runs.
  '@prometheus-io/client': { ...successor, aggregate: (metrics: object[]) => successor.Registry.aggregate(metrics) } as object as Tested
}

/** The samples of a scrape by what stands before their value. Those of `healthz_` alone. */
function samplesOf (register: { metrics (): Promise<string> }) {
  return async (start = ''): Promise<Record<string, number>> => {
    const lines = (await register.metrics()).split('\n').filter(line => line.startsWith(`healthz_${start}`))
    return Object.fromEntries(lines.map(line => /^(.+) (\S+)$/.exec(line)!.slice(1)).map(([name, value]) => [name!, Number(value)]))
  }
}

for (const [client, { Registry, Gauge, aggregate }] of Object.entries(CLIENTS)) {
  t.test(client, async t => {
    /** An app with its metrics in a registry of its own. */
    async function boot (t: Test, options: healthz.HealthzOptions = {}, given: prometheus.PrometheusOptions = {}) {
      const app = Fastify()
      t.teardown(() => app.close())
      const register = new Registry()
      await app.register(healthz, options)
      await app.register(prometheus, { ...given, register })
      await app.ready()
      return { app, ask: (probe = 'ready') => app.healthz.run(probe), register, scrape: samplesOf(register) }
    }

    t.test('a probe is up or down as it was last asked, and is not there before', async t => {
      let away = false
      const { ask, scrape } = await boot(t, { ready: () => !away })
      t.strictSame(await scrape('probe_up'), {})
      t.strictSame(await scrape('probe_last'), {})
      await ask()
      t.strictSame(await scrape('probe_up'), { 'healthz_probe_up{probe="ready"}': 1 })
      away = true
      t.strictSame(await scrape('probe_up'), { 'healthz_probe_up{probe="ready"}': 1 }, 'nobody has asked')
      await ask()
      await ask('live')
      t.strictSame(await scrape('probe_up'), { 'healthz_probe_up{probe="live"}': 1, 'healthz_probe_up{probe="ready"}': 0 })
    })

    t.test('a check is up or down as it last ran, critical or not, and is not there before', async t => {
      const { ask, scrape } = await boot(t, {
        live: () => {},
        ready: {
          a: () => {},
          b: () => false,
          c: { check: () => { throw new HealthError('away') }, critical: false },
          __proto__x: () => {},
          constructor: () => false
        }
      })
      t.strictSame(await scrape('check'), {})
      await ask()
      t.strictSame(await scrape('check_up'), {
        'healthz_check_up{probe="ready",check="a"}': 1,
        'healthz_check_up{probe="ready",check="b"}': 0,
        'healthz_check_up{probe="ready",check="c"}': 0,
        'healthz_check_up{probe="ready",check="__proto__x"}': 1,
        'healthz_check_up{probe="ready",check="constructor"}': 0
      })
      await ask('live')
      t.equal((await scrape('check_up'))['healthz_check_up{probe="live",check="default"}'], 1, 'one without a name has that of the log')
    })

    t.test('a scrape runs no check', async t => {
      let runs = 0
      const { ask, register, scrape } = await boot(t, { ready: () => { runs++ } })
      for (let i = 0; i < 3; i++) await scrape()
      t.equal(runs, 0)
      await ask()
      for (const name of NAMES) await register.getSingleMetricAsString(name)
      await register.getMetricsAsJSON()
      t.equal(runs, 1)
    })

    t.test('runs are counted by outcome and timed, each outcome from the first run on', async t => {
      const ran: healthz.CheckRun[] = []
      const listener = (run: unknown) => { ran.push(run as healthz.CheckRun) }
      subscribe('fastify-healthz:check', listener)
      t.teardown(() => unsubscribe('fastify-healthz:check', listener))
      const checks: Record<string, () => unknown> = { a: () => {}, b: () => {} }
      const { ask, scrape } = await boot(t, {
        ready: {
          a: { check: () => checks.a!(), timeout: 20 },
          b: { check: () => checks.b!(), critical: false }
        }
      })
      await ask()
      checks.a = () => new Promise(() => {})
      checks.b = () => { throw new Error('a bug') }
      await ask()
      const runs = (check: string, outcome: string) => `healthz_check_runs_total{probe="ready",check="${check}",outcome="${outcome}"}`
      t.strictSame(await scrape('check_runs'), {
        [runs('a', 'pass')]: 1,
        [runs('a', 'warn')]: 0,
        [runs('a', 'fail')]: 1,
        [runs('b', 'pass')]: 1,
        [runs('b', 'warn')]: 1,
        [runs('b', 'fail')]: 0
      })
      const times = await scrape('check_duration_seconds')
      for (const check of ['a', 'b']) {
        const seconds = ran.filter(run => run.check === check).map(({ durationMs }) => durationMs / 1000)
        const time = (name: string) => times[`healthz_check_duration_seconds_${name}probe="ready",check="${check}"}`]
        t.equal(time('count{'), 2)
        t.equal(time('sum{'), seconds[0]! + seconds[1]!)
        for (const le of [0.001, 0.01, 0.1, 1]) t.equal(time(`bucket{le="${le}",`), seconds.filter(each => each <= le).length)
      }
    })

    t.test('requests whose client hung up are counted by probe, from 0 on, those of this app alone', async t => {
      const { app, register, scrape } = await boot(t, { startup: false, probes: { deep: () => {} } })
      const counts = async (samples: Promise<Record<string, number>>) => Object.entries(await samples).sort()
        .map(([name, value]) => [/probe="(\w+)"/.exec(name)![1], value])
      t.strictSame(await counts(scrape('probe_aborted_total')), [['deep', 0], ['live', 0], ['ready', 0]])
      const other = Fastify()
      t.teardown(() => other.close())
      await other.register(healthz)
      for (const abort of [
        { app, probe: 'ready', waitedMs: 1003, checks: ['default'] },
        { app, probe: 'ready', waitedMs: 1002, checks: [] },
        { app: other, probe: 'live', waitedMs: 1001, checks: [] }
      ]) channel('fastify-healthz:abort').publish(abort)
      t.match(await register.getSingleMetricAsString('healthz_probe_aborted_total'), 'healthz_probe_aborted_total{probe="ready"} 2')
      t.strictSame(await counts(scrape('probe_aborted_total')), [['deep', 0], ['live', 0], ['ready', 2]])
    })

    t.test('the last change is a Unix timestamp in seconds', async t => {
      let away = false
      const { app, ask, scrape } = await boot(t, { ready: { a: () => !away } })
      const changes: Record<string, number> = {}
      app.healthz.onChange(change => { changes[change.kind] = change.at / 1000 })
      const told = () => scrape().then(samples => [
        samples['healthz_probe_last_change_timestamp_seconds{probe="ready"}'],
        samples['healthz_check_last_change_timestamp_seconds{probe="ready",check="a"}']
      ])
      const before = Date.now() / 1000
      await ask()
      const first = await told()
      t.strictSame(first, [changes.probe, changes.check])
      t.ok(first[0]! >= before && first[0]! <= Date.now() / 1000)
      while (Date.now() / 1000 === first[0]) await ask()
      t.strictSame(await told(), first, 'nothing has changed')
      away = true
      await ask()
      t.strictSame(await told(), [changes.probe, changes.check])
      t.ok((await told())[0]! > first[0]!)
    })

    t.test('a check that is added appears with its first run, and one that is taken away is gone', async t => {
      const { app, ask, register, scrape } = await boot(t)
      const undo = app.healthz.add('ready', 'a', () => {})
      app.healthz.add('ready', 'b', () => {})
      await ask()
      const of = (check: string) => scrape('check').then(samples => Object.keys(samples).filter(name => name.includes(`check="${check}"`)))
      const all = 1 + 1 + (13 + 1 + 2) + 3
      t.equal((await of('a')).length, all)
      undo()
      t.strictSame(await of('a'), [])
      t.equal((await of('b')).length, all)

      const undoOther = app.healthz.add('ready', 'a', () => false)
      t.strictSame(await of('a'), [], 'it has not run')
      await ask()
      t.equal((await scrape())['healthz_check_runs_total{probe="ready",check="a",outcome="fail"}'], 1)
      t.equal((await scrape())['healthz_check_runs_total{probe="ready",check="a",outcome="pass"}'], 0, 'it begins anew')
      undoOther()
      app.healthz.add('ready', 'a', () => {})
      t.strictSame(await of('a'), [], 'nor has one that took its place between two scrapes')
      for (const name of NAMES.filter(name => name.startsWith('healthz_check'))) {
        const undo = app.healthz.add('ready', name, () => {})
        await ask()
        t.match(await register.getSingleMetricAsString(name), `check="${name}"`)
        undo()
        t.notMatch(await register.getSingleMetricAsString(name), `check="${name}"`, 'whichever metric is read alone')
      }
    })

    t.test('of the states of the app one is 1 at a time', async t => {
      const { app, scrape } = await boot(t)
      const states = (now: string) => Object.fromEntries(['starting', 'serving', 'draining', 'closing', 'closed']
        .map(state => [`healthz_state{state="${state}"}`, Number(state === now)]))
      t.strictSame(await scrape('state'), states('serving'))
      const drained = app.healthz.drain(60_000)
      t.strictSame(await scrape('state'), states('draining'))
      await app.close()
      await drained
    })

    t.test('the numbers that checks report are exported where that is wanted, those of the last run alone', async t => {
      let figures: healthz.CheckData = { free: 0.42, mode: 'rw', full: false, gone: null }
      const disk: healthz.Check = context => { context.data = figures }
      const { app, ask, register, scrape } = await boot(t, { live: { disk } }, { data: true })
      const undo = app.healthz.add('ready', 'disk', disk)
      await ask()
      await ask('live')
      t.strictSame(await scrape('check_data'), {
        'healthz_check_data{probe="ready",check="disk",key="free"}': 0.42,
        'healthz_check_data{probe="live",check="disk",key="free"}': 0.42
      })
      undo()
      figures = { total: 100 }
      await ask('live')
      t.strictSame(await scrape('check_data'), { 'healthz_check_data{probe="live",check="disk",key="total"}': 100 })
      await app.close()
      t.strictSame(register.getMetricsAsArray(), [])

      const quiet = await boot(t, { live: { disk } })
      await quiet.ask('live')
      t.strictSame(await quiet.scrape('check_data'), {})
    })

    t.test('what is held, how long the boot took and connections at the end of a drain are counted', async t => {
      const { app, scrape } = await boot(t)
      t.match(await scrape('holds'), { healthz_holds: 0 })
      const release = app.healthz.hold('job')
      t.match(await scrape('holds'), { healthz_holds: 1 })
      release()
      t.match(await scrape('boot'), { healthz_boot_seconds: app.healthz.bootMs! / 1000 })
      t.match(await scrape('drain'), { healthz_drain_late_connections_total: 0 })
      channel('fastify-healthz:drain').publish({ app, lastedMs: 1, newConnections: 7 })
      channel('fastify-healthz:drain').publish({ app: Fastify(), lastedMs: 1, newConnections: 7 })
      t.match(await scrape('drain'), { healthz_drain_late_connections_total: 7 })

      const starting = Fastify()
      t.teardown(() => starting.close())
      const register = new Registry()
      await starting.register(healthz, { listen: { port: 0, host: '127.0.0.1' } })
      await starting.register(prometheus, { register })
      await starting.ready()
      t.notMatch(await register.metrics(), /healthz_boot_seconds \d/, 'not before it serves')
    })

    t.test('blocks of the event loop are counted, with their seconds, those of this app alone', async t => {
      const { app, scrape } = await boot(t)
      t.strictSame(await scrape('loop'), { healthz_loop_blocked_total: 0, healthz_loop_blocked_seconds_total: 0 })
      for (const blockedMs of [1500, 2000]) channel('fastify-healthz:block').publish({ app, blockedMs, stack: 'at spin' })
      channel('fastify-healthz:block').publish({ app: Fastify(), blockedMs: 1000 })
      t.strictSame(await scrape('loop'), { healthz_loop_blocked_total: 2, healthz_loop_blocked_seconds_total: 3.5 })
    })

    t.test('titles and errors are in no metric', async t => {
      const { ask, register } = await boot(t, { ready: { a: () => { throw new HealthError('words', { cause: new Error('secret') }) } } })
      await ask()
      t.notMatch(await register.metrics(), /words|secret/)
    })

    t.test('names, types and help keep to the conventions of Prometheus', async t => {
      const { register } = await boot(t)
      const metrics = await register.getMetricsAsJSON()
      t.strictSame(metrics.map(({ name }) => name), NAMES)
      for (const { name, type, help } of metrics as unknown as Array<Record<'name' | 'type' | 'help', string>>) {
        t.match(help, /^[A-Z][^\n]+[^.]$/, name)
        t.equal(name.endsWith('_total'), type === 'counter')
      }
    })

    t.test('when the app closes they leave the registry, and the next one takes it', async t => {
      const register = new Registry()
      for (const type of [Registry.PROMETHEUS_CONTENT_TYPE, Registry.OPENMETRICS_CONTENT_TYPE]) {
        (register as original.Registry<any>).setContentType(type)
        const app = Fastify()
        app.register(healthz, { ready: () => {} })
        app.register(prometheus, { register })
        await app.ready()
        await app.healthz.run('ready')
        t.match(await register.metrics(), 'healthz_check_runs_total{probe="ready",check="default",outcome="pass"} 1')
        for (const name of CHANNELS) t.ok(hasSubscribers(name))
        await app.close()
        t.strictSame(register.getMetricsAsArray(), [])
        for (const name of CHANNELS) t.notOk(hasSubscribers(name))
      }
    })

    t.test('it is refused where the registry has a metric of one of its names, which stays as it is', async t => {
      const { ask, register, scrape } = await boot(t, { ready: () => {} })
      const second = Fastify()
      second.register(healthz)
      second.register(prometheus, { register })
      await t.rejects(async () => second.ready(), {
        code: 'HEALTHZ_ERR_METRIC_EXISTS',
        message: 'The registry already has a metric `healthz_probe_up`: give each app its own registry'
      })
      await second.close()
      await ask()
      t.equal((await scrape())['healthz_probe_up{probe="ready"}'], 1)

      const own = new Registry()
      const mine = new Gauge({ name: 'healthz_check_up', help: 'Mine', registers: [own] })
      const third = Fastify()
      third.register(healthz)
      third.register(prometheus, { register: own })
      await t.rejects(async () => third.ready(), { code: 'HEALTHZ_ERR_METRIC_EXISTS' })
      await third.close()
      t.strictSame(own.getMetricsAsArray(), [mine])
    })

    t.test('two apps of one process are told apart by their registries', async t => {
      const options = { ready: { a: () => {} } }
      const [one, other] = [await boot(t, options), await boot(t, options)]
      await one.ask()
      t.strictSame(await other.scrape('check'), {})
      await one.ask()
      await other.ask()
      const runs = 'healthz_check_runs_total{probe="ready",check="a",outcome="pass"}'
      t.equal((await one.scrape())[runs], 2)
      t.equal((await other.scrape())[runs], 1)
    })

    t.test('in a scope below that of the plugin it tells of that, and of no sibling', async t => {
      const [register, sibling] = [new Registry(), new Registry()]
      const app = Fastify()
      t.teardown(() => app.close())
      let inner: FastifyInstance
      app.register(async scope => {
        await scope.register(healthz, { prefix: '/a', ready: { a: () => {} } })
        scope.register(async scope => {
          await scope.register(prometheus, { register })
          inner = scope
        })
      })
      app.register(async scope => {
        await scope.register(healthz, { prefix: '/b', ready: { b: () => {} } })
        await scope.register(prometheus, { register: sibling })
      })
      await app.ready()
      await inner!.healthz.run('ready')
      await app.inject('/b/ready')
      t.strictSame(await samplesOf(register)('check_up'), { 'healthz_check_up{probe="ready",check="a"}': 1 })
      t.strictSame(await samplesOf(sibling)('check_up'), { 'healthz_check_up{probe="ready",check="b"}': 1 })
    })

    t.test('of the processes of a cluster, the one that is down and the latest change are told', async t => {
      let away = true
      const { ask, register, scrape } = await boot(t, { ready: () => !away })
      await ask()
      // As they cross from process to process.
      const metrics = async () => JSON.parse(JSON.stringify(await register.getMetricsAsJSON()))
      const workers = [await metrics()]
      away = false
      await ask()
      workers.push(await metrics())
      const samples = await samplesOf(aggregate(workers))()
      const last = await scrape()
      t.equal(samples['healthz_probe_up{probe="ready"}'], 0)
      t.equal(samples['healthz_check_up{probe="ready",check="default"}'], 0)
      for (const name of [NAMES[1] + '{probe="ready"}', NAMES[4] + '{probe="ready",check="default"}']) t.equal(samples[name], last[name])
    })
  })
}

t.test('it is refused without the plugin', async t => {
  const app = Fastify()
  app.register(prometheus)
  await t.rejects(async () => app.ready(), {
    // The oldest versions of Fastify 5 assert it, and have no code of their own for it.
    code: /^(FST_ERR_PLUGIN_DEPENDENCY_NOT_REGISTERED|ERR_ASSERTION)$/,
    message: "The dependency 'fastify-healthz' of plugin 'fastify-healthz-prometheus' is not registered"
  })
})

t.test('an option that is none, or no registry, refuses the boot', async t => {
  for (const [options, code] of [
    [{ prefix: 'app_' }, 'HEALTHZ_ERR_OPTION_UNKNOWN'],
    [{ register: {} }, 'HEALTHZ_ERR_OPTION_INVALID'],
    [{ register: null }, 'HEALTHZ_ERR_OPTION_INVALID'],
    [{ data: 'all' }, 'HEALTHZ_ERR_OPTION_INVALID']
  ] as const) {
    const app = Fastify()
    app.register(healthz)
    app.register(prometheus, options as object)
    await t.rejects(async () => app.ready(), { code })
    await app.close()
  }
})

const FASTIFY_METRICS = [
  { version: 13, client: 'prom-client', plugin: fastifyMetrics },
  { version: 14, client: '@prometheus-io/client', plugin: fastifyMetrics14 as FastifyPluginCallback<object> }
]

for (const { version, client, plugin } of FASTIFY_METRICS) {
  for (const order of ['before', 'after']) {
    t.test(`it works with fastify-metrics ${version}, registered ${order} it`, async t => {
      const { register, Registry } = CLIENTS[client]!
      t.teardown(() => register.clear())
      const app = Fastify()
      t.teardown(() => app.close())
      if (order === 'before') app.register(plugin, { endpoint: '/metrics' })
      app.register(healthz, { ready: { a: () => {} } })
      app.register(prometheus, { register })
      if (order === 'after') app.register(plugin, { endpoint: '/metrics' })
      app.register(async app => { app.get('/mine', async () => 'mine') })
      await app.ready()
      await app.inject('/healthz/ready')
      await app.inject('/mine')
      const { body, headers, statusCode } = await app.inject('/metrics')
      t.equal(statusCode, 200)
      t.equal(headers['content-type'], Registry.PROMETHEUS_CONTENT_TYPE)
      t.match(body, '\nhealthz_check_up{probe="ready",check="a"} 1\n')
      t.match(body, '\nhttp_request_duration_seconds_count{method="GET",route="/mine",status_code="200"} 1\n')
      t.match(body, '\nprocess_cpu_seconds_total ')
      t.notMatch(body, 'route="/healthz', 'probes are not among its requests')
      await app.close()
      t.notMatch(await register.metrics(), 'healthz_')
    })
  }
}
