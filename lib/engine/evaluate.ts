import { isGeneratorObject } from 'node:util/types'
import type { CheckData } from '../../types/wire.js'
import { HealthError } from '../errors.js'

/** The result of a check after a run. */
export interface Result {
  /** `warn`: the run failed, and `failureThreshold` tolerates it. */
  readonly outcome: 'pass' | 'warn' | 'fail'
  /**
   * `failed`: it threw a `HealthError` or returned `false`. `timeout`: it took too long. `unexpected`: it threw anything
   * else, or returned a function or a generator. `unchecked`: it has no result yet. `recovering`: it passed, but not yet
   * as often as `successThreshold` requires.
   */
  readonly reason?: 'failed' | 'timeout' | 'unexpected' | 'unchecked' | 'recovering'
  /** Public: the message of the `HealthError`, or the `awaiting` text of a check that timed out. */
  readonly message?: string
  /** The thrown value, for the log only. */
  readonly error?: unknown
  /** How many runs in a row have failed, for a check with a `failureThreshold`. */
  readonly failures?: number
  /** For operators, set by the check. */
  readonly data?: CheckData
  /** When the run started, in ms of the monotonic clock. The age of a result is counted from here. */
  readonly startedAt: number
  /** The same in ms since the epoch; `null` without a run. */
  readonly checkedAt: number | null
  readonly durationMs: number | null
}

/** A result without its times. */
export type Evaluation = Pick<Result, 'outcome' | 'reason' | 'message' | 'error' | 'failures'>

export const UNCHECKED: Result = Object.freeze({
  outcome: 'fail', reason: 'unchecked', startedAt: -Infinity, checkedAt: null, durationMs: null
})
const PASSED: Evaluation = Object.freeze({ outcome: 'pass' })
const RETURNED_FALSE: Evaluation = Object.freeze({ outcome: 'fail', reason: 'failed' })
const TIMED_OUT: Evaluation = Object.freeze({ outcome: 'fail', reason: 'timeout' })

export function isThenable (value: unknown): value is PromiseLike<unknown> {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false
  return typeof (value as { then?: unknown }).then === 'function'
}

/** Evaluates the value that a check returned: a pass, unless it is `false`, a function or a generator. */
export function evaluate (value: unknown): Evaluation {
  if (value === false) return RETURNED_FALSE
  if (typeof value === 'function') return evaluateError(new TypeError('The check returned a function, which was not called'))
  if (typeof value === 'object' && isGeneratorObject(value)) {
    return evaluateError(new TypeError('The check returned a generator, which was not run'))
  }
  return PASSED
}

/** Evaluates the value that a check threw. A `HealthError` is expected, and its message is public. */
export function evaluateError (error: unknown): Evaluation {
  try {
    if (error instanceof HealthError) return { outcome: 'fail', reason: 'failed', message: String(error.message), error }
  } catch {
    // A value that throws when it is inspected, e.g. a revoked Proxy.
  }
  return { outcome: 'fail', reason: 'unexpected', error }
}

/**
 * The failure of a check that timed out. Its message contains the `awaiting` text of the check.
 * @param timeout in ms
 * @param awaiting set by the check, so it may be of any type
 */
export function evaluateTimeout (timeout: number, awaiting: unknown): Evaluation {
  return typeof awaiting === 'string' && awaiting !== '' ? { ...TIMED_OUT, message: `no ${awaiting} within ${timeout} ms` } : TIMED_OUT
}

/** The public outcome: the failure of a check that isn't critical is a warning. */
export function outcomeOf<T extends string> (critical: boolean, outcome: T | 'fail'): T | 'fail' | 'warn' {
  return outcome === 'fail' && !critical ? 'warn' : outcome
}

/**
 * The cause of a failure as a string. A failing check is logged again when its cause changes, but not when only numbers in
 * it do: `no beat for 75 s` has the same cause a minute later.
 */
export function causeOf ({ reason, message, error }: Result): string {
  try {
    return `${reason} ${message ?? (error as Error | undefined)?.message ?? String(error)}`.replace(/\d+/g, '0')
  } catch {
    return String(reason)
  }
}
