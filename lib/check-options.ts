import type { Check } from '../types/check.js'
import { expectBoolean, expectMs, expectRecord, refuse, refuseUnknown } from './refusal.js'
import { UNNAMED } from './verdict.js'

/** A check as its options give it, with every default filled in. Times are in ms. */
export interface CheckSettings<Given = Check | string> {
  readonly name: string
  /** Which option it comes from, for errors: `ready.database`. */
  readonly option: string
  /** A function, or the specifier of one. */
  readonly check: Given
  readonly timeout: number
  readonly critical: boolean
  readonly maxAge: number
  readonly interval: number | undefined
}

/** They can't be names of checks, so that an options object in the wrong place isn't misread as checks by name. */
const CHECK_OPTIONS = ['check', 'timeout', 'critical', 'maxAge', 'interval']
export const NAME = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,63}$/
/** What it asks of names, for errors. */
export const NAMES = 'match [A-Za-z0-9._-]{1,63} and are neither . nor ..'

const CHECK = 'a check (a function or a module specifier)'

/** @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN */
export function readChecks (option: string, checks: unknown, timeout: number, orElse = ''): CheckSettings[] {
  if (isCheck(checks)) return [{ ...readCheck(option, checks, timeout), name: UNNAMED }]
  const byName = expectRecord(option, checks, `${CHECK}, an object of checks by name${orElse}`)
  return Object.entries(byName).map(([name, check]) => readNamedCheck(option, name, check, timeout))
}

/** @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN */
export function readNamedCheck (option: string, name: string, check: unknown, timeout: number): CheckSettings {
  if (CHECK_OPTIONS.includes(name)) {
    refuse(option, `checks by name, and \`${name}\` can't be one: give the check a name, as in \`{ database: { check, … } }\``, check)
  }
  if (typeof name !== 'string' || !NAME.test(name)) refuse(option, `an object of checks whose names ${NAMES}`, name)
  return { ...readCheck(`${option}.${name}`, check, timeout), name }
}

function readCheck (option: string, given: unknown, defaultTimeout: number): Omit<CheckSettings, 'name'> {
  const options: Record<string, unknown> = isCheck(given)
    ? { check: given }
    : expectRecord(option, given, `${CHECK}, or an object with one as \`check\``)
  refuseUnknown(`${option}.`, options, CHECK_OPTIONS)
  const { check, timeout = defaultTimeout, critical = true, maxAge, interval } = options
  if (!isCheck(check)) refuse(`${option}.check`, CHECK, check)
  if (maxAge !== undefined && interval !== undefined) refuse(`${option}.maxAge`, 'left out beside `interval`', maxAge)
  return {
    option,
    check,
    timeout: expectMs(`${option}.timeout`, timeout, 1),
    critical: expectBoolean(`${option}.critical`, critical),
    maxAge: maxAge === undefined ? 0 : expectMs(`${option}.maxAge`, maxAge, 0),
    interval: interval === undefined ? undefined : expectMs(`${option}.interval`, interval, 1)
  }
}

function isCheck (value: unknown): value is Check | string {
  return typeof value === 'function' || (typeof value === 'string' && value !== '')
}
