import { HealthError } from '../errors.js'

/** What the public is told of an error, by its code. The codes of Node's sockets; a driver's own come with its check. */
const WORDS: Readonly<Record<string, string>> = {
  EAI_AGAIN: 'host not found',
  ECONNREFUSED: 'connection refused',
  ECONNRESET: 'connection lost',
  EHOSTUNREACH: 'host unreachable',
  ENETUNREACH: 'host unreachable',
  ENOENT: 'connection refused', // a unix socket that is not there
  ENOTFOUND: 'host not found',
  EPIPE: 'connection lost',
  ETIMEDOUT: 'no connection'
}

/**
 * What a driver threw → what a check throws. The title is one of our own words, never the driver's message: that may
 * hold a host, a user or a query, and goes to the log as the `cause`.
 * @param words for the driver's own codes; by `errno`, or else by the message, for its errors that have none
 */
export function failure (cause: unknown, words: Readonly<Record<string, string>> = {}): HealthError {
  if (cause instanceof HealthError) return cause
  const { code, errno, message } = Object(cause) as { code?: unknown, errno?: unknown, message?: unknown }
  const known = String(code ?? errno ?? message)
  const title = Object.hasOwn(words, known) ? words[known] : Object.hasOwn(WORDS, known) ? WORDS[known] : 'failed'
  return new HealthError(title, { cause })
}
