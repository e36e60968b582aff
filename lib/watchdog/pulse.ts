import type { State } from '../../types/healthz.js'

const STATES: readonly State[] = ['starting', 'serving', 'draining', 'closing', 'closed']

/** How often the main thread beats, in ms. */
export const BEAT = 250

/** The clock that all threads share, in ms. */
export const sharedNow = (): number => Number(process.hrtime.bigint() / 1_000_000n)

/** What the main thread writes while its event loop turns, and the watchdog's thread reads while it doesn't. */
export class Pulse {
  readonly #beat: BigInt64Array
  readonly #state: Int32Array

  /** @param memory of the other thread, or undefined for new one */
  constructor (readonly memory = new SharedArrayBuffer(24)) {
    this.#beat = new BigInt64Array(memory, 0, 1)
    this.#state = new Int32Array(memory, 8, 3)
  }

  beat (debugged: boolean): void {
    Atomics.store(this.#beat, 0, BigInt(sharedNow()))
    Atomics.store(this.#state, 1, Number(debugged))
  }

  set state (state: State) {
    Atomics.store(this.#state, 0, STATES.indexOf(state))
  }

  get state (): State {
    return STATES[Atomics.load(this.#state, 0)]!
  }

  /** When it last beat. */
  get at (): number {
    return Number(Atomics.load(this.#beat, 0))
  }

  /** Whether a debugger may stop the main thread. */
  get debugged (): boolean {
    return Atomics.load(this.#state, 1) === 1
  }

  /** The port is closed. */
  closed (): void {
    Atomics.store(this.#state, 2, 1)
    Atomics.notify(this.#state, 2)
  }

  /** Blocks until the other thread has closed the port, at most for some ms. */
  awaitClose (ms: number): void {
    Atomics.wait(this.#state, 2, 0, ms)
  }
}
