/** Interval of the main thread's heartbeat, in ms. */
export const BEAT = 250

/** The clock that all threads share, in ms. */
export const sharedNow = (): number => Number(process.hrtime.bigint() / 1_000_000n)

/** The main thread's heartbeat in shared memory, which the watchdog's thread reads. */
export class Pulse {
  readonly #beat: BigInt64Array
  readonly #flags: Int32Array

  /** @param memory shared by the other thread; allocated by default */
  constructor (readonly memory = new SharedArrayBuffer(24)) {
    this.#beat = new BigInt64Array(memory, 0, 1)
    this.#flags = new Int32Array(memory, 8, 3)
  }

  beat (debugged: boolean): void {
    Atomics.store(this.#beat, 0, BigInt(sharedNow()))
    Atomics.store(this.#flags, 1, Number(debugged))
  }

  /** The app has left the state `starting`. */
  started (): void {
    Atomics.store(this.#flags, 0, 1)
  }

  get starting (): boolean {
    return Atomics.load(this.#flags, 0) === 0
  }

  /** Time of the last beat, in ms of `sharedNow`. */
  get at (): number {
    return Number(Atomics.load(this.#beat, 0))
  }

  /** Whether a debugger may stop the main thread. */
  get debugged (): boolean {
    return Atomics.load(this.#flags, 1) === 1
  }

  /** The port is closed. */
  closed (): void {
    Atomics.store(this.#flags, 2, 1)
    Atomics.notify(this.#flags, 2)
  }

  /** Blocks until the other thread has closed the port, for at most `ms`. */
  awaitClose (ms: number): void {
    Atomics.wait(this.#flags, 2, 0, ms)
  }
}
