import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import healthz from '../lib/index.js'
import { readRouteOptions } from '../lib/route-options.js'
import { refusesLogLevels } from './helpers/log-levels.js'

t.test('what a route may be given is taken as it is', async t => {
  const options = { schema: { hide: true }, constraints: { host: /x/ }, config: { mine: 1 }, logLevel: 'warn' }
  t.strictSame(readRouteOptions(options), options)
  t.strictSame(readRouteOptions({}), {})
  t.strictSame(readRouteOptions({ schema: undefined, logLevel: undefined }), { schema: undefined, logLevel: undefined })
})

t.test('anything else is refused by its name', async t => {
  const getter = Object.defineProperty({}, 'a', { get () { throw new Error('oops') }, enumerable: true })
  const cases: Array<[options: unknown, message: string, code?: string]> = [
    [[], 'Expected `routeOptions` to be an object, got `[]` (array)'],
    [null, 'Expected `routeOptions` to be an object, got `null`'],
    [{ config: 1 }, 'Expected `routeOptions.config` to be an object, got `1` (number)'],
    [{ config: getter }, 'Expected `routeOptions.config.a` to be readable, got an error: oops'],
    [{ logLevel: 30 }, 'Expected `routeOptions.logLevel` to be the name of a level, got `30` (number)'],
    [{ onRequest () {} }, 'Unknown option `routeOptions.onRequest`: expected one of `schema`, `constraints`, `config`, `logLevel`', 'HEALTHZ_ERR_OPTION_UNKNOWN']
  ]
  for (const [options, message, code = 'HEALTHZ_ERR_OPTION_INVALID'] of cases) t.throws(() => readRouteOptions(options), { code, message })
})

t.test('a route option that Fastify refuses is refused by its name, with the cause', async t => {
  const boot = async (routeOptions: object, prepare = (_app: FastifyInstance) => {}) => {
    const app = Fastify({ logger: { level: 'silent' } })
    prepare(app)
    app.register(healthz, { routeOptions })
    await app.ready()
  }
  for (const [routeOptions, message] of [
    ...refusesLogLevels
      ? [[{ logLevel: 'nosuch' }, /^Expected `routeOptions.logLevel` to be what Fastify takes \(.*\), got `'nosuch'` \(string\)$/]] as const
      : [],
    [{ schema: { body: {} } }, /^Expected `routeOptions.schema` to be what Fastify takes \(.*\), got `\{ body: \{\} \}` \(object\)$/],
    [{ constraints: { nosuch: 'x' } }, /^Expected `routeOptions.constraints` .*\(No strategy registered for constraint key nosuch\)/],
    [{ constraints: { host: 5 } }, /^Expected `routeOptions.constraints` .*\(Host should be a string or a RegExp\)/]
  ] as const) {
    await t.rejects(boot(routeOptions), { code: 'HEALTHZ_ERR_OPTION_INVALID', message, cause: Error })
  }
  await t.rejects(boot({ config: {}, constraints: { host: 'a' } }, app => {
    app.route({ method: 'GET', url: '/healthz/live', constraints: { host: 'a' }, handler () {} })
  }), { code: 'FST_ERR_DUPLICATED_ROUTE' }, 'a path that is taken has nothing to do with them')
  await t.rejects(boot({ config: {} }, app => {
    app.addHook('onRoute', () => { throw new Error('a hook') })
  }), { code: undefined, message: 'a hook' })
})
