import Fastify from 'fastify'
import t from 'tap'
import healthz from '../../../lib/index.js'
import { readRouteOptions } from '../../../lib/options/route-options.js'
import { refusesLogLevels } from '../../helpers/log-levels.js'

t.test('what a route may be given is taken as it is', async t => {
  const options = { schema: { hide: true }, constraints: { host: /x/ }, config: { mine: 1 }, logLevel: 'warn' }
  t.strictSame(readRouteOptions(options), options)
  t.strictSame(readRouteOptions({}), {})
  t.strictSame(readRouteOptions({ schema: undefined, logLevel: undefined }), { schema: undefined, logLevel: undefined })
})

t.test('anything else is refused by its name', async t => {
  const cases: Array<[options: unknown, message: string, code?: string]> = [
    [[], 'Expected `routeOptions` to be an object, got `[]` (array)'],
    [null, 'Expected `routeOptions` to be an object, got `null`'],
    [{ config: 1 }, 'Expected `routeOptions.config` to be an object, got `1` (number)'],
    [{ logLevel: 30 }, 'Expected `routeOptions.logLevel` to be the name of a level, got `30` (number)'],
    [{ onRequest () {} }, 'Unknown option `routeOptions.onRequest`: expected one of `schema`, `constraints`, `config`, `logLevel`', 'HEALTHZ_ERR_OPTION_UNKNOWN']
  ]
  for (const [options, message, code = 'HEALTHZ_ERR_OPTION_INVALID'] of cases) t.throws(() => readRouteOptions(options), { code, message })
})

t.test('a route option that Fastify refuses is refused by its own error', async t => {
  for (const [routeOptions, error] of [
    ...refusesLogLevels ? [[{ logLevel: 'nosuch' }, { code: 'FST_ERR_ROUTE_LOG_LEVEL_INVALID' }]] as const : [],
    [{ schema: { body: {} } }, { code: 'FST_ERR_ROUTE_BODY_VALIDATION_SCHEMA_NOT_SUPPORTED' }],
    [{ constraints: { nosuch: 'x' } }, { message: /No strategy registered for constraint key nosuch/ }],
    [{ constraints: { host: 5 } }, { message: /Host should be a string or a RegExp/ }]
  ] as const) {
    const app = Fastify({ logger: { level: 'silent' } })
    app.register(healthz, { routeOptions: routeOptions as object })
    await t.rejects(async () => { await app.ready() }, error)
  }
})
