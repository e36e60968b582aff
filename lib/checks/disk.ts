import { statfs } from 'node:fs/promises'
import type { Check } from '../../types/check.js'
import { HealthError } from '../errors.js'
import { refuse } from '../validate.js'
import { toHealthError } from './to-health-error.js'
import { readOptions } from './options.js'
import { expectSize, inBytes, inMiB } from './size.js'

export interface DiskFreeOptions {
  /** A file or directory on the file system. */
  path: string
  /** Required free space in bytes, at least 1 MiB, or as a fraction of the file system's size, between 0 and 1. */
  min: number
}

const TITLES = { EACCES: 'path not permitted', ENOENT: 'path not found', ENOTDIR: 'path not found' }

/**
 * Fails when less space than `min` is free for unprivileged processes. The system call can't be cancelled: on a network file
 * system whose server is down, a run occupies a thread of libuv's pool until the system gives up.
 * @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
export function diskFree (options: DiskFreeOptions): Check {
  const { path, min: size } = readOptions('diskFree', options, ['path', 'min'])
  if (typeof path !== 'string' || path === '') refuse('diskFree().path', 'a path', path)
  const min = expectSize('diskFree().min', size)
  return async context => {
    context.awaiting = 'answer'
    const { bavail, blocks, bsize } = await statfs(path).catch(cause => { throw toHealthError(cause, TITLES) })
    const [free, total] = [bavail * bsize, blocks * bsize]
    context.data = { free, total }
    const required = inBytes(min, total)
    if (free >= required) return
    throw new HealthError(`${inMiB(free, 'floor')} MiB of disk free, at least ${inMiB(required, 'ceil')} required`)
  }
}
