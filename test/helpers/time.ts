import { setImmediate } from 'node:timers/promises'
import type { EngineTime } from '../../lib/clock.js'

interface Timer { at: number, readonly callback: () => void, readonly background: boolean }

/** A clock that only advances when told to. */
export class FakeTime implements EngineTime {
  #now = 0
  readonly #timers = new Set<Timer>()
  readonly #polls: Array<{ readonly at: number, readonly callback: () => void }> = []

  now () { return this.#now }
  date () { return Date.UTC(2026, 0, 1) + this.#now }

  start (callback: () => void, ms: number, background = false): Timer {
    const timer = { at: this.#now + ms, callback, background }
    this.#timers.add(timer)
    return timer
  }

  cancel (timer: unknown) { this.#timers.delete(timer as Timer) }

  /** The midpoint, so that jitter is 0. */
  random () { return 0.5 }

  afterPoll (callback: () => void) { this.#polls.push({ at: this.#now, callback }) }

  /** The number of running timers. */
  get timers (): number { return this.#timers.size }
  /** The number of timers that keep a process alive. */
  get holding (): number { return [...this.#timers].filter(({ background }) => !background).length }

  /** Advances by `ms`. Calls due timers in order, and lets promises settle in between. */
  async advance (ms: number): Promise<void> {
    const until = this.#now + ms
    await setImmediate()
    for (;;) {
      const [poll] = this.#polls
      const due = Math.max(until, poll?.at ?? 0)
      const [next] = [...this.#timers].filter(({ at }) => at <= due).sort((a, b) => a.at - b.at)
      if (poll !== undefined && !(next !== undefined && next.at <= poll.at)) {
        // All timers that were due when it was scheduled have been called.
        this.#polls.shift()
        poll.callback()
      } else if (next !== undefined) {
        this.#now = Math.max(this.#now, next.at)
        this.#timers.delete(next)
        next.callback()
      } else {
        break
      }
      await setImmediate()
    }
    // A callback may have blocked beyond that time.
    this.#now = Math.max(this.#now, until)
  }

  /** Advances without running anything, as if a check blocked the event loop. */
  block (ms: number): void { this.#now += ms }
}
