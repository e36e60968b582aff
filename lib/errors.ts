import { inspect } from 'node:util'
import createError, { type FastifyError, type FastifyErrorConstructor } from '@fastify/error'
import type { HealthzErrorCode } from '../types/errors.js'

const MESSAGES: Readonly<Record<HealthzErrorCode, string>> = {
  HEALTHZ_ERR_ALREADY_REGISTERED: 'fastify-healthz is registered already in this scope or in one around it: register it once',
  HEALTHZ_ERR_CHECK_EXISTS: 'The probe `%s` has a check `%s` already',
  HEALTHZ_ERR_CHECK_EXPORT: 'Expected `%s` to name a function, but `%s` is %s',
  HEALTHZ_ERR_CHECK_LOAD: 'Could not load `%s`, which `%s` names: %s',
  HEALTHZ_ERR_CHECK_LOAD_TIMEOUT: 'Could not load `%s`, which `%s` names, within %s ms',
  HEALTHZ_ERR_LISTEN: 'Could not listen on port %s for the probes: %s',
  HEALTHZ_ERR_METRIC_EXISTS: 'The registry has a metric `%s` already: give each app a registry of its own',
  HEALTHZ_ERR_OPTION_INVALID: 'Expected `%s` to be %s, got %s',
  HEALTHZ_ERR_OPTION_UNKNOWN: 'Unknown option `%s`: expected one of %s',
  HEALTHZ_ERR_PROBE_OFF: 'The probe `%s` is switched off',
  HEALTHZ_ERR_PROBE_UNKNOWN: 'There is no probe `%s`: expected one of %s',
  HEALTHZ_ERR_STARTUP_PASSED: 'The startup probe has passed: a check `%s` would never run'
}

/** Every error of the plugin by its code. */
export const ERRORS = Object.fromEntries(
  Object.entries(MESSAGES).map(([code, message]) => [code, createError(code, message)])
) as Readonly<Record<HealthzErrorCode, FastifyErrorConstructor<{ code: string }, unknown[]>>>

/** Makes the error of that code. The arguments fill its message; a last one of the shape `{ cause }` becomes its cause. */
export function healthzError (code: HealthzErrorCode, ...args: unknown[]): FastifyError {
  return new ERRORS[code](...args)
}

const SHOWN = { depth: 1, breakLength: Infinity, customInspect: false, maxStringLength: 80, maxArrayLength: 8 }

/** A value as it reads best in an error: `` `-5` (number) ``. One that throws when it is looked at is shown by its type. */
export function show (value: unknown, maxLength = 120): string {
  try {
    const text = inspect(value, SHOWN)
    const type = value === null ? 'null' : Array.isArray(value) ? 'array' : typeof value
    if (text === type) return `\`${text}\``
    return `\`${text.length > maxLength ? text.slice(0, maxLength - 1) + '…' : text}\` (${type})`
  } catch {
    return `\`${typeof value}\``
  }
}

/** What an error says; of anything else that was thrown, what it is. */
export function messageOf (thrown: unknown): string {
  try {
    if (thrown instanceof Error) return String(thrown.message)
  } catch {
    // It throws when it is looked at, e.g. a revoked Proxy: shown below.
  }
  return show(thrown)
}

const BRAND = Symbol.for('fastify-healthz.HealthError')

/**
 * What a check throws to say that the service is not healthy: the probe answers 503 and shows the message to anybody
 * who asks, so put no secret into it. The `cause` goes to the log only.
 *
 * `instanceof HealthError` also holds for an error made by another copy of this package.
 */
export class HealthError extends Error {
  static {
    Object.defineProperty(this.prototype, 'name', { value: 'HealthError', writable: true, configurable: true })
    Object.defineProperty(this.prototype, BRAND, { value: true })
  }

  static override [Symbol.hasInstance] (value: unknown): boolean {
    if (this !== HealthError) return Function.prototype[Symbol.hasInstance].call(this, value)
    return typeof value === 'object' && value !== null && BRAND in value
  }
}
