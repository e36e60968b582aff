import type { ProbeChange, ProbeResult, ProbeSnapshot } from '../../types/healthz.js'
import type { Problem } from '../../types/wire.js'
import type { CheckRunner } from './check.js'
import type { Lifecycle, ProbePolicy } from './lifecycle.js'
import type { Result } from './evaluate.js'
import type { Time } from '../clock.js'
import { healthzError } from '../errors.js'
import { aggregate, type Checked, PASS, reports } from './aggregate.js'

/** A finished run of a probe: its problem, and the results that it was aggregated from. */
export interface ProbeRun {
  readonly problem: Problem
  readonly checks: readonly Checked[]
}

/** The result with the reports of its checks, for operators. */
export function withChecks ({ problem: { status, title }, checks }: ProbeRun): ProbeResult {
  return { status, title, checks: reports(checks) }
}

/** Observer for the outcome of probes. It doesn't throw. */
export interface ProbeObserver {
  /** The outcome changed. `lastedMs` is the duration of the previous one. */
  probeChanged (change: Pick<ProbeChange, 'probe' | 'from' | 'to' | 'lastedMs' | 'title'>): void
}

/** A probe and its checks, in the order in which they were added. */
export class Probe {
  /** Replaced when a check is added or removed, so that a run under way keeps those that it started with. */
  #checks: readonly CheckRunner[] = []
  #state: 'new' | 'started' | 'stopped' = 'new'
  #outcome: ProbeSnapshot['outcome'] = 'unknown'
  #changedAt: number
  #passedPermanently = false
  /** The last problem. Its body is built once per object. */
  #problem = PASS
  /** Functions that settle a run that waits for checks, with the last results. */
  readonly #waiting = new Set<() => void>()

  constructor (
    readonly name: string,
    readonly path: string,
    private readonly policy: ProbePolicy,
    private readonly lifecycle: Lifecycle,
    private readonly observer: ProbeObserver,
    private readonly time: Time
  ) {
    this.#changedAt = time.now()
  }

  get (check: string): CheckRunner | undefined {
    return this.#checks.find(({ plan }) => plan.name === check)
  }

  /** Whether its first pass is permanent, since it is about the boot. */
  get permanent (): boolean {
    return this.policy.permanent
  }

  /** Whether it passes while the event loop is blocked. */
  get survivesBlocks (): boolean {
    return this.policy.whileBlocked === 'pass'
  }

  /** The names of the checks that its callers wait for. */
  get awaited (): string[] {
    return this.#checks.filter(({ awaited }) => awaited).map(({ plan }) => plan.name)
  }

  /**
   * Adds a check, which starts and stops with the probe.
   * @returns a function that removes it. Calling it again is a no-op
   * @throws HEALTHZ_ERR_CHECK_EXISTS, HEALTHZ_ERR_STARTUP_PASSED
   */
  add (check: CheckRunner): () => void {
    const { name } = check.plan
    if (this.#passedPermanently) throw healthzError('HEALTHZ_ERR_STARTUP_PASSED', name)
    if (this.get(name) !== undefined) throw healthzError('HEALTHZ_ERR_CHECK_EXISTS', this.name, name)
    this.#checks = [...this.#checks, check]
    if (this.#state === 'started') check.start()
    if (this.#state === 'stopped') check.stop()
    return () => {
      check.stop()
      this.#checks = this.#checks.filter(other => other !== check)
    }
  }

  /** Starts the checks that run in the background, and those that are added later. */
  start (): void {
    this.#state = 'started'
    for (const check of this.#checks) check.start()
  }

  /** Stops all checks, and those that are added later. Runs that wait for checks finish with the last results. */
  stop (): void {
    this.#state = 'stopped'
    this.#stopChecks()
    for (const settle of this.#waiting) settle()
  }

  /**
   * Runs all checks concurrently. Never throws or rejects. Synchronous if all checks are.
   * @param excluded checks by name. A run without them neither changes the outcome nor makes it permanent
   */
  run (excluded?: ReadonlySet<string>): ProbeRun | Promise<ProbeRun> {
    const checks = excluded === undefined ? this.#checks : this.#checks.filter(({ plan }) => !excluded.has(plan.name))
    const finish = (results: readonly Result[]) => this.#finish(checks, results, excluded)
    if (this.#override() !== undefined) return finish(checks.map(({ last }) => last))
    return this.#whenAll(checks, checks.map(check => check.run()), finish)
  }

  /** Runs one of the checks alone. Its failure is the probe's, critical or not. */
  runOne (check: CheckRunner): ProbeRun | Promise<ProbeRun> {
    const { plan } = check
    const result = this.lifecycle.override(this.policy) === undefined ? check.run() : check.last
    return this.#whenAll([check], [result], results => {
      const problem = this.lifecycle.override(this.policy) ?? aggregate(this.name, [[{ ...plan, critical: true }, results[0]!]])
      return { problem, checks: [[plan, results[0]!]] }
    })
  }

  snapshot (): ProbeSnapshot {
    return { outcome: this.#outcome, checks: reports(this.#checks.map(({ plan, last }) => [plan, last])) }
  }

  #stopChecks (): void {
    for (const check of this.#checks) check.stop()
  }

  /** The problem regardless of the checks, if there is one. */
  #override (): Problem | undefined {
    return this.#passedPermanently ? PASS : this.lifecycle.override(this.policy)
  }

  /** The state of the app may have changed while the checks ran. The current one counts. */
  #finish (checks: readonly CheckRunner[], results: readonly Result[], excluded?: ReadonlySet<string>): ProbeRun {
    const checked = checks.map(({ plan }, i) => [plan, results[i]!] as const)
    const problem = this.#override() ?? this.#reuse(aggregate(this.name, checked))
    if (excluded === undefined) this.#remember(problem, checks)
    return { problem, checks: checked }
  }

  #reuse (problem: Problem): Problem {
    const { status, title } = this.#problem
    if (problem.status !== status || problem.title !== title) this.#problem = problem
    return this.#problem
  }

  #remember ({ status, title }: Problem, checks: readonly CheckRunner[]): void {
    const to = status === 200 ? 'pass' : 'fail'
    // A check that was added while these ran has yet to pass.
    if (this.policy.permanent && to === 'pass' && this.#checks.every(check => checks.includes(check))) {
      this.#passedPermanently = true
      this.#stopChecks()
    }
    const from = this.#outcome
    if (from === to) return
    const now = this.time.now()
    const lastedMs = now - this.#changedAt
    this.#outcome = to
    this.#changedAt = now
    this.observer.probeChanged({ probe: this.name, from, to, lastedMs, ...(to === 'fail' && { title }) })
  }

  /** Calls `finish` once all results are available or the app closes; synchronously if they are available already. */
  #whenAll (
    checks: readonly CheckRunner[], runs: ReadonlyArray<Result | Promise<Result>>, finish: (results: readonly Result[]) => ProbeRun
  ): ProbeRun | Promise<ProbeRun> {
    if (!runs.some(run => run instanceof Promise)) return finish(runs as readonly Result[])
    return new Promise<readonly Result[]>(resolve => {
      const settle = () => resolve(checks.map(({ last }) => last))
      this.#waiting.add(settle)
      Promise.all(runs).then(results => {
        this.#waiting.delete(settle)
        resolve(results)
      })
    }).then(finish)
  }
}
