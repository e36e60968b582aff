import { isGeneratorFunction } from 'node:util/types'
import type { Check } from '../../types/check.js'
import { expectBoolean, expectCount, expectMs, expectRecord, refuse, refuseUnknown } from '../validate.js'
import type { CheckPlan } from '../engine/transitions.js'
import { UNNAMED } from '../engine/aggregate.js'

/** The options of a check with defaults applied, which are the plan of its runs. */
export interface CheckSettings extends CheckPlan {
  /** Its path in the options, for errors: `ready.database`. */
  readonly option: string
  /** A function, or the specifier of one. */
  readonly check: Check | string
}

/** Not allowed as names of checks, so that a misplaced options object isn't read as checks by name. */
const CHECK_OPTIONS = [
  'check', 'timeout', 'critical', 'maxAge', 'interval', 'retryInterval', 'failureThreshold', 'successThreshold'
]
export const NAME = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,63}$/
/** The rule for names, for errors. */
export const NAMES = 'match [A-Za-z0-9._-]{1,63} and are neither . nor ..'

const CHECK = 'a check (a function or a module specifier)'
/** Calling a generator function runs nothing of it, so such a check would always pass. */
const NO_GENERATOR = 'a function that is not a generator'

/**
 * Reads the checks of a probe.
 * @param option their path in the options
 * @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
export function readChecks (option: string, checks: unknown, timeout: number, orElse = '', probe = option): CheckSettings[] {
  if (isCheck(checks)) return [readCheck(option, probe, UNNAMED, checks, timeout)]
  const byName = expectRecord(option, checks, `${CHECK}, an object of checks by name${orElse}`)
  return Object.entries(byName).map(([name, check]) => readNamedCheck(option, name, check, timeout, probe))
}

/** @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN */
export function readNamedCheck (option: string, name: string, check: unknown, timeout: number, probe = option): CheckSettings {
  if (CHECK_OPTIONS.includes(name)) {
    refuse(option, `checks by name, and \`${name}\` can't be one: give the check a name, as in \`{ database: { check, … } }\``, check)
  }
  if (typeof name !== 'string' || !NAME.test(name)) refuse(option, `an object of checks whose names ${NAMES}`, name)
  return readCheck(`${option}.${name}`, probe, name, check, timeout)
}

function readCheck (option: string, probe: string, name: string, given: unknown, defaultTimeout: number): CheckSettings {
  const options: Record<string, unknown> = isCheck(given)
    ? { check: given }
    : expectRecord(option, given, `${CHECK}, or an object with one as \`check\``)
  refuseUnknown(`${option}.`, options, CHECK_OPTIONS)
  const { check, timeout = defaultTimeout, critical = true, maxAge, interval, retryInterval, failureThreshold, successThreshold } = options
  if (!isCheck(check)) refuse(`${option}.check`, CHECK, check)
  if (isGeneratorFunction(check)) refuse(isCheck(given) ? option : `${option}.check`, NO_GENERATOR, check)
  if (maxAge !== undefined && interval !== undefined) refuse(`${option}.maxAge`, 'omitted with `interval`', maxAge)
  if (retryInterval !== undefined && interval === undefined) {
    refuse(`${option}.retryInterval`, 'omitted without `interval`', retryInterval)
  }
  return {
    probe,
    name,
    option,
    check,
    timeout: expectMs(`${option}.timeout`, timeout, 1),
    critical: expectBoolean(`${option}.critical`, critical),
    maxAge: maxAge === undefined ? 0 : expectMs(`${option}.maxAge`, maxAge, 0),
    interval: interval === undefined ? undefined : expectMs(`${option}.interval`, interval, 1),
    retryInterval: retryInterval === undefined ? undefined : expectMs(`${option}.retryInterval`, retryInterval, 1),
    failureThreshold: failureThreshold === undefined ? undefined : expectCount(`${option}.failureThreshold`, failureThreshold),
    successThreshold: successThreshold === undefined ? undefined : expectCount(`${option}.successThreshold`, successThreshold)
  }
}

function isCheck (value: unknown): value is Check | string {
  return typeof value === 'function' || (typeof value === 'string' && value !== '')
}
