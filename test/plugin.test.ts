import Fastify, { type FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import healthz from '../lib/index.js'

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
    code: 'HEALTHZ_ERR_ALREADY_REGISTERED', message: 'fastify-healthz is registered already in this scope or in one around it: register it once'
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
  const lines: string[] = []
  const app = Fastify({ logger: { stream: { write: line => { lines.push(line) } } } })
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
  t.match(lines.map(line => JSON.parse(line)), [{ msg: 'checked', probe: 'ready', check: 'itself' }])
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
