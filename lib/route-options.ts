import type { ProbeRouteOptions } from '../types/options.js'
import { healthzError, messageOf, show } from './errors.js'
import { expectRecord, refuse, refuseUnknown } from './refusal.js'

const ROUTE_OPTIONS = ['schema', 'constraints', 'config', 'logLevel']

/** @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN */
export function readRouteOptions (given: unknown): ProbeRouteOptions {
  const options = expectRecord('routeOptions', given, 'an object')
  refuseUnknown('routeOptions.', options, ROUTE_OPTIONS)
  const { logLevel, ...objects } = options
  if (logLevel !== undefined && typeof logLevel !== 'string') refuse('routeOptions.logLevel', 'the name of a level', logLevel)
  for (const [name, value] of Object.entries(objects)) {
    if (value !== undefined) expectRecord(`routeOptions.${name}`, value, 'an object')
  }
  return options
}

/** Which of `routeOptions` it is, by the code of Fastify's error. Those about constraints are its router's, without one. */
const REFUSED_BY_FASTIFY: Readonly<Record<string, keyof ProbeRouteOptions>> = {
  FST_ERR_ROUTE_BODY_VALIDATION_SCHEMA_NOT_SUPPORTED: 'schema',
  FST_ERR_ROUTE_LOG_LEVEL_INVALID: 'logLevel'
}

/** What was thrown while routes were added; with the name of the option, if `routeOptions` are to blame. */
export function blame (routeOptions: Readonly<ProbeRouteOptions>, thrown: unknown): unknown {
  const { code, stack } = Object(thrown) as { code?: unknown, stack?: unknown }
  const name = REFUSED_BY_FASTIFY[String(code)] ?? (/[\\/]find-my-way[\\/]/.test(String(stack)) ? 'constraints' : undefined)
  if (name === undefined || routeOptions[name] === undefined) return thrown
  const [expected, got] = [`what Fastify takes (${messageOf(thrown)})`, show(routeOptions[name])]
  return healthzError('HEALTHZ_ERR_OPTION_INVALID', `routeOptions.${name}`, expected, got, { cause: thrown })
}
