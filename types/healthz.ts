import type { AddressInfo } from 'node:net'
import type { Check, CheckOptions } from './check.js'
import type { CheckReport, Problem } from './wire.js'

/**
 * Where the app is between its boot and its end. It is `serving` once it is ready (with a port of the probes' own, once
 * it listens), `draining` from a drain or the beginning of its close, `closed` when its server has closed.
 */
export type State = 'starting' | 'serving' | 'draining' | 'closed'

/** The outcome of a check: `warn` is the failure of one that isn't critical. */
export type CheckOutcome = CheckReport['status']

interface Change<From, To = From> {
  readonly from: From
  readonly to: To
  /** When it changed, in ms since the epoch. */
  readonly at: number
  /** How long it had been `from`, in ms. */
  readonly lastedMs: number
}

/** The outcome of a check changed. */
export interface CheckChange extends Change<CheckOutcome | 'unknown', CheckOutcome> {
  readonly kind: 'check'
  readonly probe: string
  readonly check: string
  /** What is wrong, in words that may be shown to anybody. */
  readonly title?: string
  /** What the check threw. It may hold secrets. */
  readonly error?: unknown
}

/** The answer of a probe changed; known when somebody asks it. */
export interface ProbeChange extends Change<'pass' | 'fail' | 'unknown', 'pass' | 'fail'> {
  readonly kind: 'probe'
  readonly probe: string
  /** The title of a probe that fails. */
  readonly title?: string
}

/** The state of the app changed. */
export interface StateChange extends Change<State> {
  readonly kind: 'state'
}

/** What a listener of `onChange` is called with. */
export type HealthzChange = CheckChange | ProbeChange | StateChange

/** What goes out on the channel `fastify-healthz:check` of `node:diagnostics_channel` for each finished run of a check. */
export interface CheckRun {
  /** The Fastify instance that the plugin was registered on; the channel is the process's. */
  readonly app: object
  readonly probe: string
  readonly check: string
  readonly outcome: CheckOutcome
  readonly durationMs: number
  /** What is wrong, in words that may be shown to anybody. */
  readonly title?: string
  /** What the check threw. It may hold secrets. */
  readonly error?: unknown
}

/** What `run` resolves with: the answer of the probe, and its checks by name. */
export type ProbeResult = Required<Problem>

/** What is known of a probe without running anything. */
export interface ProbeSnapshot {
  /** The outcome when it was last asked. */
  readonly outcome: 'pass' | 'fail' | 'unknown'
  /** The last results of its checks by name. One that has not run yet fails with `not checked yet`. */
  readonly checks: { readonly [check: string]: CheckReport }
}

/** `app.healthz`, for every plugin that is registered after this one. */
export interface Healthz {
  /**
   * Adds a check to a probe, before or after the app is ready. The plugin that owns a database adds the check for it.
   * @returns what takes the check away again; a second call does nothing
   * @throws HEALTHZ_ERR_PROBE_UNKNOWN, HEALTHZ_ERR_PROBE_OFF, HEALTHZ_ERR_CHECK_EXISTS, HEALTHZ_ERR_STARTUP_PASSED,
   * HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
   */
  add (probe: string, name: string, check: Check | (CheckOptions & { readonly check: Check })): () => void
  /**
   * Runs a probe as a request to it would, and shares the runs of its checks with all who ask.
   * @throws HEALTHZ_ERR_PROBE_UNKNOWN, HEALTHZ_ERR_PROBE_OFF (it rejects)
   */
  run (probe: string): Promise<ProbeResult>
  /** The last known results by probe, without running anything. */
  snapshot (): { readonly [probe: string]: ProbeSnapshot }
  readonly state: State
  /** Where the port of the probes' own listens; `null` without the option `listen`. */
  readonly address: AddressInfo | null
  /**
   * Lets the news of the app's end spread before it closes: `ready` fails from now on, `live` passes, requests are
   * served, and over HTTP/1.1 each answer closes its connection. It doesn't close the app.
   * @param delay in ms, at least 0. Default: 5000
   * @returns settles after the delay, or when the app begins to close; a second call gives back the same promise
   * @throws HEALTHZ_ERR_OPTION_INVALID (it rejects)
   */
  drain (delay?: number): Promise<void>
  /**
   * Calls the listener once for each change of a check's outcome, of a probe's, and of the state, in their order.
   * What it throws, or rejects with, is logged. The same events go out on the channel `fastify-healthz:change` of
   * `node:diagnostics_channel`, with the Fastify instance as `app`.
   * @returns what ends it
   * @throws HEALTHZ_ERR_OPTION_INVALID
   */
  onChange (listener: (change: HealthzChange) => unknown): () => void
}
