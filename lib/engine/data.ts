import type { CheckData } from '../../types/wire.js'
import { truncate } from '../truncate.js'
import { isRecord } from '../validate.js'

/** Maximum number of entries. */
const MAX_KEYS = 20
/** Keys that are read at all. */
const MAX_READ = 100
/** Maximum size as JSON, in bytes. */
const MAX_BYTES = 1024
/** Limits for the log: the number of dropped entries that are named, and the length of a name in bytes. */
const [NAMED, NAME_BYTES] = [3, 63]

type Value = CheckData[string]

/** Replaces a value whose getter threw. */
const THREW = Symbol('threw')

/**
 * Copies the valid entries of the data that a check set, in the order of its keys, up to the limits. Never throws.
 * @returns the frozen copy, unless it is empty; and for the log the dropped entries with the reason, without values
 */
export function readData (given: unknown): { readonly data?: CheckData, readonly dropped?: string } {
  const keys = keysOf(given)
  if (keys === undefined) return { dropped: 'not a plain object' }
  const kept: Array<[key: string, value: Value]> = []
  const dropped: string[] = []
  let bytes = '{}'.length - ','.length
  for (const key of keys.slice(0, MAX_READ)) {
    const value = read(given as Record<string, unknown>, key)
    if (value === undefined) continue
    const drop = (why: string): void => { dropped.push(`${truncate(key, NAME_BYTES)} (${why})`) }
    if (!isValid(value)) {
      drop(nameOf(value))
      continue
    }
    const size = bytesOf(key, value)
    if (kept.length === MAX_KEYS) {
      drop(`over ${MAX_KEYS} keys`)
    } else if (bytes + size > MAX_BYTES) {
      drop(`over ${MAX_BYTES} bytes`)
    } else {
      kept.push([key, value])
      bytes += size
    }
  }
  const unread = Math.max(0, keys.length - MAX_READ)
  return {
    ...(kept.length > 0 && { data: Object.freeze(Object.fromEntries(kept)) }),
    ...(dropped.length + unread > 0 && { dropped: list(dropped, unread) })
  }
}

/** `undefined` unless it is a plain object. */
function keysOf (given: unknown): string[] | undefined {
  try {
    return isRecord(given) ? Object.keys(given) : undefined
  } catch {
    // A revoked Proxy, or one whose traps throw.
    return undefined
  }
}

function read (given: Record<string, unknown>, key: string): unknown {
  try {
    return given[key]
  } catch {
    return THREW
  }
}

function isValid (value: unknown): value is Value {
  return value === null || typeof value === 'string' || typeof value === 'boolean' || Number.isFinite(value)
}

function nameOf (value: unknown): string {
  if (value === THREW) return 'threw'
  return typeof value === 'number' ? String(value) : typeof value
}

/** The size of an entry in JSON, with a comma. A long text isn't measured. */
function bytesOf (key: string, value: Value): number {
  if (key.length + String(value).length > MAX_BYTES) return Infinity
  return Buffer.byteLength(JSON.stringify({ [key]: value })) - '{}'.length + ','.length
}

function list (dropped: readonly string[], unread: number): string {
  const named = dropped.slice(0, NAMED)
  const more = dropped.length + unread - named.length
  return [named.join(', '), more > 0 && `${more} more`].filter(Boolean).join(' and ')
}
