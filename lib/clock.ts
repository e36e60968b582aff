import { performance } from 'node:perf_hooks'

/** The longest delay of a timer in Node.js, which fires a longer one immediately. */
export const MAX_MS = 2 ** 31 - 1

/** A duration for a message: `1.4 s`, and from ten seconds on `12 s`. */
export function seconds (ms: number): string {
  return `${ms < 9950 ? (ms / 1000).toFixed(1) : Math.round(ms / 1000)} s`
}

/** A clock and timers, injected so that tests control time. */
export interface Time {
  /** A monotonic clock for durations, in ms since the process started. */
  now (): number
  /** The time of day for display, in ms since the epoch. */
  date (): number
  /** Calls back once after `ms`. A `background` timer doesn't keep the process alive. */
  start (callback: () => void, ms: number, background?: boolean): unknown
  /** Cancels a timer; a no-op for `undefined`. */
  cancel (timer: unknown): void
}

/** The clock of the engine. A blocked event loop doesn't fail checks by its timeouts, and its intervals vary. */
export interface EngineTime extends Time {
  /**
   * Calls back once when the event loop has polled for I/O. After a stall Node runs due timers before it reads its
   * sockets, so a timer that calls this sees the data that arrived during the stall.
   */
  afterPoll (callback: () => void): void
  /** A random number from 0 to less than 1, which varies the intervals. */
  random (): number
}

export const systemTime: EngineTime = {
  now: () => performance.now(),
  date: () => Date.now(),
  start (callback, ms, background) {
    // An interval may vary beyond the longest delay, for which Node would fire immediately.
    const timer = setTimeout(callback, Math.min(ms, MAX_MS))
    return background ? timer.unref() : timer
  },
  cancel: timer => clearTimeout(timer as NodeJS.Timeout | undefined),
  afterPoll: callback => { setImmediate(callback) },
  random: () => Math.random()
}
