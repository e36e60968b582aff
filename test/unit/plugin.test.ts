import Fastify, { type FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import healthz, { HealthError } from '../../lib/index.js'
import { capture } from '../helpers/log.js'
import { listen } from '../helpers/raw.js'

const OK = { status: 200, title: 'OK' }
const fixtures = join(process.cwd(), 'test', 'fixtures')

declare module 'fastify' {
  interface FastifyInstance { store: { query (sql: string): Promise<unknown> } }
}

async function status (app: FastifyInstance, path: string) {
  const answer = await app.inject(path)
  return answer.headers['content-type'] === 'application/problem+json' ? answer.json().title : answer.statusCode
}

t.test('it works without options, and within an encapsulated prefix', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(healthz)
  app.register(async scope => { scope.register(healthz, { prefix: '/deep' }) }, { prefix: '/x' }).after(error => {
    t.match(error, { code: 'HEALTHZ_ERR_ALREADY_REGISTERED' })
  })
  await app.ready()
  t.strictSame((await app.inject('/healthz/live')).json(), OK)

  const nested = Fastify()
  t.teardown(() => nested.close())
  nested.register(async api => { api.register(healthz, { paths: { ready: '/readyz' } }) }, { prefix: '/api' })
  t.equal(await status(nested, '/api/healthz/live'), 'OK')
  t.equal(await status(nested, '/api/readyz'), 'OK')
  t.equal(await status(nested, '/api/healthz/ready'), 'The ready check endpoint is not setup')
  t.equal(await status(nested, '/healthz/live'), 404)
})

t.test('two registrations in sibling scopes work, each with its own checks', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(async scope => { scope.register(healthz, { ready: () => false }) }, { prefix: '/a' })
  app.register(async scope => { scope.register(healthz) }, { prefix: '/b' })
  t.equal(await status(app, '/a/healthz/ready'), 'The ready check failed')
  t.equal(await status(app, '/b/healthz/ready'), 'OK')
})

t.test('a second registration in the same scope is refused', async t => {
  const app = Fastify()
  app.register(healthz)
  app.register(healthz, { prefix: '/other' })
  await t.rejects(async () => { await app.ready() }, {
    code: 'HEALTHZ_ERR_ALREADY_REGISTERED', message: 'fastify-healthz is already registered in this or a parent scope: register it once'
  })
})

t.test('two apps in one process have nothing to do with each other', async t => {
  const [one, two] = [Fastify(), Fastify()]
  t.teardown(() => Promise.all([one.close(), two.close()]))
  one.register(healthz, { live: () => false })
  two.register(healthz)
  t.equal(await status(one, '/healthz/live'), 'The live check failed')
  t.equal(await status(two, '/healthz/live'), 'OK')
})

t.test('a bad option refuses the boot', async t => {
  const app = Fastify()
  app.register(healthz, { live: 5 as any })
  await t.rejects(async () => { await app.ready() }, { code: 'HEALTHZ_ERR_OPTION_INVALID' })
})

t.test('a check is called with the app, the names and a logger, and a function with the app as its this', async t => {
  const { lines, logger } = capture()
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  const seen: unknown[] = []
  app.register(async scope => {
    scope.decorate('store', { query: async sql => { seen.push(sql) } })
    scope.register(healthz, {
      ready: {
        async database ({ app }) { await app.store.query('SELECT 1') },
        itself (context) {
          seen.push(this === context.app, context.probe, context.check, context.log === context.log) // eslint-disable-line no-self-compare
          context.log.info('checked')
        }
      },
      noLog: true
    })
  })
  t.equal(await status(app, '/healthz/ready'), 'OK')
  t.strictSame(seen, ['SELECT 1', true, 'ready', 'itself', true])
  t.match(lines, [{ msg: 'checked', probe: 'ready', check: 'itself' }])
})

t.test('a check without the methods of a function is called all the same', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(healthz, {
    live: Object.setPrototypeOf(() => false, null),
    ready: Object.assign(() => false, { call: () => true })
  })
  t.equal(await status(app, '/healthz/live'), 'The live check failed')
  t.equal(await status(app, '/healthz/ready'), 'The ready check failed')
})

