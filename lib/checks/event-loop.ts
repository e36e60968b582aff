import type { Check } from '../../types/check.js'
import { HealthError } from '../errors.js'
import { expectMs, refuse } from '../refusal.js'
import { readOptions } from './options.js'

export interface EventLoopDelayOptions {
  /** How long the event loop may be blocked at a time, in ms, at least 1. */
  max: number
}

export interface EventLoopUtilizationOptions {
  /** For how much of the time the event loop may be busy: a fraction between 0 and 1. */
  max: number
}

/** How often the delay is measured, in ms. So much of one may be missed. */
const RESOLUTION = 20
/** The shortest time that a value is told of, in ms: a busy moment is not a busy loop. */
const WINDOW = 1000

/**
 * The longest time since the run before for which the event loop was blocked. The first run begins to measure, and
 * passes. Runs within a second of each other tell the same.
 * @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
export function eventLoopDelay (options: EventLoopDelayOptions): Check {
  const max = expectMs('eventLoopDelay().max', readOptions('eventLoopDelay', options, ['max']).max, 1)
  const read = sinceLastRead(() => {
    const monitor = new DelayMonitor()
    return () => monitor.take()
  })
  return () => {
    const delay = read()
    if (delay > max) throw new HealthError(`event loop delayed by ${Math.ceil(delay)} ms, at most ${max} allowed`)
  }
}

/**
 * For how much of the time since the run before the event loop was busy. The first run begins to measure, and passes.
 * Runs within a second of each other tell the same.
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
  return () => {
    const utilization = read()
    if (utilization <= max) return
    const [busy, allowed] = [Math.ceil(utilization * 100), Number((max * 100).toFixed(1))]
    throw new HealthError(`event loop busy for ${busy} % of the time, at most ${allowed} % allowed`)
  }
}

/** @param start begins to measure; what it gives back tells the value since its last call */
function sinceLastRead (start: () => () => number): () => number {
  let take: (() => number) | undefined
  let takenAt = 0
  let value = 0
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
 * Notes for how long a timer is kept waiting. `monitorEventLoopDelay()` of Node's forgets the block that is under way
 * when it is reset, and the one that was just over: those that a probe meets.
 */
class DelayMonitor {
  #due = performance.now() + RESOLUTION
  #longest = 0

  /** It runs for as long as somebody holds it, and doesn't keep the process alive. */
  constructor () {
    const held = new WeakRef(this)
    const timer = setInterval(() => {
      const monitor = held.deref()
      if (monitor === undefined) clearInterval(timer)
      else monitor.#note()
    }, RESOLUTION).unref()
  }

  /** The longest delay in ms since the last call; one that is not over yet counts so far. */
  take (): number {
    this.#note()
    const longest = this.#longest
    this.#longest = 0
    return longest
  }

  #note (): void {
    const now = performance.now()
    this.#longest = Math.max(this.#longest, now - this.#due)
    this.#due = now + RESOLUTION
  }
}
