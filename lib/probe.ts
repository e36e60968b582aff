import type { ProbeChange, ProbeResult, ProbeSnapshot } from '../types/healthz.js'
import type { Problem } from '../types/wire.js'
import type { CheckRunner } from './check.js'
import type { Lifecycle } from './lifecycle.js'
import type { Result } from './result.js'
import { Run } from './run.js'
import type { Time } from './time.js'
import { Turn } from './turn.js'
import { type Checked, PASS, reports, verdict } from './verdict.js'

/** What a probe came to, and the results that it came from. */
export interface Outcome {
  readonly problem: Problem
  readonly checks: readonly Checked[]
}

/** What an operator is told of it. */
export function withChecks ({ problem, checks }: Outcome): ProbeResult {
  return { ...problem, checks: reports(checks) }
}

/** Who hears of what a probe answers. It doesn't throw. */
export interface ProbeObserver {
  /** The answer changed; `lastedMs` is how long it had been the one before. */
  probeChanged (change: Pick<ProbeChange, 'probe' | 'from' | 'to' | 'lastedMs' | 'title'>): void
}

/** A probe and its checks, in the order in which they were added. */
export class Probe {
  /** Replaced when one is added or removed, so that a run under way keeps those that it began with. */
  #checks: readonly CheckRunner[] = []
  #outcome: ProbeSnapshot['outcome'] = 'unknown'
  #changedAt: number
  #passedForGood = false

  constructor (
    readonly name: string,
    readonly path: string,
    private readonly lifecycle: Lifecycle,
    private readonly observer: ProbeObserver,
    private readonly time: Time
  ) {
    this.#changedAt = time.now()
  }

  /** It is the startup probe and has passed: no check of it runs any more. */
  get passedForGood (): boolean {
    return this.#passedForGood
  }

  get (check: string): CheckRunner | undefined {
    return this.#checks.find(({ plan }) => plan.name === check)
  }

  add (check: CheckRunner): void {
    this.#checks = [...this.#checks, check]
  }

  remove (check: CheckRunner): void {
    check.stop()
    this.#checks = this.#checks.filter(other => other !== check)
  }

  /** Starts the checks that run in the background. */
  start (): void {
    for (const check of this.#checks) check.start()
  }

  stop (): void {
    for (const check of this.#checks) check.stop()
  }

  /**
   * Runs all checks side by side. Never throws and never rejects; synchronous where all checks are.
   * @param leftOut checks by name. The outcome is then that of another question: nothing about it is remembered.
   */
  run (leftOut?: ReadonlySet<string>): Outcome | Promise<Outcome> {
    const checks = leftOut === undefined ? this.#checks : this.#checks.filter(({ plan }) => !leftOut.has(plan.name))
    const judge = (results: readonly Result[]) => this.#judge(checks, results, leftOut)
    if (this.#answer() !== undefined) return judge(checks.map(({ last }) => last))
    const turn = new Turn(this.time)
    return whenAll(checks.map(check => check.run(turn)), judge)
  }

  /** Runs one of the checks alone. Its failure fails the answer, critical or not. */
  runOne (check: CheckRunner): Outcome | Promise<Outcome> {
    const { plan } = check
    const judge = (result: Result): Outcome => {
      const problem = this.lifecycle.answer(this.name) ?? verdict(this.name, [[{ ...plan, critical: true }, result]])
      return { problem, checks: [[plan, result]] }
    }
    const result = this.lifecycle.answer(this.name) === undefined ? check.run() : check.last
    return whenAll([result], ([result]) => judge(result!))
  }

  snapshot (): ProbeSnapshot {
    return { outcome: this.#outcome, checks: reports(this.#checks.map(({ plan, last }) => [plan, last])) }
  }

  /** What it answers whatever its checks say. */
  #answer (): Problem | undefined {
    return this.#passedForGood ? PASS : this.lifecycle.answer(this.name)
  }

  /** The app may have come to another state while the checks ran, and that is what counts. */
  #judge (checks: readonly CheckRunner[], results: readonly Result[], leftOut?: ReadonlySet<string>): Outcome {
    const checked = checks.map(({ plan }, i) => [plan, results[i]!] as const)
    const problem = this.#answer() ?? verdict(this.name, checked)
    if (leftOut === undefined) this.#remember(problem, checks)
    return { problem, checks: checked }
  }

  #remember (problem: Problem, checks: readonly CheckRunner[]): void {
    const to = problem === PASS ? 'pass' : 'fail'
    // A check that was added while these ran has yet to pass.
    if (this.name === 'startup' && to === 'pass' && this.#checks.every(check => checks.includes(check))) {
      this.#passedForGood = true
      this.stop()
    }
    const from = this.#outcome
    if (from === to) return
    const now = this.time.now()
    const lastedMs = now - this.#changedAt
    this.#outcome = to
    this.#changedAt = now
    this.observer.probeChanged({ probe: this.name, from, to, lastedMs, ...(to === 'fail' && { title: problem.title }) })
  }
}

/** Judges the results when they are all there: at once if they are already. */
function whenAll (runs: ReadonlyArray<Result | Run>, judge: (results: readonly Result[]) => Outcome): Outcome | Promise<Outcome> {
  let left = 0
  for (const run of runs) if (run instanceof Run) left++
  if (left === 0) return judge(runs as readonly Result[])
  const results = [...runs] as Result[]
  return new Promise<readonly Result[]>(resolve => {
    runs.forEach((run, i) => {
      if (!(run instanceof Run)) return
      run.then(result => {
        results[i] = result
        if (--left === 0) resolve(results)
      })
    })
  }).then(judge)
}
