import { AsyncResource } from 'node:async_hooks'
import { type CheckPlan, type Observer, Transitions } from './transitions.js'
import { evaluate, evaluateError, evaluateTimeout, type Evaluation, isThenable, type Result, UNCHECKED } from './evaluate.js'
import { readData } from './data.js'
import { Run } from './run.js'
import { Thresholds } from './thresholds.js'
import type { EngineTime } from '../clock.js'

/** The minimum time between the start of a run that timed out and is still pending and the next run, in ms. */
const RETRY = 60_000
/** The maximum number of tracked runs that timed out and are still pending. */
const MAX_PENDING = 3
/** The variation of an interval in either direction, so that processes that started together don't query together. */
const JITTER = 0.1

/** The async context outside of any request: runs that are started in it see no request's `AsyncLocalStorage`. */
const root = new AsyncResource('fastify-healthz')

/**
 * One check of one probe. Concurrent callers share one run of its function. Each run is bounded by its timeout, and while
 * runs are pending past theirs, at most one a minute starts.
 */
export class CheckRunner {
  readonly #call: (run: Run) => unknown
  readonly #thresholds: Thresholds
  readonly #transitions: Transitions
  readonly #time: EngineTime
  #last: Result | undefined
  #current: Run | undefined
  /** The last runs that timed out and are still pending, oldest first. */
  readonly #pending = new Set<Run>()
  #stuck = false
  /** The timer of the next tick in the background. */
  #timer: unknown
  #tickedAt: number | undefined
  #stopped = false

  /** @param call calls the function of the check for a run */
  constructor (readonly plan: CheckPlan, call: (run: Run) => unknown, observer: Observer, time: EngineTime) {
    this.#call = call
    this.#thresholds = new Thresholds(plan)
    this.#transitions = new Transitions(plan, observer, time)
    this.#time = time
  }

  /** The last result. Runs nothing. */
  get last (): Result {
    return this.#last ?? UNCHECKED
  }

  /** Whether a run is under way whose callers wait for its result. */
  get awaited (): boolean {
    return this.plan.interval === undefined && this.#current?.state === 'running'
  }

