import { statfs } from 'node:fs/promises'
import type { Check } from '../../types/check.js'
import { HealthError } from '../errors.js'
import { refuse } from '../refusal.js'
import { failure } from './failure.js'
import { readOptions } from './options.js'
import { expectSize, inBytes, inMiB } from './size.js'

export interface DiskFreeOptions {
  /** A file or folder on the file system. */
  path: string
  /** In bytes, at least 1 MiB; or as a fraction between 0 and 1 of the file system's size. */
  min: number
}

const WORDS = { EACCES: 'path not permitted', ENOENT: 'path not found', ENOTDIR: 'path not found' }

/**
 * What is free for a process without privileges. The system can't be told to stop: on a network file system whose server
 * is away, a run ends when the system gives up, and holds a thread of Node's pool until then.
 * @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
export function diskFree (options: DiskFreeOptions): Check {
  const { path, min: size } = readOptions('diskFree', options, ['path', 'min'])
  if (typeof path !== 'string' || path === '') refuse('diskFree().path', 'a path', path)
  const min = expectSize('diskFree().min', size)
  return async context => {
    context.awaiting = 'answer'
    const { bavail, blocks, bsize } = await statfs(path).catch(cause => { throw failure(cause, WORDS) })
    const free = bavail * bsize
    const required = inBytes(min, blocks * bsize)
    if (free >= required) return
    throw new HealthError(`${inMiB(free, 'floor')} MiB of disk free, at least ${inMiB(required, 'ceil')} required`)
  }
}
