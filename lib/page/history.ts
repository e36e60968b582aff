import type { CheckOutcome, CheckRun, HealthzChange } from '../../types/healthz.js'
import { OUTCOMES } from '../telemetry/metrics.js'
import { truncate } from '../truncate.js'

/** Minutes of history. */
export const MINUTES = 60
const MINUTE = 60_000
/** Runs whose durations count for the percentiles. */
const RUNS = 128
/** Transitions that are kept. */
const TRANSITIONS = 50
/** Of 10 KB, which a title may have, nobody reads more on a page. */
export const MAX_TITLE_BYTES = 300
/** Checks that are remembered. Of more, those whose first run was longest ago are forgotten. */
const MAX_CHECKS = 1000

/** One change of a check or a probe, or of the state. */
export interface Transition {
  readonly at: number
  readonly what: string
  readonly from: string
  readonly to: string
  readonly lastedMs: number
  readonly title?: string
}

/** What is remembered of a check: its worst outcome and longest run by minute, and the durations of its last runs. */
export class CheckHistory {
  /** By minute: the index of the outcome in `OUTCOMES` plus one; 0 for none. */
  readonly #outcomes = new Uint8Array(MINUTES)
  readonly #longest = new Float32Array(MINUTES)
  readonly #durations = new Float64Array(RUNS)
  #runs = 0
  #minute: number

  constructor (now: number) {
    this.#minute = Math.floor(now / MINUTE)
  }

  ran (outcome: CheckOutcome, durationMs: number, now: number): void {
    this.#advance(now)
    const i = this.#minute % MINUTES
    this.#outcomes[i] = Math.max(this.#outcomes[i]!, OUTCOMES.indexOf(outcome) + 1)
    this.#longest[i] = Math.max(this.#longest[i]!, durationMs)
    this.#durations[this.#runs++ % RUNS] = durationMs
  }

  /** The last hour by minute, the oldest first. */
  hour (now: number): { outcomes: Array<CheckOutcome | undefined>, longest: number[] } {
    this.#advance(now)
    const places = Array.from({ length: MINUTES }, (_, i) => (this.#minute + 1 + i) % MINUTES)
    return {
      outcomes: places.map(i => OUTCOMES[this.#outcomes[i]! - 1]),
      longest: places.map(i => Math.round(this.#longest[i]! * 10) / 10)
    }
  }

  /** A percentile of the last runs in ms, `undefined` before the first one. */
  percentile (share: number): number | undefined {
    const durations = this.#durations.subarray(0, Math.min(this.#runs, RUNS)).slice().sort()
    return durations[Math.ceil(share * durations.length) - 1]
  }

  /** Clears the minutes that have passed since. A clock that was set back stays in the last one. */
  #advance (now: number): void {
    const minute = Math.floor(now / MINUTE)
    if (minute <= this.#minute) return
    for (let i = Math.max(this.#minute + 1, minute - MINUTES + 1); i <= minute; i++) {
      this.#outcomes[i % MINUTES] = 0
      this.#longest[i % MINUTES] = 0
    }
    this.#minute = minute
  }
}

/** The last hour of an app, in memory of a fixed size for each check. */
export class History {
  readonly #checks = new Map<string, CheckHistory>()
  readonly #since = new Map<string, number>()
  #transitions: Transition[] = []

  /** @param now the wall clock, in ms since the epoch */
  constructor (private readonly now: () => number) {}

  ran ({ probe, check, outcome, durationMs }: CheckRun): void {
    const now = this.now()
    const key = `${probe}/${check}`
    let history = this.#checks.get(key)
    if (history === undefined) {
      this.#checks.set(key, history = new CheckHistory(now))
      if (this.#checks.size > MAX_CHECKS) this.#forget(this.#checks.keys().next().value!)
    }
    history.ran(outcome, durationMs, now)
  }

  changed (change: HealthzChange): void {
    const { at, from, to, lastedMs } = change
    const what = change.kind === 'state' ? 'app' : change.kind === 'probe' ? change.probe : `${change.probe}/${change.check}`
    if (change.kind !== 'state') this.#since.set(what, at)
    // The first result of a check or a probe is no change that anybody looks for.
    if (from === 'unknown' && to === 'pass') return
    const title = change.kind === 'state' ? undefined : change.title
    this.#transitions.push({ at, what, from, to, lastedMs, ...(title !== undefined && { title: truncate(title, MAX_TITLE_BYTES) }) })
    this.#transitions = this.#transitions.slice(-TRANSITIONS)
  }

  /** The last transitions, the newest first. */
  get transitions (): Transition[] {
    return this.#transitions.toReversed()
  }

  /** When the present outcome began; `undefined` before the first change. */
  since (what: string): number | undefined {
    return this.#since.get(what)
  }

  of (probe: string, check: string): CheckHistory | undefined {
    return this.#checks.get(`${probe}/${check}`)
  }

  /** Forgets checks that are gone. */
  keep (known: ReadonlySet<string>): void {
    for (const key of this.#checks.keys()) {
      if (!known.has(key)) this.#forget(key)
    }
  }

  #forget (key: string): void {
    this.#checks.delete(key)
    this.#since.delete(key)
  }
}