t.test('checks in modules of their own are loaded while booting, and reach the app', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(healthz, {
    live: './cjs.cjs#liveness',
    ready: { one: './esm.mjs', two: 'import-only/checks#liveness', three: pathToFileURL(join(fixtures, 'esm.mjs')) + '#liveness' },
    root: fixtures
  })
  t.equal(await status(app, '/healthz/live'), 'OK')
  t.equal(await status(app, '/healthz/ready'), 'OK')
})

t.test('a module that cannot be loaded, in time or at all, refuses the boot with our own error', async t => {
  for (const [specifier, code] of [
    ['./missing.mjs', 'HEALTHZ_ERR_CHECK_LOAD'],
    ['./throws.mjs', 'HEALTHZ_ERR_CHECK_LOAD'],
    ['./esm.mjs#number', 'HEALTHZ_ERR_CHECK_EXPORT'],
    ['./hangs.mjs', 'HEALTHZ_ERR_CHECK_LOAD_TIMEOUT']
  ] as const) {
    const app = Fastify({ pluginTimeout: 1000 })
    app.register(healthz, { ready: { database: specifier }, root: pathToFileURL(join(fixtures, 'x')) })
    await t.rejects(async () => { await app.ready() }, { code, message: /`ready.database`/ })
  }
})

t.test('a boot that is refused leaves no listener in the process, and can still be closed', async t => {
  const counts = () => ['SIGTERM', 'SIGINT', 'SIGHUP', 'uncaughtException', 'unhandledRejection'].map(event => process.listenerCount(event))
  const none = counts()
  const other = Fastify()
  t.teardown(() => other.close())
  other.register(healthz, { shutdown: true })
  await other.ready()
  const before = counts()
  t.notSame(before, none)
  for (const [options, code] of [
    [{ listen: { port: 0, host: '192.0.2.123' } }, 'HEALTHZ_ERR_LISTEN'],
    [{ ready: './missing.mjs' }, 'HEALTHZ_ERR_CHECK_LOAD']
  ] as const) {
    const app = Fastify()
    app.register(healthz, { shutdown: { signals: ['SIGHUP'] }, ...options })
    await t.rejects(async () => { await app.ready() }, { code })
    t.strictSame(counts(), before)
    await app.close()
    t.strictSame(counts(), before, 'the other app keeps its own')
  }
})

t.test('options that are frozen all through are taken, and left as they were', async t => {
  const freeze = <T extends object>(value: T): T => {
    for (const inner of Object.values(value)) if (typeof inner === 'object') freeze(inner)
    return Object.freeze(value)
  }
  const options = () => ({
    prefix: '/h',
    ready: { a: () => {} },
    paths: { live: '/l' },
    routeOptions: { schema: { querystring: { type: 'object' } }, config: { a: {} }, constraints: { host: /.*/ } }
  })
  const app = Fastify({ exposeHeadRoutes: true })
  t.teardown(() => app.close())
  const given = freeze(options())
  app.register(healthz, given as any)
  t.equal(await status(app, '/h/ready'), 'OK')
  t.equal(JSON.stringify(given), JSON.stringify(options()))
})

t.test('a root plugin registered later still finds the opt-outs and the probe\'s name in the route\'s config', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  const names: unknown[] = []
  app.register(healthz)
  app.register(fp(async app => {
    app.addHook('onRequest', async request => { names.push(request.routeOptions.config.healthz?.probe) })
  }))
  await app.inject('/healthz/live')
  await app.inject('/healthz/ready')
  await app.inject('/healthz/nowhere')
  t.strictSame(names, ['live', 'ready', undefined])
})

