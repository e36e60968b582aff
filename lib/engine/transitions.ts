import { causeOf, outcomeOf, type Result } from './evaluate.js'
import type { Time } from '../clock.js'

/** A check as the engine sees it. Times are in ms. */
export interface CheckPlan {
  readonly probe: string
  readonly name: string
  readonly timeout: number
  readonly critical: boolean
  readonly maxAge: number
  /** The period of a check that runs in the background. */
  readonly interval?: number | undefined
  /** Its period while it doesn't pass. Default: `interval`. */
  readonly retryInterval?: number | undefined
  /** How many runs in a row must fail before the check fails. Default: 1. */
  readonly failureThreshold?: number | undefined
  /** How many runs in a row must pass before a failed check passes again. Default: 1. */
  readonly successThreshold?: number | undefined
}

/** Observer for the runs and changes of checks. It doesn't throw. */
export interface Observer {
  /** A run ended or timed out. */
  finished (plan: CheckPlan, result: Result): void
  /** The outcome changed. `lastedMs` is the duration of the previous one. */
  changed (plan: CheckPlan, from: Result['outcome'] | 'unknown', result: Result, lastedMs: number): void
  /** For the log: a run failed, and `failureThreshold` tolerates it. */
  tolerated (plan: CheckPlan, result: Result): void
  /** For the log: it fails. `unlogged` is how many changes before it were not logged. */
  failing (plan: CheckPlan, result: Result, unlogged: number): void
  /** For the log: it passes again. */
  recovered (plan: CheckPlan, lastedMs: number, unlogged: number): void
  /** It still fails, with another cause. Reported at most once a minute. */
  causeChanged (plan: CheckPlan, result: Result): void
  /** It blocked the event loop for longer than its timeout. Reported at most once a minute. */
  overran (plan: CheckPlan, blockedMs: number): void
  /** `runs` runs timed out and are still pending. Reported once, until a run ends in time. */
  stuck (plan: CheckPlan, runs: number): void
  /** Data that it set was dropped. Reported once. */
  dataDropped (plan: CheckPlan, dropped: string): void
}

const MINUTE = 60_000
/** How often a flapping check is logged, in ms, after its first failure and its first recovery. */
const FLAPPING = 10_000

/** A failure or a recovery to be logged. `lastedMs` is how long it had been failing. */
interface Flip { readonly result: Result, readonly lastedMs: number }

/** Reports the changes of a check to its observer, and limits how often a flapping check is logged. */
export class Transitions {
  readonly #plan: CheckPlan
  /** `undefined` once it is stopped. */
  #observer: Observer | undefined
  readonly #time: Time
  #changedAt: number
  #failingSince = 0
  #cause = ''
  #causeAt = 0
  #overranAt = -Infinity
  #dataDropped = false
  /** When the next flip may be logged. */
  #logFrom = -Infinity
  /** The last flip, until then, and the number of flips before it that were not logged. */
  #waiting: Flip | undefined
  #unlogged = 0
  #timer: unknown

  constructor (plan: CheckPlan, observer: Observer, time: Time) {
    this.#plan = plan
    this.#observer = observer
    this.#time = time
    this.#changedAt = time.now()
  }

  finished (result: Result): void {
    this.#observer?.finished(this.#plan, result)
  }

  /** @param before the outcome before this result */
  result (before: Result['outcome'] | 'unknown', result: Result, now: number): void {
    const { critical } = this.#plan
    const { outcome } = result
    if (outcome === 'fail') this.#failed(before, result, now)
    else if (before === 'fail') this.#flip({ result, lastedMs: now - this.#failingSince }, now)
    if (outcome === 'warn') this.#observer?.tolerated(this.#plan, result)
    if (outcomeOf(critical, outcome) === outcomeOf(critical, before)) return
    const lastedMs = now - this.#changedAt
    this.#changedAt = now
    this.#observer?.changed(this.#plan, before, result, lastedMs)
  }

  /** Its function blocked the event loop for `ms`, which is reported if it exceeds the timeout. */
  blocked (ms: number, now: number): void {
    if (ms <= this.#plan.timeout || now - this.#overranAt < MINUTE) return
    this.#overranAt = now
    this.#observer?.overran(this.#plan, ms)
  }

  stuck (runs: number): void {
    this.#observer?.stuck(this.#plan, runs)
  }

  /** Data that it set was dropped, which is reported once. */
  dataDropped (dropped: string): void {
    if (this.#dataDropped) return
    this.#dataDropped = true
    this.#observer?.dataDropped(this.#plan, dropped)
  }

  /** Stops reporting. */
  stop (): void {
    this.#observer = undefined
    this.#time.cancel(this.#timer)
  }

  #failed (before: Result['outcome'] | 'unknown', result: Result, now: number): void {
    if (before !== 'fail') {
      this.#failingSince = now
      this.#noteCause(result, now)
      this.#flip({ result, lastedMs: 0 }, now)
    } else if (result.reason !== 'recovering' && now - this.#causeAt >= MINUTE && this.#cause !== causeOf(result)) {
      this.#noteCause(result, now)
      this.#observer?.causeChanged(this.#plan, result)
    }
  }

  #flip (flip: Flip, now: number): void {
    if (this.#observer === undefined) return
    if (this.#waiting !== undefined) this.#unlogged++
    else if (now >= this.#logFrom) return this.#log(flip, now)
    // A timer, so that the final outcome is logged even if no run follows.
    else this.#timer = this.#time.start(() => this.#log(this.#waiting!, this.#time.now()), this.#logFrom - now, true)
    this.#waiting = flip
  }

  #log ({ result, lastedMs }: Flip, now: number): void {
    const unlogged = this.#unlogged
    this.#waiting = undefined
    this.#unlogged = 0
    this.#logFrom = Math.max(now, this.#logFrom + FLAPPING)
    if (result.outcome === 'fail') this.#observer?.failing(this.#plan, result, unlogged)
    else this.#observer?.recovered(this.#plan, lastedMs, unlogged)
  }

  #noteCause (result: Result, now: number): void {
    this.#cause = causeOf(result)
    this.#causeAt = now
  }
}
