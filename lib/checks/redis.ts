import type { Check } from '../../types/check.js'
import { HealthError } from '../errors.js'
import { reach, type Source } from './client.js'
import { failure } from './failure.js'

/** A client of `ioredis` or of `redis`, of a cluster or of sentinels too. */
export interface RedisClient {
  ping (): Promise<unknown>
  /** That of ioredis. */
  readonly status?: string
  /** That of node-redis. */
  readonly isReady?: boolean
}

/** What Redis answers instead of `PONG`, by the first word of it. */
const WORDS: Readonly<Record<string, string>> = {
  BUSY: 'busy with a script',
  LOADING: 'still loading its data',
  MASTERDOWN: 'cut off from its master',
  MISCONF: 'cannot save its data',
  NOAUTH: 'not authenticated',
  NOPERM: 'not permitted',
  WRONGPASS: 'wrong password'
}

/**
 * Sends `PING`. Without a connection it fails at once, instead of waiting in the client's queue. A `PING` that was sent
 * can't be taken back: it ends with its answer or with the connection.
 * @throws HEALTHZ_ERR_OPTION_INVALID
 */
export function redis (source: Source<RedisClient>): Check {
  const clientOf = reach('redis', source, ['ping'])
  return async context => {
    const client = clientOf(context)
    if (!canSend(client)) throw new HealthError('not connected')
    context.awaiting = 'answer'
    try {
      await client.ping()
    } catch (cause) {
      const [word = ''] = /^[A-Z]+(?= )/.exec((cause as Error).message) ?? []
      if (Object.hasOwn(WORDS, word)) throw new HealthError(WORDS[word], { cause })
      throw canSend(client) ? failure(cause) : new HealthError('connection lost', { cause })
    }
  }
}

/** `wait` is an ioredis that connects with its first command. A client that tells nothing is asked. */
function canSend ({ isReady, status }: RedisClient): boolean {
  return isReady ?? (status === undefined || status === 'ready' || status === 'wait')
}
