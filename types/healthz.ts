import type { AddressInfo } from 'node:net'
import type { Check, CheckOptions } from './check.js'
import type { CheckData, CheckReport, Hold, Problem } from './wire.js'

/**
 * The state of the app: `serving` once it is ready (with a separate port, by its option `serving`), `draining` from `drain()` on,
 * `closing` from `app.close()` on, and `closed` when its server has closed.
 */
export type State = 'starting' | 'serving' | 'draining' | 'closing' | 'closed'

/** The outcome of a check. `warn`: it failed, but `failureThreshold` tolerates that or the check isn't critical. */
export type CheckOutcome = CheckReport['status']

interface Change<From, To = From> {
  readonly from: From
  readonly to: To
  /** Time of the change, in ms since the epoch. */
  readonly at: number
  /** Duration of `from`, in ms. */
  readonly lastedMs: number
}

/** The outcome of a check changed. */
export interface CheckChange extends Change<CheckOutcome | 'unknown', CheckOutcome> {
  readonly kind: 'check'
  readonly probe: string
  readonly check: string
  /** The public reason for a failure. */
  readonly title?: string
  /** The error that the check threw. It may hold secrets. */
  readonly error?: unknown
}

/** The outcome of a probe changed. Only detected when the probe is called. */
export interface ProbeChange extends Change<'pass' | 'fail' | 'unknown', 'pass' | 'fail'> {
  readonly kind: 'probe'
  readonly probe: string
  /** The title of a failing probe. */
  readonly title?: string
}

/** The state of the app changed. */
export interface StateChange extends Change<State> {
  readonly kind: 'state'
}

/** The argument of an `onChange` listener. */
export type HealthzChange = CheckChange | ProbeChange | StateChange

/** The message on the `node:diagnostics_channel` `fastify-healthz:check` for each finished run of a check. */
export interface CheckRun {
  /** The Fastify instance that the plugin was registered on. All apps of the process share the channel. */
  readonly app: object
  readonly probe: string
  readonly check: string
  readonly outcome: CheckOutcome
  /** Duration of the run, in ms. */
  readonly durationMs: number
  /** The public reason for a failure. */
  readonly title?: string
  /** The error that the check threw. It may hold secrets. */
  readonly error?: unknown
  /** The data that the check set, for operators. */
  readonly data?: CheckData
}

/**
 * The message on the `node:diagnostics_channel` `fastify-healthz:abort` for each request to a probe whose client hung up
 * before the response. Not published once the app drains or closes, nor for requests for details.
 */
export interface ProbeAbort {
  /** The Fastify instance that the plugin was registered on. All apps of the process share the channel. */
  readonly app: object
  readonly probe: string
  /** Time that the request had waited for its checks, in ms. */
  readonly waitedMs: number
  /** The names of the checks that it was waiting for. */
  readonly checks: readonly string[]
}

/** The result of `run`: the response of the probe, with its checks by name. */
export type ProbeResult = Required<Pick<Problem, 'status' | 'title' | 'checks'>>

/** The last known results of a probe. */
export interface ProbeSnapshot {
  /** The outcome of its last call. */
  readonly outcome: 'pass' | 'fail' | 'unknown'
  /** The last results of its checks by name. A check that has not run yet fails with `not checked yet`. */
  readonly checks: { readonly [check: string]: CheckReport }
}

/** The message on the `node:diagnostics_channel` `fastify-healthz:drain` at the end of each drain. */
export interface DrainEnd {
  /** The Fastify instance that the plugin was registered on. All apps of the process share the channel. */
  readonly app: object
  /** Duration of the drain, in ms. */
  readonly lastedMs: number
  /** Number of connections opened to the app's port in the last second of the drain, except those of probers. */
  readonly newConnections: number
}

/**
 * The message on the `node:diagnostics_channel` `fastify-healthz:block` each time the event loop was blocked for a second or
 * longer, once it has recovered. Requires `listen.thread`.
 */
export interface LoopBlock {
  /** The Fastify instance that the plugin was registered on. All apps of the process share the channel. */
  readonly app: object
  /** Duration of the block, in ms. */
  readonly blockedMs: number
  /** The stack of the blocking code: functions, files and lines. */
  readonly stack?: string
}

/** Releases a hold. Calling it again is a no-op. With `using`, the hold is released at the end of the block. */
export interface Release {
  (): void
  [Symbol.dispose] (): void
}

/** `app.healthz`, for plugins that are registered after this one. */
export interface Healthz {
  /**
   * Adds a check to a probe, before or after the app is ready. For plugins that own a dependency, such as a database.
   * @returns a function that removes the check; calling it again is a no-op
   * @throws HEALTHZ_ERR_PROBE_UNKNOWN, HEALTHZ_ERR_PROBE_OFF, HEALTHZ_ERR_CHECK_EXISTS, HEALTHZ_ERR_STARTUP_PASSED,
   * HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
   */
  add (probe: string, name: string, check: Check | (CheckOptions & { readonly check: Check })): () => void
  /**
   * Runs a probe like a request to it, sharing the runs of its checks with concurrent callers.
   * @throws HEALTHZ_ERR_PROBE_UNKNOWN, HEALTHZ_ERR_PROBE_OFF (it rejects)
   */
  run (probe: string): Promise<ProbeResult>
  /** Returns the last known results by probe without running anything. */
  snapshot (): { readonly [probe: string]: ProbeSnapshot }
  /** The current state of the app. */
  readonly state: State
  /** The address of the separate port; `null` without the option `listen`. */
  readonly address: AddressInfo | null
  /**
   * How long the boot took, in ms: from the start of the process until the app served, or from the registration after a
   * restart by `@fastify/restartable`. `null` before.
   */
  readonly bootMs: number | null
  /** The active holds, oldest first. */
  readonly holds: readonly Hold[]
  /** Aborts when a drain or the close starts, for consumers and loops that must not start another job. */
  readonly drainSignal: AbortSignal
  /**
   * Keeps a drain from ending and the app from closing until it is released, for a job that must finish. The wait is
   * limited to `shutdown.timeout` (10 s without `shutdown`). A hold may be taken during a drain too. One that is taken in
   * a close hook isn't waited for.
   * @param name shown in the log and to operators; truncated to 100 bytes
   * @throws HEALTHZ_ERR_OPTION_INVALID
   */
  hold (name: string): Release
  /**
   * Drains the app before it closes: `ready` fails, `live` passes, requests are served, and over HTTP/1.1 each response
   * closes its connection. The app isn't closed.
   * @param delay in ms, at least 0. Default: 5000, whatever `shutdown.delay` is; or 0 under `node --watch` and if stdin is
   * a terminal, unless `KUBERNETES_SERVICE_HOST` is set; or 0 with `listen.serving: 'onReady'`
   * @returns a promise that settles after the delay or when the app starts to close, once nothing is held; calling it again
   * returns the same one
   * @throws HEALTHZ_ERR_OPTION_INVALID (it rejects)
   */
  drain (delay?: number): Promise<void>
  /**
   * Calls the listener once for each change of a check's outcome, of a probe's outcome and of the state, in order.
   * An error that it throws or rejects with is logged. The same events are published on the `node:diagnostics_channel`
   * `fastify-healthz:change`, with the Fastify instance as `app`.
   * @returns a function that removes the listener
   * @throws HEALTHZ_ERR_OPTION_INVALID
   */
  onChange (listener: (change: HealthzChange) => unknown): () => void
}
