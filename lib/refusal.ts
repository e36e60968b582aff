import { healthzError, messageOf, show } from './errors.js'

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

/**
 * What is in a plain object, of any realm. One with another prototype may hold names that would go unseen.
 * @param option `''` for the options as a whole
 */
export function expectRecord (option: string, value: unknown, expected: string): Record<string, unknown> {
  const whole = option || 'options'
  const within = option && `${option}.`
  const names = reading(whole, () => isRecord(value) && Object.keys(value))
  if (names === false) refuse(whole, expected, value)
  const entries = names.map(name => [name, reading(within + name, () => (value as Record<string, unknown>)[name])])
  return Object.fromEntries(entries)
}

/** Runs what reads an option. An error in it, a getter's or a Proxy's, refuses the option. */
export function reading<T> (option: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw healthzError('HEALTHZ_ERR_OPTION_INVALID', option, 'readable', `an error: ${messageOf(cause)}`, { cause })
  }
}

function isRecord (value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}