t.test('the error of a `preClose` hook reaches whoever closes the app, wherever the hook was added', async t => {
  const signals = process.listenerCount('SIGTERM')
  for (const added of ['before', 'after', 'in a scope'] as const) {
    const app = Fastify()
    const fail = async () => { throw new Error('could not flush') }
    if (added === 'before') app.addHook('preClose', fail)
    await app.register(healthz, { shutdown: true, listen: { port: 0, host: '127.0.0.1' } })
    if (added === 'after') app.addHook('preClose', fail)
    if (added === 'in a scope') app.register(async scope => { scope.addHook('preClose', fail) })
    await app.ready()
    const { port } = app.healthz.address!
    await t.rejects(app.close(), { message: 'could not flush' }, added)
    await t.rejects(fetch(`http://127.0.0.1:${port}/healthz/live`), 'the separate port is closed')
    t.equal(process.listenerCount('SIGTERM'), signals)
    t.equal(app.healthz.state, 'closed')
  }
})

t.test('the separate port answers until the last `onClose` hook has run, also one that was added first', async t => {
  const app = Fastify()
  const states: string[] = []
  let port = 0
  app.addHook('onClose', async () => {
    states.push(app.healthz.state, (await (await fetch(`http://127.0.0.1:${port}/healthz/ready`)).json() as { title: string }).title)
  })
  app.register(healthz, { listen: { port: 0, host: '127.0.0.1' } })
  await app.ready()
  port = app.healthz.address!.port
  await app.close()
  t.strictSame(states, ['closed', 'Shutting down'])
  await t.rejects(fetch(`http://127.0.0.1:${port}/healthz/ready`))
})

t.test('an app that is closed before it is ready leaves nothing behind', async t => {
  const signals = process.listenerCount('SIGTERM')
  const app = Fastify()
  await app.register(healthz, { shutdown: true, listen: { port: 0, host: '127.0.0.1' } })
  const { port } = app.healthz.address!
  await app.close()
  t.equal(app.healthz.state, 'closed')
  t.equal(process.listenerCount('SIGTERM'), signals)
  await t.rejects(fetch(`http://127.0.0.1:${port}/healthz/live`))
})

t.test('a probe that waits for a slow check is answered when the close begins, and does not hold it', async t => {
  for (const [probe, expected] of [['live', 'OK'], ['ready', 'Shutting down'], ['ready?verbose', 'Shutting down'], ['ready/slow', 'Shutting down']] as const) {
    const app = Fastify()
    let started = () => {}
    const running = new Promise<void>(resolve => { started = resolve })
    const slow = { check: () => { started(); return new Promise(() => {}) }, timeout: 3000 }
    await app.register(healthz, { live: { slow }, ready: { slow }, details: () => true })
    const port = await listen(app)
    const answer = fetch(`http://127.0.0.1:${port}/healthz/${probe}`)
    await running
    const began = performance.now()
    await app.close()
    t.ok(performance.now() - began < 1500)
    t.match(await (await answer).json(), { title: expected }, probe)
  }
})

t.test('a failure that is tolerated passes the probe with a warning, and a threshold that is reached fails it', async t => {
  const { lines, logger } = capture()
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  let healthy = true
  let calls = 0
  app.register(healthz, {
    details: true,
    noLog: true,
    ready: {
      database: {
        check: () => { calls++; if (!healthy) throw new HealthError('away') },
        failureThreshold: 2,
        successThreshold: 2
      }
    }
  })
  await app.ready()
  const changes: string[] = []
  app.healthz.onChange(change => { if (change.kind === 'check') changes.push(`${change.from} → ${change.to}`) })
  const probe = async (path = 'ready?verbose') => {
    const { status, title, checks } = (await app.inject(`/healthz/${path}`)).json()
    return [status, title, checks?.database.status, checks?.database.title]
  }
  t.strictSame(await probe(), [200, 'OK', 'pass', undefined])
  healthy = false
  t.strictSame(await probe(), [200, 'OK', 'warn', 'away'])
  t.match(app.healthz.snapshot().ready, { outcome: 'pass', checks: { database: { status: 'warn', title: 'away' } } })
  t.strictSame(await probe('ready?exclude=database'), [200, 'OK', undefined, undefined])
  t.equal(calls, 2, 'an excluded check is not counted')
  t.strictSame(await probe('ready/database'), [503, 'database: away', 'fail', 'away'], 'a check alone is counted as well')
  t.strictSame(await probe('ready'), [503, 'database: away', undefined, undefined])
  healthy = true
  t.strictSame(await probe(), [503, 'database: recovering, passed 1 of 2 times', 'fail', 'recovering, passed 1 of 2 times'])
  t.strictSame(await probe(), [200, 'OK', 'pass', undefined])
  t.strictSame(changes, ['unknown → pass', 'pass → warn', 'warn → fail', 'fail → pass'])
  t.match(lines.filter(({ check }) => check === 'database'), [
    { level: 40, failures: 2, msg: 'ready check "database" failed: away (2 failures in a row)' },
    { level: 30, msg: /^ready check "database" recovered after \d/ }
  ])
  t.equal(lines.filter(({ check }) => check === 'database').length, 2)
})

