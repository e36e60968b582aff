import { healthzError, show } from './errors.js'

/** The longest that a timer of Node's takes; a longer one would fire at once. */
export const MAX_MS = 2 ** 31 - 1

/** @throws HEALTHZ_ERR_OPTION_INVALID */
export function refuse (option: string, expected: string, got: unknown): never {
  throw healthzError('HEALTHZ_ERR_OPTION_INVALID', option, expected, show(got))
}

/** @throws HEALTHZ_ERR_OPTION_UNKNOWN */
export function refuseUnknown (where: string, options: object, known: readonly string[], shown = known): void {
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) throw healthzError('HEALTHZ_ERR_OPTION_UNKNOWN', where + name, shown.map(name => `\`${name}\``).join(', '))
  }
}

export function expectBoolean (option: string, value: unknown): boolean {
  return typeof value === 'boolean' ? value : refuse(option, 'a boolean', value)
}

/** @param min of a whole number of milliseconds */
export function expectMs (option: string, value: unknown, min: number): number {
  if (!Number.isInteger(value) || (value as number) < min) refuse(option, `an integer >= ${min}`, value)
  if ((value as number) > MAX_MS) refuse(option, `an integer <= ${MAX_MS}`, value)
  return value as number
}

/** A plain object, of any realm. One with another prototype may hold names that would go unseen. */
export function isRecord (value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}
