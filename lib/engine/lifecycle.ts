import { setMaxListeners } from 'node:events'
import type { State } from '../../types/healthz.js'
import type { Problem } from '../../types/wire.js'
import type { Time } from '../clock.js'
import { PASS } from './aggregate.js'
import type { Holds } from './holds.js'

/** In the order in which an app passes through them. */
export const STATES: readonly State[] = ['starting', 'serving', 'draining', 'closing', 'closed']
const STARTING: Problem = Object.freeze({ status: 503, title: 'Starting' })
const SHUTTING_DOWN: Problem = Object.freeze({ status: 503, title: 'Shutting down' })

/** The outcome in one phase of the app. `check` means that the checks decide. Otherwise they don't run. */
type Rule = 'check' | 'pass' | 'fail'

/** How the outcome of a probe depends on the state of the app and the event loop. */
export interface ProbePolicy {
  readonly whileStarting: Rule
  readonly whileDraining: Rule
  readonly whileClosing: Rule
  /** Whether it passes while the event loop is blocked, for a limited time. */
  readonly whileBlocked: Exclude<Rule, 'check'>
  /** Whether its first pass is permanent and stops its checks. */
  readonly permanent: boolean
}

/** Observer for the state of the app. It doesn't throw. */
export interface LifecycleObserver {
  /** `lastedMs` is the duration of the previous state. */
  stateChanged (from: State, to: State, lastedMs: number): void
  /** The app is ready, `bootMs` after the start of the process. */
  served (bootMs: number): void
  drainBegan (delayMs: number, signal?: string): void
  /** The delay is over or the app closes, and all holds are released. */
  drainEnded (lastedMs: number): void
}

/** The state of the app: `starting` → `serving` → `draining` → `closing` → `closed`. */
export class Lifecycle {
  #state: State = 'starting'
  #since: number
  #bootMs: number | null = null
  #drained: Promise<void> | undefined
  #endDelay: (() => void) | undefined
  readonly #draining = new AbortController()

  /** @param startedAt start of the boot in ms of the clock, which is 0 at the start of the process */
  constructor (
    private readonly time: Time,
    private readonly observer: LifecycleObserver,
    private readonly holds: Pick<Holds, 'whenReleased'>,
    private readonly startedAt = 0
  ) {
    this.#since = time.now()
    // No limit: many jobs may listen to it.
    setMaxListeners(0, this.#draining.signal)
  }

  get state (): State {
    return this.#state
  }

  /** Whether it has been ready, even if it started to drain before that. */
  get hasServed (): boolean {
    return this.#bootMs !== null
  }

  /** How long the boot took, in ms; `null` before the app has served. */
  get bootMs (): number | null {
    return this.#bootMs
  }

  /** Aborts when the app starts to drain or to close. */
  get drainSignal (): AbortSignal {
    return this.#draining.signal
  }

  /** Whether it closes or has closed. */
  get closing (): boolean {
    return this.#state === 'closing' || this.#state === 'closed'
  }

  /** The app is ready. */
  serve (): void {
    if (this.hasServed) return
    this.#bootMs = Math.round(this.time.now() - this.startedAt)
    this.#to('serving')
    if (this.#state === 'serving') this.observer.served(this.#bootMs)
  }

  /**
   * Fails `ready` while requests are still served, until the removal of the endpoint has propagated.
   * A second call returns the promise of the first.
   * @param delay in ms
   * @returns settles after the delay, or when the app starts to close, once nothing is held; the delay of a drain that
   * starts during the close is not cut short
   */
  drain (delay: number, signal?: string): Promise<void> {
    if (this.#drained === undefined) {
      let resolve!: () => void
      // Set before the observer is called, which may call `drain` too.
      this.#drained = new Promise(_resolve => { resolve = _resolve })
      this.#startDrain(delay, signal, resolve)
    }
    return this.#drained
  }

  /** Ends the delay of a drain in progress. */
  endDelay (): void {
    this.#endDelay?.()
  }

  /** The app starts to close. From now on the dependencies of its checks may be closed. */
  close (): void {
    this.#to('closing')
    this.endDelay()
  }

  /** Its server has closed. */
  closed (): void {
    this.#to('closed')
    this.endDelay()
  }

  /** The problem of a probe regardless of its checks, whose dependencies may not be available. */
  override ({ whileStarting, whileDraining, whileClosing }: ProbePolicy): Problem | undefined {
    if (this.closing) return apply(whileClosing, SHUTTING_DOWN)
    const draining = this.#state === 'draining' ? apply(whileDraining, SHUTTING_DOWN) : undefined
    // An app that drains during its boot is still starting.
    return draining ?? (this.hasServed ? undefined : apply(whileStarting, STARTING))
  }

  #startDrain (delay: number, signal: string | undefined, resolve: () => void): void {
    if (this.#state === 'closed') return resolve()
    const began = this.time.now()
    this.#to('draining')
    this.observer.drainBegan(delay, signal)
    const end = () => {
      this.#endDelay = undefined
      this.holds.whenReleased(() => {
        this.observer.drainEnded(this.time.now() - began)
        resolve()
      })
    }
    if (delay === 0) return end()
    const timer = this.time.start(end, delay)
    this.#endDelay = () => { this.time.cancel(timer); end() }
  }

  /** Never goes back: an app that drains during its boot doesn't become `serving`. */
  #to (state: State): void {
    const from = this.#state
    if (STATES.indexOf(state) <= STATES.indexOf(from)) return
    const now = this.time.now()
    const lastedMs = now - this.#since
    this.#state = state
    this.#since = now
    this.observer.stateChanged(from, state, lastedMs)
    if (state !== 'serving') this.#draining.abort()
  }
}

function apply (rule: Rule, failure: Problem): Problem | undefined {
  if (rule === 'check') return undefined
  return rule === 'pass' ? PASS : failure
}
