import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type * as check from '../types/check.js'
import type * as errors from '../types/errors.js'
import type * as fastify from '../types/fastify.js'
import type * as decorator from '../types/healthz.js'
import type * as options from '../types/options.js'
import type * as wire from '../types/wire.js'
import { HealthError } from './errors.js'
import { plugin } from './plugin.js'

/**
 * The plugin: `fastify.register(healthz, options)` adds the endpoints that Kubernetes and OpenShift probe.
 * @throws HEALTHZ_ERR_ALREADY_REGISTERED, HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN,
 * HEALTHZ_ERR_CHECK_LOAD, HEALTHZ_ERR_CHECK_LOAD_TIMEOUT, HEALTHZ_ERR_CHECK_EXPORT, HEALTHZ_ERR_LISTEN
 */
function healthz (fastify: FastifyInstance, options: healthz.HealthzOptions): Promise<void> {
  return plugin(fastify, options)
}

declare namespace healthz {
  export type Check = check.Check
  export type CheckContext = check.CheckContext
  export type CheckOptions = check.CheckOptions
  export type Checks = check.Checks
  export type CheckWithOptions = check.CheckWithOptions
  export type CheckChange = decorator.CheckChange
  export type CheckData = wire.CheckData
  export type CheckOutcome = decorator.CheckOutcome
  export type CheckReport = wire.CheckReport
  export type CheckRun = decorator.CheckRun
  export type DrainEnd = decorator.DrainEnd
  export type Healthz = decorator.Healthz
  export type HealthzChange = decorator.HealthzChange
  export type HealthzErrorCode = errors.HealthzErrorCode
  export type HealthzLogger = options.HealthzLogger
  export type HealthzOptions = options.HealthzOptions
  export type Hold = wire.Hold
  export type ListenOptions = options.ListenOptions
  export type LoopBlock = decorator.LoopBlock
  export type ProbeAbort = decorator.ProbeAbort
  export type ProbeChange = decorator.ProbeChange
  export type ProbeResult = decorator.ProbeResult
  export type ProbeRouteConfig = fastify.ProbeRouteConfig
  export type ProbeRouteOptions = options.ProbeRouteOptions
  export type ProbeSnapshot = decorator.ProbeSnapshot
  export type Problem = wire.Problem
  export type Release = decorator.Release
  export type ShutdownOptions = options.ShutdownOptions
  export type ShutdownSignal = options.ShutdownSignal
  export type State = decorator.State
  export type StateChange = decorator.StateChange
  export type ThreadOptions = options.ThreadOptions
  export { healthz, healthz as default, HealthError }
}

fp(healthz, { fastify: '5.x || 6.x', name: 'fastify-healthz' })

// One object for `require`, a default import and named imports. Node.js detects the named exports by parsing these lines, so
// they can't be shortened.
module.exports = healthz
module.exports.default = healthz
module.exports.healthz = healthz
module.exports.HealthError = HealthError

export = healthz
