import type { FastifyBaseLogger, FastifyInstance } from 'fastify'

/** What a check is called with. */
export interface CheckContext {
  /** The Fastify instance that the plugin was registered on, so that a check in a module of its own reaches `app.pg`. */
  readonly app: FastifyInstance
  /** Aborts when the check takes longer than its timeout, to be handed on to what can be aborted; made when it is read. */
  readonly signal: AbortSignal
  /** How long this run may take, in ms: for what takes a time limit of its own instead of a signal. */
  readonly timeout: number
  /**
   * What the check waits for, in words that may be shown to anybody; to be set by the check before it waits. With
   * `'answer'` a timeout reads `no answer within 800 ms` instead of `timed out`. Default: none.
   */
  awaiting?: string | undefined
  /** The app's logger with the names of the probe and the check bound; made when it is read. */
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

/** How a check is run. */
export interface CheckOptions {
  /** How long it may take, in ms, at least 1. Default: the plugin's `timeout`. */
  timeout?: number | undefined
  /** `false`: its failure is shown as a warning, and the probe still passes. Default: `true`. */
  critical?: boolean | undefined
  /** For how long a pass is used again, in ms from the start of its run; a failure never is. Default: 0. */
  maxAge?: number | undefined
  /**
   * Runs it in the background, this often in ms, at least 1, from when the app is ready; a probe then only reads the
   * last result, and fails with `not checked yet` before the first. Not together with `maxAge`. Default: none.
   */
  interval?: number | undefined
}

/** A check with options: a function or a module specifier as `check`. */
export interface CheckWithOptions extends CheckOptions {
  check: Check | string
}

/**
 * What a probe runs: one check, or several by name. Instead of a function a check may be a module specifier with the
 * name of an export, e.g. `'./checks.js#liveness'`; without `#name` it is the module's default export.
 * Names match `[A-Za-z0-9._-]{1,63}` and are neither `.` nor `..`; the names of options (`check`, `timeout`, …) can't be
 * names of checks.
 */
export type Checks = Check | string | { readonly [name: string]: Check | string | CheckWithOptions }
