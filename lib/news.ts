import { causeOf, type Result } from './result.js'

/** What a check is, once its options are read. Times are in ms. */
export interface CheckPlan {
  readonly probe: string
  readonly name: string
  readonly timeout: number
  readonly critical: boolean
  readonly maxAge: number
  /** Runs in the background, this often. */
  readonly interval?: number | undefined
}

/** Who hears of what a check does. It doesn't throw. */
export interface Observer {
  /** A run ended, or took too long. */
  finished (plan: CheckPlan, result: Result): void
  /** The outcome changed; `lastedMs` is how long it had been the one before. */
  changed (plan: CheckPlan, from: Result['outcome'] | 'unknown', result: Result, lastedMs: number): void
  /** It goes on failing, but for another cause. At most once a minute. */
  causeChanged (plan: CheckPlan, result: Result): void
  /** It kept the event loop for longer than its timeout, so that nothing could stop it. At most once a minute. */
  overran (plan: CheckPlan, blockedMs: number): void
  /** So many runs have not settled that a new one starts only every `waitMs`. Once until it has a result again. */
  stuck (plan: CheckPlan, runs: number, waitMs: number): void
}

const MINUTE = 60_000

/** What is new about a check, for its observer: a check that is asked every second is not to fill the log. */
export class News {
  readonly #plan: CheckPlan
  /** Nobody, once it is stopped. */
  #observer: Observer | undefined
  #changedAt: number
  #cause = ''
  #causeAt = 0
  #overranAt = -Infinity

  constructor (plan: CheckPlan, observer: Observer, now: number) {
    this.#plan = plan
    this.#observer = observer
    this.#changedAt = now
  }

  /** There is a result, after one of the outcome `before`. */
  result (before: Result['outcome'] | 'unknown', result: Result, now: number): void {
    this.#observer?.finished(this.#plan, result)
    if (result.outcome !== before) {
      const lastedMs = now - this.#changedAt
      this.#changedAt = now
      this.#noteCause(result, now)
      this.#observer?.changed(this.#plan, before, result, lastedMs)
    } else if (result.outcome === 'fail' && now - this.#causeAt >= MINUTE && this.#cause !== causeOf(result)) {
      this.#noteCause(result, now)
      this.#observer?.causeChanged(this.#plan, result)
    }
  }

  /** A call of its function kept the event loop for so long, which is news if that is past its timeout. */
  blocked (ms: number, now: number): void {
    if (ms <= this.#plan.timeout || now - this.#overranAt < MINUTE) return
    this.#overranAt = now
    this.#observer?.overran(this.#plan, ms)
  }

  stuck (runs: number, waitMs: number): void {
    this.#observer?.stuck(this.#plan, runs, waitMs)
  }

  /** Nothing is told any more. */
  stop (): void {
    this.#observer = undefined
  }

  #noteCause (result: Result, now: number): void {
    this.#cause = causeOf(result)
    this.#causeAt = now
  }
}
