import type { Check } from '../../types/check.js'
import { HealthError } from '../errors.js'
import { resolveClient, type Source } from './resolve-client.js'

/** A connection of `@nats-io/transport-node`, `@nats-io/nats-core` or `nats`. */
export interface NatsConnection {
  rtt (): Promise<number>
  isClosed (): boolean
}

/**
 * Sends `PING` and waits for its `PONG`. While the client reconnects, it fails immediately. A pending `PING` can't be
 * cancelled: it ends with its response or with the connection.
 * @throws HEALTHZ_ERR_OPTION_INVALID
 */
export function nats (source: Source<NatsConnection>): Check {
  const connectionOf = resolveClient('nats', source, ['rtt', 'isClosed'])
  return async context => {
    const connection = connectionOf(context)
    context.awaiting = 'answer'
    try {
      await connection.rtt()
    } catch (cause) {
      throw new HealthError(connection.isClosed() ? 'connection closed' : 'not connected', { cause })
    }
  }
}
