import { refuse } from '../validate.js'

const MIB = 2 ** 20

/**
 * Reads an amount of memory or disk space: bytes, or a fraction of the total. Numbers from 1 to 1 MiB are invalid, since they
 * are probably meant as a percentage, such as 90.
 * @throws HEALTHZ_ERR_OPTION_INVALID
 */
export function expectSize (option: string, value: unknown): number {
  const isFraction = typeof value === 'number' && value > 0 && value < 1
  if (isFraction || (Number.isSafeInteger(value) && value as number >= MIB)) return value as number
  refuse(option, `a fraction between 0 and 1, or an integer >= ${MIB} (bytes)`, value)
}

/** @param whole the total, in bytes */
export function inBytes (size: number, whole: number): number {
  return size < 1 ? size * whole : size
}

/** For display, rounded so that a value above a limit is never shown as equal to it. */
export function inMiB (bytes: number, round: 'ceil' | 'floor'): number {
  return Math[round](bytes / MIB)
}
