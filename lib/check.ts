import { type CheckPlan, News, type Observer } from './news.js'
import { isThenable, judge, judgeError, type Judgement, judgeTimeout, type Result, UNCHECKED } from './result.js'
import { Run } from './run.js'
import type { Time } from './time.js'
import { Turn } from './turn.js'

/** How long a run that took too long is waited for, in ms: so long first, twice as long after each one given up. */
const PATIENCE = 30_000
const MAX_PATIENCE = 600_000
/** With so many runs that have not settled, only `MAX_PATIENCE` starts a new one. */
const MAX_OUTSTANDING = 3

/**
 * One check of one probe: runs its function once however many ask, each run within its timeout, and never lets runs
 * that hang pile up. It knows nothing of HTTP.
 */
export class CheckRunner {
  readonly #call: (run: Run) => unknown
  readonly #news: News
  readonly #time: Time
  #last: Result | undefined
  #current: Run | undefined
  /** Runs that took too long and have not settled, oldest first. */
  readonly #outstanding = new Set<Run>()
  #lateAt = 0
  #givenUp = 0
  #toldStuck = false
  #interval: unknown
  #stopped = false

  /** @param call calls the function of the check, in the context of a run */
  constructor (readonly plan: CheckPlan, call: (run: Run) => unknown, observer: Observer, time: Time) {
    this.#call = call
    this.#news = new News(plan, observer, time.now())
    this.#time = time
  }

  /** What is known without running anything. */
  get last (): Result {
    return this.#last ?? UNCHECKED
  }

  /**
   * A result that may be told now: one that is still good, or that of a new run, or else the run that is under way.
   * Never throws. A check that answers synchronously is answered for synchronously.
   */
  run (turn = new Turn(this.#time)): Result | Run {
    if (this.plan.interval !== undefined || this.#stopped) return this.last
    return this.#refresh(turn)
  }

  /** Starts to run in the background, where that is what it does. A second call does nothing. */
  start (): void {
    if (this.#interval === undefined && !this.#stopped) this.#tick()
  }

  /** Starts no run any more, and tells nothing any more. Those who wait for a run still get its result. */
  stop (): void {
    this.#stopped = true
    this.#news.stop()
    this.#time.cancel(this.#interval)
  }

  #tick (): void {
    const { interval } = this.plan
    if (interval === undefined) return
    this.#interval = this.#time.start(() => this.#tick(), interval, true)
    this.#refresh(new Turn(this.#time))
  }

  #refresh (turn: Turn): Result | Run {
    const now = turn.read()
    const last = this.#last
    if (last?.outcome === 'pass' && now - last.startedAt < this.plan.maxAge) return last
    const current = this.#current
    if (current !== undefined) {
      if (current.state === 'running') return current
      if (now - this.#lateAt < this.#patience()) return this.last
      this.#givenUp++
    }
    return this.#start(turn)
  }

  #patience (): number {
    if (this.#outstanding.size >= MAX_OUTSTANDING) return MAX_PATIENCE
    return Math.min(PATIENCE * 2 ** this.#givenUp, MAX_PATIENCE)
  }

  #start (turn: Turn): Result | Run {
    if (this.#outstanding.size >= MAX_OUTSTANDING) {
      const [oldest] = this.#outstanding
      this.#outstanding.delete(oldest!)
    }
    const run = new Run(turn)
    this.#current = run
    let answer
    try {
      answer = this.#call(run)
      if (isThenable(answer)) return this.#wait(run, answer, turn)
    } catch (error) {
      return this.#answerAtOnce(run, judgeError(error), turn)
    }
    return this.#answerAtOnce(run, judge(answer), turn)
  }

  #answerAtOnce (run: Run, judgement: Judgement, turn: Turn): Result {
    const result = this.#settle(run, judgement, turn.read())
    this.#news.blocked(result.durationMs!, turn.now)
    return result
  }

  #wait (run: Run, answer: PromiseLike<unknown>, turn: Turn): Run {
    const { timeout } = this.plan
    const blocked = turn.read() - run.startedAt
    this.#news.blocked(blocked, turn.now)
    // Counted from the start of the run. At least 1 ms: a promise that is settled by now is to be heard first.
    const left = blocked < 1 ? timeout : Math.max(1, Math.ceil(timeout - blocked))
    run.deadline = turn.deadline(left).add(() => this.#runOut(run))
    try {
      Promise.resolve(answer).then(
        value => this.#answerLater(run, judge(value)),
        error => this.#answerLater(run, judgeError(error))
      )
    } catch (error) {
      this.#answerLater(run, judgeError(error))
    }
    return run
  }

  #answerLater (run: Run, judgement: Judgement): void {
    if (run.state === 'running') run.deadline!.end()
    this.#settle(run, judgement, this.#time.now())
  }

  #settle (run: Run, judgement: Judgement, now: number): Result {
    const { state } = run
    run.state = 'settled'
    if (state !== 'settled' && this.#current === run) this.#current = undefined
    if (state !== 'running') {
      this.#outstanding.delete(run)
      return this.last
    }
    this.#givenUp = 0
    this.#toldStuck = false
    return this.#record(run, judgement, now)
  }

  #runOut (run: Run): void {
    if (run.state !== 'running') return
    run.deadline!.end()
    run.state = 'late'
    this.#outstanding.add(run)
    this.#lateAt = this.#time.now()
    const { probe, name, timeout } = this.plan
    this.#record(run, judgeTimeout(timeout, run.awaiting), this.#lateAt)
    run.abort(new DOMException(`The ${probe} check "${name}" timed out after ${timeout} ms`, 'TimeoutError'))
    if (this.#outstanding.size === MAX_OUTSTANDING && !this.#toldStuck) {
      this.#toldStuck = true
      this.#news.stuck(MAX_OUTSTANDING, MAX_PATIENCE)
    }
  }

  #record (run: Run, judgement: Judgement, now: number): Result {
    const before = this.#last?.outcome ?? 'unknown'
    const { startedAt, checkedAt } = run
    const { outcome, reason, message, error } = judgement
    // Every property by its name: a spread takes three times as long, and each run comes by here.
    const result: Result = { outcome, reason, message, error, startedAt, checkedAt, durationMs: now - startedAt }
    this.#last = result
    this.#news.result(before, result, now)
    run.resolve(result)
    return result
  }
}
