import type { Check } from '../../types/check.js'
import { HealthError } from '../errors.js'
import { reach, type Source } from './client.js'
import { failure } from './failure.js'

/** A connection of `amqplib`'s promise API. */
export interface AmqpConnection {
  createChannel (): Promise<AmqpChannel>
  readonly connection?: object
}

export interface AmqpChannel {
  close (): Promise<unknown>
  once (event: 'close', listener: () => void): unknown
}

/** amqplib's own errors have no codes: the words by how their messages begin. */
const WORDS = [
  ['Channel closed', 'connection lost'],
  ['Channel ended', 'connection lost'],
  ['Connection clos', 'connection closed'],
  ['Handshake terminated by server: 403', 'access refused'],
  ['No channels left', 'no free channel']
] as const

/**
 * Opens a channel and closes it again. An opening that was sent can't be taken back: it ends with its answer, on which
 * the channel is closed, or with the connection.
 * @throws HEALTHZ_ERR_OPTION_INVALID
 */
export function amqp (source: Source<AmqpConnection>): Check {
  const connectionOf = reach('amqp', source, ['createChannel'])
  return async context => {
    const connection = connectionOf(context)
    // It never opens again, and every channel asked of it would stay with it.
    if (isClosed(connection)) throw new HealthError('connection closed')
    context.awaiting = 'channel'
    try {
      const channel = await connection.createChannel()
      context.awaiting = 'answer'
      await close(channel)
    } catch (cause) {
      const [, title] = WORDS.find(([start]) => (cause as Error).message.startsWith(start)) ?? []
      throw title === undefined ? failure(cause) : new HealthError(title, { cause })
    }
  }
}

/** amqplib has no public flag for it; without this one its error tells. */
function isClosed ({ connection }: AmqpConnection): boolean {
  return (connection as { expectSocketClose?: unknown } | undefined)?.expectSocketClose === true
}

/** Settles in any case: the promise of `channel.close()` never does when the connection is lost before its answer. */
function close (channel: AmqpChannel): Promise<void> {
  return new Promise((resolve, reject) => {
    channel.once('close', resolve)
    channel.close().catch(reject)
  })
}
