import type { State } from '../types/healthz.js'
import type { Problem } from '../types/wire.js'
import type { Time } from './time.js'
import { PASS } from './verdict.js'

/** Where the app is between its boot and its end: `starting` → `serving` → `draining` → `closed`. */
export class Lifecycle {
  #state: State = 'starting'
  #since: number

  /** @param changed hears of each change, and of how long the state before had lasted, in ms */
  constructor (private readonly time: Time, private readonly changed: (from: State, to: State, lastedMs: number) => void) {
    this.#since = time.now()
  }

  get state (): State {
    return this.#state
  }

  to (state: State): void {
    const from = this.#state
    if (from === state) return
    const now = this.time.now()
    const lastedMs = now - this.#since
    this.#state = state
    this.#since = now
    this.changed(from, state, lastedMs)
  }

  /** What a probe answers without asking its checks, because of where the app is. */
  answer (probe: string): Problem | undefined {
    const { state } = this
    if (state === 'starting') return probe === 'ready' || probe === 'startup' ? STARTING : undefined
    if (state !== 'serving' && probe === 'ready') return SHUTTING_DOWN
    // What the checks need is gone by now, and a pod that ends by itself must not be killed for it.
    if (state === 'closed' && probe === 'live') return PASS
    return undefined
  }
}

const STARTING: Problem = Object.freeze({ status: 503, title: 'Starting' })
const SHUTTING_DOWN: Problem = Object.freeze({ status: 503, title: 'Shutting down' })
