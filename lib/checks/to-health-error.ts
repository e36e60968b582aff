import { HealthError } from '../errors.js'

/** Public titles by error code of Node.js sockets. Those of a driver are in its check. */
const TITLES: Readonly<Record<string, string>> = {
  EAI_AGAIN: 'host not found',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection lost',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'host unreachable',
  ENOENT: 'connection refused', // a Unix socket that doesn't exist
  ENOTFOUND: 'host not found',
  EPIPE: 'connection lost',
  ETIMEDOUT: 'connection timed out'
}

/**
 * Converts an error of a driver. The title is never the driver's message, which may hold a host, a user or a query and is
 * only logged, as the `cause`.
 * @param titles by `code` of the driver, or else by `errno`, or else by message
 */
export function toHealthError (cause: unknown, titles: Readonly<Record<string, string>> = {}): HealthError {
  if (cause instanceof HealthError) return cause
  const { code, errno, message } = Object(cause) as { code?: unknown, errno?: unknown, message?: unknown }
  const known = String(code ?? errno ?? message)
  const all = { ...TITLES, ...titles }
  return new HealthError(Object.hasOwn(all, known) ? all[known] : 'failed', { cause })
}
