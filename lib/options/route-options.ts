import type { ProbeRouteOptions } from '../../types/options.js'
import { expectRecord, refuse, refuseUnknown } from '../validate.js'

const ROUTE_OPTIONS = ['schema', 'constraints', 'config', 'logLevel']

/**
 * Validates the shape of `routeOptions`. Fastify validates the values when the routes are added. Its errors are passed on
 * unchanged.
 * @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
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
