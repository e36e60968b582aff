import { performance } from 'node:perf_hooks'

/** The clock and the timers of the engine, handed in so that tests own time. */
export interface Time {
  /** A monotonic clock, in ms: what durations are measured with. */
  now (): number
  /** The time of day, in ms since the epoch: what is shown. */
  date (): number
  /** Calls back once after `ms`. A `background` timer doesn't keep the process alive. */
  start (callback: () => void, ms: number, background?: boolean): unknown
  /** Forgets a timer, or nothing for `undefined`. */
  cancel (timer: unknown): void
}

export const systemTime: Time = {
  now: () => performance.now(),
  date: () => Date.now(),
  start (callback, ms, background) {
    const timer = setTimeout(callback, ms)
    return background ? timer.unref() : timer
  },
  cancel: timer => clearTimeout(timer as NodeJS.Timeout | undefined)
}
