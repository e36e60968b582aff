import { setImmediate } from 'node:timers/promises'
import type { EngineTime } from '../../lib/clock.js'

interface Timer { at: number, readonly callback: () => void, readonly background: boolean }

/** A clock that stands still until it is told to go on. */
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

  /** In the middle, so that intervals don't vary. */
  random () { return 0.5 }

  afterPoll (callback: () => void) { this.#polls.push({ at: this.#now, callback }) }

  /** How many timers are running. */
  get timers (): number { return this.#timers.size }
  /** How many of them keep a process alive. */
  get holding (): number { return [...this.#timers].filter(({ background }) => !background).length }

  /** Goes on to a moment and calls what is due on the way, letting promises settle in between. */
  async advance (ms: number): Promise<void> {
    const until = this.#now + ms
    await setImmediate()
    for (;;) {
      const [poll] = this.#polls
      const due = Math.max(until, poll?.at ?? 0)
      const [next] = [...this.#timers].filter(({ at }) => at <= due).sort((a, b) => a.at - b.at)
      if (poll !== undefined && !(next !== undefined && next.at <= poll.at)) {
        // All that was due when it was asked for has been called.
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
    // A callback may have blocked past it.
    this.#now = Math.max(this.#now, until)
  }

  /** Goes on without letting anything else run, as while a check blocks the event loop. */
  block (ms: number): void { this.#now += ms }
}
