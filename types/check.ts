import type { FastifyBaseLogger, FastifyInstance } from 'fastify'

/** What a check is called with. */
export interface CheckContext {
  /** The Fastify instance that the plugin was registered on, so that a check in a module of its own reaches `app.pg`. */
  readonly app: FastifyInstance
  /** The app's logger with the names of the probe and the check bound; made when it is first read. */
  readonly log: FastifyBaseLogger
  /** The name of the probe that runs the check, e.g. `ready`. */
  readonly probe: string
  /** The name of the check; `default` for one that was given without a name. */
  readonly check: string
}

/**
 * A check, sync or async. It passes unless it throws, rejects, or gives back exactly `false`.
 * A thrown `HealthError` becomes a 503 with its message; anything else that is thrown a 500 that tells nothing.
 * `this` is `context.app`, for a function that isn't an arrow.
 */
export type Check = (this: FastifyInstance, context: CheckContext) => unknown

/**
 * What a probe runs: one check, or several by name. Instead of a function a check may be a module specifier with the
 * name of an export, e.g. `'./checks.js#liveness'`; without `#name` it is the module's default export.
 * Names match `[A-Za-z0-9._-]{1,63}`.
 */
export type Checks = Check | string | { readonly [name: string]: Check | string }
