import { HealthError } from './errors.js'

/** What a run of a check came to. A failing one may come of no run: `timeout` of a stuck check, `unchecked`. */
export interface Result {
  readonly outcome: 'pass' | 'fail'
  /**
   * `failed`: it threw a `HealthError` or gave back `false`. `timeout`: it took too long. `unexpected`: it threw
   * anything else. `unchecked`: it runs in the background, and has no result yet.
   */
  readonly reason?: 'failed' | 'timeout' | 'unexpected' | 'unchecked'
  /** In words for the public: the message of the `HealthError`, or what a check that took too long was waiting for. */
  readonly message?: string
  /** What was thrown, for the log. */
  readonly error?: unknown
  /** When the run started, in ms of the monotonic clock: a result is as old as what was asked. */
  readonly startedAt: number
  /** The same in ms since the epoch; `null` without a run. */
  readonly checkedAt: number | null
  readonly durationMs: number | null
}

/** A result without its times. */
export type Judgement = Pick<Result, 'outcome' | 'reason' | 'message' | 'error'>

export const UNCHECKED: Result = Object.freeze({
  outcome: 'fail', reason: 'unchecked', startedAt: -Infinity, checkedAt: null, durationMs: null
})
const PASSED: Judgement = Object.freeze({ outcome: 'pass' })
const GAVE_FALSE: Judgement = Object.freeze({ outcome: 'fail', reason: 'failed' })
const TIMED_OUT: Judgement = Object.freeze({ outcome: 'fail', reason: 'timeout' })

export function isThenable (value: unknown): value is PromiseLike<unknown> {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false
  return typeof (value as { then?: unknown }).then === 'function'
}

/** What a check gave back → pass, unless it is exactly `false`. */
export function judge (answer: unknown): Judgement {
  return answer === false ? GAVE_FALSE : PASSED
}

/** What a check threw → failure. A `HealthError` is expected, and its message is for the public. */
export function judgeError (error: unknown): Judgement {
  try {
    if (error instanceof HealthError) return { outcome: 'fail', reason: 'failed', message: String(error.message), error }
  } catch {
    // A thrown thing that throws when it is looked at, e.g. a revoked Proxy.
  }
  return { outcome: 'fail', reason: 'unexpected', error }
}

/** A check took longer than its timeout in ms → failure, which says what it waited for if the check has told. */
export function judgeTimeout (timeout: number, awaiting: unknown): Judgement {
  return typeof awaiting === 'string' && awaiting !== '' ? { ...TIMED_OUT, message: `no ${awaiting} within ${timeout} ms` } : TIMED_OUT
}

/** What tells one failure from another; the log hears of a new one. */
export function causeOf ({ reason, message, error }: Result): string {
  try {
    return `${reason} ${message ?? (error as Error | undefined)?.message ?? String(error)}`
  } catch {
    return String(reason)
  }
}
