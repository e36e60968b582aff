import type { Time } from './time.js'

/** When runs of one timeout that were started at one time run out. */
export class Deadline {
  readonly #time: Time
  readonly #timer: unknown
  readonly #runOut: Array<() => void> = []
  #running = 0

  constructor (time: Time, readonly startedAt: number, readonly timeout: number) {
    this.#time = time
    this.#timer = time.start(() => { for (const runOut of this.#runOut) runOut() }, timeout)
  }

  /** @param runOut is called at the deadline, unless all that were added have ended by then */
  add (runOut: () => void): this {
    this.#runOut.push(runOut)
    this.#running++
    return this
  }

  /** All that were added have ended, and its timer with them. */
  get over (): boolean {
    return this.#running === 0
  }

  /** One that was added has ended. */
  end (): void {
    if (--this.#running === 0) this.#time.cancel(this.#timer)
  }
}

/**
 * What the checks that are started together share: the reading of the time of day, and the timer of those with one
 * timeout. Ten checks of a probe cost one of each that way instead of ten.
 */
export class Turn {
  readonly #time: Time
  #offset: number | undefined
  #deadline: Deadline | undefined
  /** The last reading of the monotonic clock, in ms. */
  now = 0

  constructor (time: Time) {
    this.#time = time
  }

  /** The moment of the last reading in ms since the epoch. */
  get date (): number {
    this.#offset ??= this.#time.date() - this.now
    return Math.round(this.#offset + this.now)
  }

  /** Reads the monotonic clock. */
  read (): number {
    this.now = this.#time.now()
    return this.now
  }

  /** The deadline of what was started at the last reading. */
  deadline (timeout: number): Deadline {
    const last = this.#deadline
    // A timer of Node's is no more exact.
    if (last?.timeout === timeout && !last.over && this.now - last.startedAt < 1) return last
    const deadline = new Deadline(this.#time, this.now, timeout)
    this.#deadline = deadline
    return deadline
  }
}
