import { totalmem } from 'node:os'
import { getHeapStatistics } from 'node:v8'
import type { Check } from '../../types/check.js'
import { HealthError } from '../errors.js'
import { readOptions } from './options.js'
import { expectSize, inBytes, inMiB } from './size.js'

export interface MemoryOptions {
  /** In bytes, at least 1 MiB; or as a fraction between 0 and 1 of what the process may have. */
  max: number
}

/**
 * The heap of V8 with all that it has not collected yet; what it may have is V8's `heap_size_limit`.
 * @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
export function heapUsed (options: MemoryOptions): Check {
  return limit('heapUsed', 'heap', options, () => {
    const { used_heap_size: used, heap_size_limit: whole } = getHeapStatistics()
    return { used, whole }
  })
}

/**
 * The memory of the whole process; what it may have is the limit of its container, or else all of the machine's.
 * @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
export function rss (options: MemoryOptions): Check {
  return limit('rss', 'memory', options, () => ({
    used: process.memoryUsage.rss(),
    // Read each time: the limit of a container can change. 0 and a huge number mean none.
    whole: Math.min(process.constrainedMemory() || Infinity, totalmem())
  }))
}

function limit (check: string, what: string, options: MemoryOptions, measure: () => { used: number, whole: number }): Check {
  const max = expectSize(`${check}().max`, readOptions(check, options, ['max']).max)
  return () => {
    const { used, whole } = measure()
    const allowed = inBytes(max, whole)
    if (used <= allowed) return
    throw new HealthError(`${inMiB(used, 'ceil')} MiB of ${what} used, at most ${inMiB(allowed, 'floor')} allowed`)
  }
}
