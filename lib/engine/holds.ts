import type { Hold } from '../../types/wire.js'
import type { EngineTime } from '../clock.js'

/** Observer for holds. It doesn't throw. */
export interface HoldsObserver {
  /** A drain or the close waits for what is held. */
  waiting (names: readonly string[]): void
  /** They were still held after the limit, and nothing waits for them any longer. */
  abandoned (names: readonly string[], afterMs: number): void
}

/** What keeps a drain from ending and the app from closing, such as jobs in flight. */
export class Holds {
  readonly #held = new Set<{ readonly name: string, readonly since: number }>()
  #callbacks: Array<() => void> = []
  /** The end of the limit, once something has waited. */
  #deadline: number | undefined
  #timer: unknown
  #abandoned = false

  /** @param limit for all waiting together, in ms */
  constructor (private readonly time: EngineTime, private readonly limit: number, private readonly observer: HoldsObserver) {}

  get list (): Hold[] {
    const now = this.time.now()
    return [...this.#held].map(({ name, since }) => ({ name, heldMs: Math.round(now - since) }))
  }

  /** Whether something was still held after the limit. */
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
      // A job that ends may start the next one.
      this.time.afterPoll(() => { if (this.#held.size === 0) this.#end() })
    }
  }

  /** Calls back once nothing is held, or after the limit. At once if nothing is held or the limit has passed. */
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
      // Rounded up: Node cuts fractions off, and the limit of the whole process comes first.
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
