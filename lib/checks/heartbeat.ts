import type { Check } from '../../types/check.js'
import { HealthError } from '../errors.js'
import { expectMs } from '../validate.js'
import { readOptions } from './options.js'

export interface HeartbeatOptions {
  /** Maximum age of the last beat, in ms, at least 1. */
  max: number
}

/** A check of a heartbeat, such as that of a worker's loop. */
export interface Heartbeat extends Check {
  /** Records a beat. It can be destructured: `const { beat } = heartbeat({ max: 60_000 })`. */
  readonly beat: () => void
}

/**
 * Fails when the last beat is older than `max`. Before the first beat, the age counts from the call of this function.
 * @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
export function heartbeat (options: HeartbeatOptions): Heartbeat {
  const max = expectMs('heartbeat().max', readOptions('heartbeat', options, ['max']).max, 1)
  let last = performance.now()
  const check: Check = context => {
    const age = Math.floor(performance.now() - last)
    context.data = { age }
    if (age > max) throw new HealthError(`no beat for ${duration(age)}`)
  }
  return Object.assign(check, { beat () { last = performance.now() } })
}

/** `850 ms`, `1.5 s`, `75 s`. Rounded down. */
function duration (ms: number): string {
  if (ms < 1000) return `${ms} ms`
  return `${ms < 10_000 ? Math.floor(ms / 100) / 10 : Math.floor(ms / 1000)} s`
}
