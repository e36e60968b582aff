import type { Check } from '../../types/check.js'
import { HealthError } from '../errors.js'
import { resolveClient, type Source } from './resolve-client.js'
import { toHealthError } from './to-health-error.js'

/** A client of `ioredis` or `redis`, also for a cluster or sentinels. */
export interface RedisClient {
  ping (): Promise<unknown>
  /** Status of ioredis. */
  readonly status?: string
  /** Status of node-redis. */
  readonly isReady?: boolean
}

/** Titles by the error prefix of Redis. */
const TITLES: Readonly<Record<string, string>> = {
  BUSY: 'busy with a script',
  LOADING: 'still loading its data',
  MASTERDOWN: 'disconnected from its master',
  MISCONF: 'cannot save its data',
  NOAUTH: 'not authenticated',
  NOPERM: 'not permitted',
  WRONGPASS: 'wrong password'
}

/**
 * Sends `PING`. Without a connection it fails immediately instead of waiting in the client's queue. A `PING` can't be
 * cancelled: it ends with its response or with the connection.
 * @throws HEALTHZ_ERR_OPTION_INVALID
 */
export function redis (source: Source<RedisClient>): Check {
  const clientOf = resolveClient('redis', source, ['ping'])
  return async context => {
    const client = clientOf(context)
    if (!canSend(client)) throw new HealthError('not connected')
    context.awaiting = 'answer'
    try {
      await client.ping()
    } catch (cause) {
      const [word = ''] = /^[A-Z]+(?= )/.exec((cause as Error).message) ?? []
      if (Object.hasOwn(TITLES, word)) throw new HealthError(TITLES[word], { cause })
      throw canSend(client) ? toHealthError(cause) : new HealthError('connection lost', { cause })
    }
  }
}

/** An ioredis with the status `wait` connects with its first command. Clients without a status are always called. */
function canSend ({ isReady, status }: RedisClient): boolean {
  return isReady ?? (status === undefined || status === 'ready' || status === 'wait')
}