  /**
   * Returns the last result if it may be reused, else that of the run under way, or of a new one. Never throws or rejects.
   * The result of a synchronous check is returned synchronously.
   */
  run (): Result | Promise<Result> {
    if (this.plan.interval !== undefined || this.#stopped) return this.last
    return this.#refresh(this.#time.now())
  }

  /** Starts to run in the background, if it has an interval. A second call is a no-op. */
  start (): void {
    if (this.plan.interval === undefined || this.#tickedAt !== undefined || this.#stopped) return
    // It may be added during a request. The timer would keep the async context of that request.
    root.runInAsyncScope(() => this.#tick())
  }

  /**
   * Stops starting runs and reporting. Callers that wait for a run still get its result. A background run is aborted,
   * since no caller waits for it.
   */
  stop (): void {
    this.#stopped = true
    this.#transitions.stop()
    this.#time.cancel(this.#timer)
    this.#abandon()
  }

  #tick (): void {
    const now = this.#time.now()
    this.#tickedAt = now
    this.#timer = undefined
    this.#refresh(now)
    if (this.#timer === undefined) this.#schedule()
  }

  /** Schedules the next tick of a background check. While a run is under way, its result does that. */
  #schedule (): void {
    const { interval, retryInterval = interval } = this.plan
    if (interval === undefined || this.#stopped || this.#current?.state === 'running') return
    const period = this.last.outcome === 'pass' ? interval : retryInterval!
    const varied = Math.round(period * (1 + JITTER * (2 * this.#time.random() - 1)))
    const now = this.#time.now()
    const left = Math.min(this.#tickedAt! + varied - now, this.#retryIn(now))
    this.#time.cancel(this.#timer)
    this.#timer = this.#time.start(() => this.#tick(), Math.max(1, left), true)
  }

  #refresh (now: number): Result | Promise<Result> {
    const last = this.#last
    if (last?.outcome === 'pass' && now - last.startedAt < this.plan.maxAge) return last
    if (this.#current?.state === 'running') return this.#current.promise
    if (this.#retryIn(now) === Infinity) return this.#start(now)
    this.#failAgain(this.#current!, now)
    return this.last
  }

  /**
   * A run that is still pending counts as another failure, at most once per timeout. Otherwise `failureThreshold` would
   * tolerate hanging runs for minutes.
   */
  #failAgain (run: Run, now: number): void {
    const { timeout } = this.plan
    const { outcome, startedAt, durationMs } = this.last
    if (outcome !== 'warn' || now - (startedAt + durationMs!) < timeout) return
    this.#record(run, evaluateTimeout(timeout, run.awaiting), now)
  }

  /** Time until a run may start although the last one is still pending, in ms; `Infinity` if nothing delays it. */
  #retryIn (now: number): number {
    if (this.#current === undefined) return Infinity
    const ms = this.#current.startedAt + RETRY - now
    return ms > 0 ? ms : Infinity
  }

  #start (now: number): Result | Promise<Result> {
    const run = new Run(now, this.#time.date())
    this.#current = run
    let returned
    try {
      returned = this.#call(run)
      if (isThenable(returned)) return this.#wait(run, returned)
    } catch (error) {
      return this.#finish(run, evaluateError(error))
    }
    return this.#finish(run, evaluate(returned))
  }

  #finish (run: Run, evaluation: Evaluation): Result {
    const now = this.#time.now()
    const result = this.#settle(run, evaluation, now)
    this.#transitions.blocked(now - run.startedAt, now)
    return result
  }

  #wait (run: Run, returned: PromiseLike<unknown>): Promise<Result> {
    const { timeout, interval } = this.plan
    const now = this.#time.now()
    const blocked = now - run.startedAt
    this.#transitions.blocked(blocked, now)
    const { promise } = run
    // Counted from the start of the run. At least 1 ms: a promise that is already settled counts.
    const left = Math.max(1, Math.ceil(timeout - blocked))
    // A result that arrived while the event loop was blocked is read first, and counts.
    run.timer = this.#time.start(() => this.#time.afterPoll(() => this.#timeOut(run)), left, interval !== undefined)
    try {
      Promise.resolve(returned).then(
        value => this.#finishLater(run, evaluate(value)),
        error => this.#finishLater(run, evaluateError(error))
      )
    } catch (error) {
      this.#finishLater(run, evaluateError(error))
    }
    if (this.#stopped) this.#abandon()
    return promise
  }

  #finishLater (run: Run, evaluation: Evaluation): void {
    if (run.state === 'running') {
      this.#time.cancel(run.timer)
      this.#settle(run, evaluation, this.#time.now())
    } else if (run.state === 'late') {
      this.#end(run)
      this.#pending.delete(run)
      if (this.#countsLate(run)) this.#record(run, evaluation, this.#time.now(), true)
    }
  }

  /**
   * Whether the result of a run that timed out replaces the timeout. In the background it does, since the timeout would
   * stay until the next run. But a check that has its signal may have settled because of the abort, and checked nothing.
   */
  #countsLate (run: Run): boolean {
    return this.plan.interval !== undefined && !run.signalled && this.#last === run.result
  }

  /** A run has settled in time. */
  #settle (run: Run, evaluation: Evaluation, now: number): Result {
    this.#end(run)
    if (this.#pending.size > 0) this.#pending.clear()
    this.#stuck = false
    return this.#record(run, evaluation, now)
  }

  #timeOut (run: Run): void {
    if (run.state !== 'running') return
    run.state = 'late'
    const { probe, name, timeout } = this.plan
    this.#record(run, evaluateTimeout(timeout, run.awaiting), this.#time.now())
    run.abort(new DOMException(`The ${probe} check "${name}" timed out after ${timeout} ms`, 'TimeoutError'))
    this.#track(run)
  }

  #track (run: Run): void {
    const [oldest] = this.#pending
    if (this.#pending.size === MAX_PENDING) this.#pending.delete(oldest!)
    this.#pending.add(run)
    if (this.#stuck || this.#pending.size < MAX_PENDING) return
    this.#stuck = true
    this.#transitions.stuck(MAX_PENDING)
  }

  /** Aborts the run under way if it is a background run. */
  #abandon (): void {
    const { interval, probe, name } = this.plan
    const run = this.#current
    if (interval === undefined || run?.timer === undefined || run.state !== 'running') return
    this.#time.cancel(run.timer)
    this.#end(run)
    run.abort(new DOMException(`The ${probe} check "${name}" was stopped`, 'AbortError'))
  }

  #end (run: Run): void {
    run.state = 'settled'
    if (this.#current === run) this.#current = undefined
  }

  /** @param recount the run was counted when it timed out */
  #record (run: Run, evaluation: Evaluation, now: number, recount = false): Result {
    const before = this.#last?.outcome ?? 'unknown'
    const { startedAt, checkedAt } = run
    const evaluated = this.#thresholds.count(evaluation, recount)
    const result: Result = { ...evaluated, ...this.#data(run), startedAt, checkedAt, durationMs: now - startedAt }
    this.#last = result
    const first = run.result === undefined
    // First, since an observer may run the check again, which may count this run again.
    run.resolve(result)
    if (first) this.#transitions.finished(result)
    this.#transitions.result(before, result, now)
    this.#schedule()
    return result
  }

  #data (run: Run): Pick<Result, 'data'> | undefined {
    if (run.data === undefined) return undefined
    const { dropped, ...kept } = readData(run.data)
    if (dropped !== undefined) this.#transitions.dataDropped(dropped)
    return kept
  }
}
