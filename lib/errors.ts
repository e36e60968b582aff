import { inspect } from 'node:util'
import createError, { type FastifyError, type FastifyErrorConstructor } from '@fastify/error'
import type { HealthzErrorCode } from '../types/errors.js'

const MESSAGES: Readonly<Record<HealthzErrorCode, string>> = {
  HEALTHZ_ERR_ALREADY_REGISTERED: '%s is already registered in this or a parent scope: register it once',
  HEALTHZ_ERR_CHECK_EXISTS: 'The probe `%s` already has a check `%s`',
  HEALTHZ_ERR_CHECK_EXPORT: 'Expected `%s` to reference a function, but `%s` is %s',
  HEALTHZ_ERR_CHECK_LOAD: 'Could not load `%s` (option `%s`): %s',
  HEALTHZ_ERR_CHECK_LOAD_TIMEOUT: 'Could not load `%s` (option `%s`) within %s ms',
  HEALTHZ_ERR_LISTEN: 'Could not listen on port %s for the probes: %s',
  HEALTHZ_ERR_METRIC_EXISTS: 'The registry already has a metric `%s`: give each app its own registry',
  HEALTHZ_ERR_METRICS_CLIENT_AMBIGUOUS: '`@prometheus-io/client` and `prom-client` are installed: pass the scraped registry as `register`',
  HEALTHZ_ERR_METRICS_CLIENT_MISSING: 'Install the client that serves your metrics: `@prometheus-io/client` or `prom-client`',
  HEALTHZ_ERR_OPTION_INVALID: 'Expected `%s` to be %s, got %s',
  HEALTHZ_ERR_OPTION_UNKNOWN: 'Unknown option `%s`: expected one of %s',
  HEALTHZ_ERR_PROBE_OFF: 'The probe `%s` is disabled',
  HEALTHZ_ERR_PROBE_UNKNOWN: 'Unknown probe `%s`: expected one of %s',
  HEALTHZ_ERR_STARTUP_PASSED: 'The startup probe has already passed: the check `%s` would never run'
}

/** The error classes of the plugin by code. */
export const ERRORS = Object.fromEntries(
  Object.entries(MESSAGES).map(([code, message]) => [code, createError(code, message)])
) as Readonly<Record<HealthzErrorCode, FastifyErrorConstructor<{ code: string }, unknown[]>>>

/** Creates the error with that code. The arguments fill in its message; a final `{ cause }` sets its cause. */
export function healthzError (code: HealthzErrorCode, ...args: unknown[]): FastifyError {
  return new ERRORS[code](...args)
}

const SHOWN = { depth: 1, breakLength: Infinity, customInspect: false, maxStringLength: 80, maxArrayLength: 8 }

/** Formats a value for an error message: `` `-5` (number) ``. A value that can't be inspected is shown by its type. */
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

/** Returns the message of an error, or else formats the thrown value. Never throws. */
export function messageOf (thrown: unknown): string {
  try {
    if (thrown instanceof Error) return String(thrown.message)
  } catch {
    // It can't be inspected, such as a revoked Proxy.
  }
  return show(thrown)
}

const BRAND = Symbol.for('fastify-healthz.HealthError')

/**
 * The error for a check to throw when the service isn't healthy. The probe responds with 503 and the message, which any
 * client can read, so it must not hold a secret. The `cause` is only logged.
 *
 * `instanceof HealthError` also holds for errors created by another copy of this package.
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
