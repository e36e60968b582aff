import type { Check } from '../../types/check.js'
import { HealthError } from '../errors.js'
import { resolveClient, type Source } from './resolve-client.js'
import { toHealthError } from './to-health-error.js'

/** A connection of `amqplib`'s promise API. */
export interface AmqpConnection {
  createChannel (): Promise<AmqpChannel>
  readonly connection?: object
}

export interface AmqpChannel {
  close (): Promise<unknown>
  once (event: 'close', listener: () => void): unknown
}

/** Titles by the start of the message, since amqplib's errors have no codes. */
const TITLES = [
  ['Channel closed', 'connection lost'],
  ['Channel ended', 'connection lost'],
  ['Connection clos', 'connection closed'],
  ['Handshake terminated by server: 403', 'access refused'],
  ['No channels left', 'no free channel']
] as const

/**
 * Opens a channel and closes it. A pending request to open one can't be cancelled: it ends with its response, after which
 * the channel is closed, or with the connection.
 * @throws HEALTHZ_ERR_OPTION_INVALID
 */
export function amqp (source: Source<AmqpConnection>): Check {
  const connectionOf = resolveClient('amqp', source, ['createChannel'])
  return async context => {
    const connection = connectionOf(context)
    if (isClosed(connection)) throw new HealthError('connection closed')
    context.awaiting = 'channel'
    try {
      const channel = await connection.createChannel()
      context.awaiting = 'answer'
      await close(channel)
    } catch (cause) {
      const [, title] = TITLES.find(([start]) => (cause as Error).message.startsWith(start)) ?? []
      throw title === undefined ? toHealthError(cause) : new HealthError(title, { cause })
    }
  }
}

/**
 * Whether the connection is closed permanently. amqplib has no public flag for this. The error of a failed attempt would show
 * it, but each attempt keeps a channel number: after 2,047 the title would be `no free channel`.
 */
function isClosed ({ connection }: AmqpConnection): boolean {
  return (connection as { expectSocketClose?: unknown } | undefined)?.expectSocketClose === true
}

/** Always settles, unlike `channel.close()`, whose promise stays pending if the connection is lost before its response. */
function close (channel: AmqpChannel): Promise<void> {
  return new Promise((resolve, reject) => {
    channel.once('close', resolve)
    channel.close().catch(reject)
  })
}
