import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import type { CheckData } from './wire.js'

/**
 * The argument of a check. `signal`, `log`, `awaiting` and `data` are accessors of its prototype, which `{ ...context }`
 * doesn't copy.
 */
export interface CheckContext {
  /** The Fastify instance that the plugin was registered on, such as for `app.pg` in a check in a separate module. */
  readonly app: FastifyInstance
  /** Aborts when the check times out. Pass it to operations that can be cancelled. Created on first access. */
  readonly signal: AbortSignal
  /** The timeout of this run, in ms, for operations that take a time limit instead of a signal. */
  readonly timeout: number
  /**
   * Names in the title of a timeout what the check is waiting for: with `'answer'` the title is `no answer within 800 ms`
   * instead of `timed out`. It is public. Set it before waiting. Default: none.
   */
  awaiting?: string | undefined
  /**
   * Data for operators, such as `{ free: 0.42, total: 100 }`: finite numbers, strings, booleans and `null`, at most 20 keys
   * and 1 KiB as JSON. The rest is dropped, with one warning in the log per check. It is read when the run ends or times out,
   * whatever the outcome. Exposed by `?verbose`, `run()`, `snapshot()` and the diagnostics channel `fastify-healthz:check`,
   * never to the public. Default: none.
   */
  data?: { readonly [name: string]: CheckData[string] | undefined } | undefined
  /** The app's logger, with `probe` and `check` bound. Created on first access. */
  readonly log: FastifyBaseLogger
  /** The name of the probe, such as `ready`. */
  readonly probe: string
  /** The name of the check, or `default` if it has none. */
  readonly check: string
}

/**
 * A check, sync or async. It passes unless it throws, rejects or returns `false`.
 *
 * A `HealthError` makes the probe respond with 503 and its message, any other error with 500 without details. A returned
 * function or generator is an error, since it would not run. A generator function is an invalid option.
 * `this` is `context.app`, except in arrow functions.
 */
export type Check = (this: FastifyInstance, context: CheckContext) => unknown

/** Options of a check. */
export interface CheckOptions {
  /** Timeout in ms, at least 1. Default: the plugin's `timeout`. */
  timeout?: number | undefined
  /** `false`: a failure is reported as a warning and the probe passes. Default: `true`. */
  critical?: boolean | undefined
  /** How long a pass is reused, in ms since the start of its run. Failures are never reused. Default: 0. */
  maxAge?: number | undefined
  /**
   * Runs the check in the background at this interval in ms, at least 1, once the app is ready. A probe then only reads
   * the last result, and fails with `not checked yet` before the first. A result that arrives after the timeout replaces
   * it, unless the check has read its signal. It varies by ±10 %, so that processes that started together don't query
   * together. Excludes `maxAge`. Default: none.
   */
  interval?: number | undefined
  /** The interval while the check doesn't pass, in ms, at least 1. Requires `interval`. Default: `interval`. */
  retryInterval?: number | undefined
  /**
   * How many runs in a row must fail before the check fails, at least 1. Until then it is `warn` and the probe passes.
   * Nothing is tolerated before its first pass. A run that is still pending after its timeout counts again each time the
   * check is due. Default: 1.
   */
  failureThreshold?: number | undefined
  /** How many runs in a row must pass before a failed check passes again, at least 1. Default: 1. */
  successThreshold?: number | undefined
}

/** A check with options. */
export interface CheckWithOptions extends CheckOptions {
  /** A function or a module specifier. */
  check: Check | string
}

/**
 * The checks of a probe: one check, or several by name. A check is a function or a module specifier with the name of an
 * export, such as `'./checks.js#liveness'`. Without `#name` it is the default export.
 *
 * Names match `[A-Za-z0-9._-]{1,63}`, except `.`, `..` and the names of options (`check`, `timeout`, …).
 */
export type Checks = Check | string | { readonly [name: string]: Check | string | CheckWithOptions }
