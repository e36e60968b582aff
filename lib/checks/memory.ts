import { totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'
import type { Check } from '../../types/check.js'
import { HealthError } from '../errors.js'
import { readOptions } from './options.js'
import { expectSize, inBytes, inMiB } from './size.js'

export interface MemoryOptions {
  /** Maximum size in bytes, at least 1 MiB, or as a fraction of the memory available to the process, between 0 and 1. */
  max: number
}

/**
 * Fails when V8's heap is larger than `max`, including uncollected garbage. A fraction refers to V8's `heap_size_limit`.
 * @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
export function heapUsed (options: MemoryOptions): Check {
  return limit('heapUsed', 'heap', options, () => {
    const { used_heap_size: used, heap_size_limit: whole } = getHeapStatistics()
    return { used, whole }
  })
}

/**
 * Fails when the memory of the process (RSS) is larger than `max`. A fraction refers to the limit of the container, or else to
 * the memory of the machine.
 * @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
export function rss (options: MemoryOptions): Check {
  return limit('rss', 'memory', options, () => ({
    used: process.memoryUsage.rss(),
    // Read on each run, since the limit of a container can change. 0 or a huge number means no limit.
    whole: Math.min(process.constrainedMemory() || Infinity, totalmem())
  }))
}

function limit (check: string, what: string, options: MemoryOptions, measure: () => { used: number, whole: number }): Check {
  const max = expectSize(`${check}().max`, readOptions(check, options, ['max']).max)
  return context => {
    const { used, whole } = measure()
    context.data = { used, limit: whole }
    const allowed = inBytes(max, whole)
    if (used <= allowed) return
    throw new HealthError(`${inMiB(used, 'ceil')} MiB of ${what} used, at most ${inMiB(allowed, 'floor')} allowed`)
  }
}
