import { MAX_MS } from './clock.js'
import { healthzError, show } from './errors.js'

/**
 * @param hint appended to the message
 * @throws HEALTHZ_ERR_OPTION_INVALID
 */
export function refuse (option: string, expected: string, got: unknown, hint = ''): never {
  throw healthzError('HEALTHZ_ERR_OPTION_INVALID', option, expected, show(got) + hint)
}

/**
 * @param hint appended to the message
 * @throws HEALTHZ_ERR_OPTION_UNKNOWN
 */
export function refuseUnknown (where: string, options: object, known: readonly string[], shown = known, hint = ''): void {
  for (const name of Object.keys(options)) {
    if (known.includes(name)) continue
    throw healthzError('HEALTHZ_ERR_OPTION_UNKNOWN', where + name, shown.map(name => `\`${name}\``).join(', ') + hint)
  }
}

/** @throws HEALTHZ_ERR_OPTION_INVALID */
export function expectBoolean (option: string, value: unknown): boolean {
  return typeof value === 'boolean' ? value : refuse(option, 'a boolean', value)
}

/** @throws HEALTHZ_ERR_OPTION_INVALID */
export function expectText (option: string, value: unknown): string {
  return typeof value === 'string' && value !== '' ? value : refuse(option, 'a non-empty string', value)
}

/** @throws HEALTHZ_ERR_OPTION_INVALID */
export function expectCount (option: string, value: unknown, min = 1): number {
  return Number.isInteger(value) && (value as number) >= min ? value as number : refuse(option, `an integer >= ${min}`, value)
}

/**
 * @param min in ms
 * @throws HEALTHZ_ERR_OPTION_INVALID
 */
export function expectMs (option: string, value: unknown, min: number): number {
  expectCount(option, value, min)
  if ((value as number) > MAX_MS) refuse(option, `an integer <= ${MAX_MS}`, value)
  return value as number
}

/**
 * Copies a plain object of any realm, reading each property once. Objects with another prototype are rejected, since inherited
 * properties would be missed.
 * @throws HEALTHZ_ERR_OPTION_INVALID
 */
export function expectRecord (option: string, value: unknown, expected: string): Record<string, unknown> {
  if (!isRecord(value)) refuse(option, expected, value)
  return Object.fromEntries(Object.entries(value))
}

/** Whether it is a plain object of any realm. A Proxy may make it throw. */
export function isRecord (value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}
