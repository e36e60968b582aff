import { refuse } from '../refusal.js'

const MIB = 2 ** 20

/**
 * An amount of memory or of disk: bytes, or a fraction of what there is. A percentage given for either is refused: it
 * would be a few bytes.
 * @throws HEALTHZ_ERR_OPTION_INVALID
 */
export function expectSize (option: string, value: unknown): number {
  const isFraction = typeof value === 'number' && value > 0 && value < 1
  if (isFraction || (Number.isSafeInteger(value) && value as number >= MIB)) return value as number
  refuse(option, `a fraction between 0 and 1, or an integer >= ${MIB} of bytes`, value)
}

/** @param whole what there is, in bytes */
export function inBytes (size: number, whole: number): number {
  return size < 1 ? size * whole : size
}

/** For people, rounded up or down so that what is above another is never shown as the same. */
export function inMiB (bytes: number, round: 'ceil' | 'floor'): number {
  return Math[round](bytes / MIB)
}