t.test('a threshold counts anew for a check that is added again, and tolerates nothing before startup has passed', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(healthz, { startup: { cache: { check: () => false, failureThreshold: 3 } } })
  await app.ready()
  let healthy = true
  const add = () => app.healthz.add('ready', 'database', { check: () => healthy, failureThreshold: 2 })
  const status = async (probe: string) => (await app.inject(`/healthz/${probe}`)).statusCode
  const undo = add()
  t.equal(await status('ready'), 200)
  healthy = false
  t.equal(await status('ready'), 200)
  undo()
  add()
  t.equal(await status('ready'), 503)
  t.equal(await status('startup'), 503)
})

t.test('listen.thread: the watchdog gets the probes, the settings and the state, and reports', async t => {
  const { lines, logger } = capture()
  const reported: string[] = []
  let given!: { settings: object, observer: () => any }
  const address = { address: '127.0.0.1', family: 'IPv4', port: 9 }
  const { plugin } = t.mockRequire<typeof import('../../lib/plugin.js')>('../../lib/plugin.js', {
    '../../lib/watchdog/open.js': {
      async openWatchdog (_server: object, settings: object, observer: () => object) {
        given = { settings, observer }
        return { address, started () { reported.push(app.healthz.state) }, close () { reported.push('port closed') } }
      }
    }
  })
  const app = Fastify({ logger })
  await app.register(fp(plugin), {
    timeout: 700, paths: { live: '/up' }, probes: { deep: () => {} }, listen: { port: 0, host: '127.0.0.1', thread: { stack: false } }
  })
  t.equal(app.healthz.address, address)
  t.match(given.settings, { port: 0, host: '127.0.0.1', timeout: 700, alive: ['/up'], maxBlocked: 10_000, stack: false })
  await listen(app)
  given.observer().loopBlocked(1500, undefined)
  given.observer().threadUnavailable(new Error('no inspector'))
  await app.healthz.drain(0)
  given.observer().threadDied(new Error('out of memory'))
  given.observer().threadDied(new Error('out of memory'), new Error('EADDRINUSE'))
  await app.close()
  t.strictSame(reported, ['serving', 'draining', 'closing', 'closed', 'port closed'])
  t.match(lines.filter(({ level }) => level >= 40), [
    { level: 40, blockedMs: 1500, msg: 'event loop blocked for 1.5 s' },
    { level: 40, err: { message: 'no inspector' }, msg: /^listen\.thread is unavailable/ },
    { level: 60, err: { message: 'out of memory' }, msg: /^the thread of the separate port died, probes are served by the main thread$/ },
    { level: 60, err: { message: 'out of memory' }, msg: "the thread of the separate port died, and the main thread can't listen either: EADDRINUSE" }
  ])
})

t.test('listen.thread: where there is no thread the port is served without', async t => {
  const { lines, logger } = capture()
  const { plugin } = t.mockRequire<typeof import('../../lib/plugin.js')>('../../lib/plugin.js', {
    '../../lib/watchdog/open.js': {
      async openWatchdog (_server: object, _settings: object, observer: any) { observer().threadUnavailable(new Error('no thread')) }
    }
  })
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  await app.register(fp(plugin), { listen: { port: 0, host: '127.0.0.1', thread: true } })
  t.equal((await fetch(`http://127.0.0.1:${app.healthz.address!.port}/healthz/live`)).status, 200)
  t.match(lines.find(({ level }) => level === 40)!.msg, 'listen.thread is unavailable')
})
