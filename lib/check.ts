import { HealthError } from './errors.js'

/** What one run of a check came to. */
export type Result = Pass | Failure

export interface Pass {
  readonly outcome: 'pass'
}

export interface Failure {
  readonly outcome: 'fail'
  /** `failed`: it threw a `HealthError` or gave back `false`. `unexpected`: it threw anything else. */
  readonly reason: 'failed' | 'unexpected'
  /** The message of the `HealthError`, which is for the public. */
  readonly message?: string
  /** What was thrown, for the log. */
  readonly error?: unknown
}

/** Who hears of the changes of a check: once when it begins to fail, once when it recovers. */
export interface Observer {
  failing (probe: string, check: string, failure: Failure): void
  recovered (probe: string, check: string, lastedMs: number): void
}

const PASSED: Pass = Object.freeze({ outcome: 'pass' })
const GAVE_FALSE: Failure = Object.freeze({ outcome: 'fail', reason: 'failed' })

/** One check of one probe: runs its function, judges what comes of it, and tells of changes. */
export class CheckRunner {
  readonly #probe: string
  readonly #name: string
  readonly #call: () => unknown
  readonly #observer: Observer
  readonly #now: () => number
  #failingSince: number | undefined

  /**
   * @param call the check with its context bound
   * @param now a monotonic clock in milliseconds
   */
  constructor (probe: string, name: string, call: () => unknown, observer: Observer, now: () => number) {
    this.#probe = probe
    this.#name = name
    this.#call = call
    this.#observer = observer
    this.#now = now
  }

  /** Never throws and never rejects. A check that answers synchronously is answered for synchronously. */
  run (): Result | Promise<Result> {
    let answer
    try {
      answer = this.#call()
      if (isThenable(answer)) {
        return Promise.resolve(answer).then(
          value => this.#settle(judge(value)),
          error => this.#settle(judgeError(error))
        )
      }
    } catch (error) {
      return this.#settle(judgeError(error))
    }
    return this.#settle(judge(answer))
  }

  #settle (result: Result): Result {
    try {
      this.#tellChange(result)
    } catch {
      // A logger that throws must not decide what a probe answers.
    }
    return result
  }

  #tellChange (result: Result): void {
    const since = this.#failingSince
    if (result.outcome === 'fail' && since === undefined) {
      this.#failingSince = this.#now()
      this.#observer.failing(this.#probe, this.#name, result)
    } else if (result.outcome === 'pass' && since !== undefined) {
      this.#failingSince = undefined
      this.#observer.recovered(this.#probe, this.#name, this.#now() - since)
    }
  }
}

function isThenable (value: unknown): value is PromiseLike<unknown> {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function')) return false
  return typeof (value as { then?: unknown }).then === 'function'
}

function judge (answer: unknown): Result {
  return answer === false ? GAVE_FALSE : PASSED
}

function judgeError (error: unknown): Failure {
  try {
    if (error instanceof HealthError) return { outcome: 'fail', reason: 'failed', message: String(error.message), error }
  } catch {
    // A thrown thing that throws when it is looked at, e.g. a revoked Proxy.
  }
  return { outcome: 'fail', reason: 'unexpected', error }
}
