import type { Evaluation } from './evaluate.js'
import type { CheckPlan } from './transitions.js'

/** Evaluates a check by its last runs: a number of runs in a row must fail before it fails, or pass before it recovers. */
export class Thresholds {
  readonly #plan: Pick<CheckPlan, 'failureThreshold' | 'successThreshold'>
  #outcome: Evaluation['outcome'] | 'unknown' = 'unknown'
  /** How many of the last runs failed or passed, in a row. */
  #failures = 0
  #passes = 0

  constructor (plan: Pick<CheckPlan, 'failureThreshold' | 'successThreshold'>) {
    this.#plan = plan
  }

  /**
   * Counts a run.
   * @param recount the run was counted as a failure when it timed out, and has settled since
   * @returns the evaluation of the check
   */
  count (run: Evaluation, recount: boolean): Evaluation {
    const evaluation = run.outcome === 'pass' ? this.#pass(run) : this.#fail(run, recount)
    this.#outcome = evaluation.outcome
    return evaluation
  }

  #pass (run: Evaluation): Evaluation {
    const { successThreshold = 1 } = this.#plan
    this.#failures = 0
    this.#passes++
    if (this.#outcome !== 'fail' || this.#passes >= successThreshold) return run
    return { outcome: 'fail', reason: 'recovering', message: `recovering, passed ${this.#passes} of ${successThreshold} times` }
  }

  /** Nothing is tolerated before the first pass. */
  #fail (run: Evaluation, recount: boolean): Evaluation {
    const { failureThreshold = 1 } = this.#plan
    this.#passes = 0
    if (!recount) this.#failures++
    if (failureThreshold === 1) return run
    const hasPassed = this.#outcome === 'pass' || this.#outcome === 'warn'
    return { ...run, outcome: hasPassed && this.#failures < failureThreshold ? 'warn' : 'fail', failures: this.#failures }
  }
}
