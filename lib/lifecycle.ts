import type { State } from '../types/healthz.js'
import type { Problem } from '../types/wire.js'
import type { Time } from './time.js'
import { PASS } from './verdict.js'

/** How long a drain takes by default, in ms. */
export const DRAIN_MS = 5000

const ORDER: readonly State[] = ['starting', 'serving', 'draining', 'closed']
const STARTING: Problem = Object.freeze({ status: 503, title: 'Starting' })
const SHUTTING_DOWN: Problem = Object.freeze({ status: 503, title: 'Shutting down' })

/** Who hears of where the app comes to. It doesn't throw. */
export interface LifecycleObserver {
  /** `lastedMs` is how long the app had been in the state before. */
  stateChanged (from: State, to: State, lastedMs: number): void
  drainBegan (delayMs: number, signal?: string): void
  /** After the delay, or sooner because the app closes. */
  drainEnded (lastedMs: number): void
}

/** Where the app is between its boot and its end: `starting` → `serving` → `draining` → `closed`. */
export class Lifecycle {
  #state: State = 'starting'
  #since: number
  #closing = false
  #drained: Promise<void> | undefined
  #endDrain: (() => void) | undefined

  constructor (private readonly time: Time, private readonly observer: LifecycleObserver) {
    this.#since = time.now()
  }

  get state (): State {
    return this.#state
  }

  /** The app is ready. */
  serve (): void {
    this.#to('serving')
  }

  /**
   * Lets the news of the end spread while requests are still served: `ready` fails from now on.
   * A second call gives back the promise of the first.
   * @param delay in ms
   * @returns settles after the delay, or when the app begins to close; one begun in a close is not cut short
   */
  drain (delay: number, signal?: string): Promise<void> {
    this.#drained ??= this.#startDrain(delay, signal)
    return this.#drained
  }

  /** The app begins to close: what its checks need may be gone before it is. */
  close (): void {
    this.#closing = true
    this.#to('draining')
    this.#endDrain?.()
  }

  /** Its server has closed. */
  closed (): void {
    this.#closing = true
    this.#to('closed')
  }

  /** It closes, or has closed. */
  get closing (): boolean {
    return this.#closing
  }

  /**
   * What a probe answers without asking its checks, because of where the app is: what they need isn't there yet, or is
   * closing too. A pod that starts or ends as it should must not be killed for that.
   */
  answer (probe: string): Problem | undefined {
    if (this.#state === 'starting') return probe === 'live' ? PASS : STARTING
    if (this.#closing) return probe === 'live' ? PASS : SHUTTING_DOWN
    return this.#state === 'draining' && probe === 'ready' ? SHUTTING_DOWN : undefined
  }

  async #startDrain (delay: number, signal?: string): Promise<void> {
    if (this.#state === 'closed') return
    const began = this.time.now()
    this.#to('draining')
    this.observer.drainBegan(delay, signal)
    if (delay > 0) {
      await new Promise<void>(resolve => {
        const timer = this.time.start(resolve, delay)
        this.#endDrain = () => { this.time.cancel(timer); resolve() }
      })
      this.#endDrain = undefined
    }
    this.observer.drainEnded(this.time.now() - began)
  }

  /** Never back: an app that drains while it boots doesn't serve any more. */
  #to (state: State): void {
    const from = this.#state
    if (ORDER.indexOf(state) <= ORDER.indexOf(from)) return
    const now = this.time.now()
    const lastedMs = now - this.#since
    this.#state = state
    this.#since = now
    this.observer.stateChanged(from, state, lastedMs)
  }
}
