import { createHistogram } from 'node:perf_hooks'
import type { Check } from '../../types/check.js'
import { HealthError } from '../errors.js'
import { expectMs, refuse } from '../validate.js'
import { readOptions } from './options.js'

export interface EventLoopDelayOptions {
  /** How long the event loop may be blocked at a time, in ms, at least 1. */
  max: number
}

export interface EventLoopUtilizationOptions {
  /** The maximum fraction of the time for which the event loop may be busy, between 0 and 1. */
  max: number
}

/** In ms. */
type Delay = { readonly max: number, readonly p99: number }

/** How often the delay is measured, in ms. Up to this much of a delay may be missed. */
const RESOLUTION = 20
/** The shortest period that a value covers, in ms, so that a short burst doesn't fail the check. */
const WINDOW = 1000

/**
 * Fails when the event loop was blocked for longer than `max` at a time since the previous run. The first run starts the measurement
 * and passes. Runs within a second of each other have the same result.
 * @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
export function eventLoopDelay (options: EventLoopDelayOptions): Check {
  const max = expectMs('eventLoopDelay().max', readOptions('eventLoopDelay', options, ['max']).max, 1)
  const read = sinceLastRead(() => {
    const monitor = new DelayMonitor()
    return () => monitor.take()
  })
  return context => {
    const delay = read()
    context.data = delay
    if (delay === undefined || delay.max <= max) return
    throw new HealthError(`event loop delayed by ${Math.ceil(delay.max)} ms, at most ${max} allowed`)
  }
}

/**
 * Fails when the event loop was busy for more than `max` of the time since the previous run. The first run starts the
 * measurement and passes. Runs within a second of each other have the same result.
 * @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
export function eventLoopUtilization (options: EventLoopUtilizationOptions): Check {
  const { max } = readOptions('eventLoopUtilization', options, ['max'])
  if (typeof max !== 'number' || !(max > 0 && max < 1)) refuse('eventLoopUtilization().max', 'a fraction between 0 and 1', max)
  const read = sinceLastRead(() => {
    let last = performance.eventLoopUtilization()
    return () => {
      const now = performance.eventLoopUtilization()
      const { utilization } = performance.eventLoopUtilization(now, last)
      last = now
      return utilization
    }
  })
  return context => {
    const utilization = read()
    if (utilization === undefined) return
    context.data = { utilization: Math.round(utilization * 1000) / 1000 }
    if (utilization <= max) return
    const [busy, allowed] = [Math.ceil(utilization * 100), Number((max * 100).toFixed(1))]
    throw new HealthError(`event loop busy for ${busy} % of the time, at most ${allowed} % allowed`)
  }
}

/**
 * Returns a function that returns `undefined` until there is a value.
 * @param start starts the measurement and returns a function that returns the value since its last call
 */
function sinceLastRead<T> (start: () => () => T): () => T | undefined {
  let take: (() => T) | undefined
  let takenAt = 0
  let value: T | undefined
  return () => {
    const now = performance.now()
    if (take === undefined) {
      take = start()
      takenAt = now
    } else if (now - takenAt >= WINDOW) {
      value = take()
      takenAt = now
    }
    return value
  }
}

/**
 * Measures by how much a timer is late. Not with Node's `monitorEventLoopDelay()`: its `reset()` drops the delay in progress
 * and the one that just ended, which are the ones that matter to a probe.
 */
class DelayMonitor {
  #due = performance.now() + RESOLUTION
  /** In µs, like the histogram. */
  #longest = 0
  /** With two significant digits. Its size is fixed, no matter how rarely it is read. */
  readonly #delays = createHistogram({ figures: 2 })

  /** The timer doesn't keep the process alive. It stops once the monitor is unreachable, such as after its app has closed. */
  constructor () {
    const held = new WeakRef(this)
    const timer = setInterval(() => {
      const monitor = held.deref()
      if (monitor === undefined) clearInterval(timer)
      else monitor.#measure()
    }, RESOLUTION).unref()
  }

  /** Returns the delays in ms since the last call, including the one in progress. */
  take (): Delay {
    this.#measure()
    // The histogram rounds up.
    const [longest, p99] = [this.#longest, Math.min(this.#longest, this.#delays.percentile(99))]
    this.#longest = 0
    this.#delays.reset()
    return { max: longest / 1000, p99: p99 / 1000 }
  }

  #measure (): void {
    const now = performance.now()
    // A timer may be early.
    const delay = Math.max(0, Math.round((now - this.#due) * 1000))
    this.#longest = Math.max(this.#longest, delay)
    // The histogram has no 0.
    this.#delays.record(Math.max(1, delay))
    this.#due = now + RESOLUTION
  }
}
