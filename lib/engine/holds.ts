import type { Hold } from '../../types/wire.js'
import type { EngineTime } from '../clock.js'

/** Observer for holds. It doesn't throw. */
export interface HoldsObserver {
  /** A drain or the close waits for holds. */
  waiting (names: readonly string[]): void
  /** Holds were not released within the limit. Nothing waits for them any longer. */
  abandoned (names: readonly string[], afterMs: number): void
}

/** The holds, which keep a drain from ending and the app from closing, such as for jobs in flight. */
export class Holds {
  readonly #held = new Set<{ readonly name: string, readonly since: number }>()
  #callbacks: Array<() => void> = []
  /** The end of the limit, once something has started to wait. */
  #deadline: number | undefined
  #timer: unknown
  #abandoned = false

  /** @param limit for the total wait, in ms */
  constructor (private readonly time: EngineTime, private readonly limit: number, private readonly observer: HoldsObserver) {}

  get list (): Hold[] {
    const now = this.time.now()
    return [...this.#held].map(({ name, since }) => ({ name, heldMs: Math.round(now - since) }))
  }

  /** Whether a hold was not released within the limit. */
  get abandoned (): boolean {
    return this.#abandoned
  }

  get names (): string[] {
    return [...this.#held].map(({ name }) => name)
  }

  /** @returns a function that releases it. Calling it again is a no-op */
  hold (name: string): () => void {
    const hold = { name, since: this.time.now() }
    this.#held.add(hold)
    return () => {
      if (!this.#held.delete(hold) || this.#held.size > 0) return
      // A job that finishes may start another.
      this.time.afterPoll(() => { if (this.#held.size === 0) this.#end() })
    }
  }

  /** Calls back once all holds are released, or after the limit. Immediately if either is the case already. */
  whenReleased (callback: () => void): void {
    if (this.#held.size === 0 || this.#abandoned) return callback()
    const now = this.time.now()
    this.#callbacks.push(callback)
    if (this.#timer !== undefined) return
    this.#deadline ??= now + this.limit
    this.#timer = this.time.start(() => {
      this.#abandoned = true
      this.observer.abandoned(this.names, this.limit)
      this.#end()
      // Rounded up: Node truncates fractions, and the limit of the whole process comes first.
    }, Math.ceil(this.#deadline - now))
    this.observer.waiting(this.names)
  }

  /** Settles like `whenReleased`. */
  released (): Promise<void> {
    return new Promise(resolve => { this.whenReleased(resolve) })
  }

  #end (): void {
    this.time.cancel(this.#timer)
    this.#timer = undefined
    const callbacks = this.#callbacks
    this.#callbacks = []
    for (const callback of callbacks) callback()
  }
}
