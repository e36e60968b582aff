import { setImmediate } from 'node:timers/promises'
import type { Time } from '../../lib/time.js'

interface Timer { at: number, readonly callback: () => void, readonly background: boolean }

/** A clock that stands still until it is told to go on. */
export class FakeTime implements Time {
  #now = 0
  readonly #timers = new Set<Timer>()

  now () { return this.#now }
  date () { return Date.UTC(2026, 0, 1) + this.#now }

  start (callback: () => void, ms: number, background = false): Timer {
    const timer = { at: this.#now + ms, callback, background }
    this.#timers.add(timer)
    return timer
  }

  cancel (timer: unknown) { this.#timers.delete(timer as Timer) }

  /** How many timers are running. */
  get timers (): number { return this.#timers.size }
  /** How many of them keep a process alive. */
  get holding (): number { return [...this.#timers].filter(({ background }) => !background).length }

  /** Goes on to a moment and calls what is due on the way, letting promises settle in between. */
  async advance (ms: number): Promise<void> {
    const until = this.#now + ms
    await setImmediate()
    for (;;) {
      const [next] = [...this.#timers].filter(({ at }) => at <= until).sort((a, b) => a.at - b.at)
      if (next === undefined) break
      this.#now = Math.max(this.#now, next.at)
      this.#timers.delete(next)
      next.callback()
      await setImmediate()
    }
    // A callback may have blocked past it.
    this.#now = Math.max(this.#now, until)
  }

  /** Goes on without letting anything else run, as while a check blocks the event loop. */
  block (ms: number): void { this.#now += ms }
}
