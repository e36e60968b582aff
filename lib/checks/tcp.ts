import { once } from 'node:events'
import { connect } from 'node:net'
import type { Check } from '../../types/check.js'
import { refuse } from '../validate.js'
import { toHealthError } from './to-health-error.js'
import { readOptions } from './options.js'

export interface TcpOptions {
  /** A host name or an address. */
  host: string
  /** 1 to 65535. */
  port: number
}

/**
 * Checks that the port accepts connections: connects, then closes the connection without sending anything.
 * @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
export function tcp (options: TcpOptions): Check {
  const { host, port } = readOptions('tcp', options, ['host', 'port'])
  if (typeof host !== 'string' || host === '') refuse('tcp().host', 'a host name or an address', host)
  if (!isPort(port)) refuse('tcp().port', 'an integer from 1 to 65535', port)
  return async context => {
    context.awaiting = 'connection'
    const socket = connect({ host, port, signal: context.signal })
    try {
      await once(socket, 'connect')
    } catch (cause) {
      throw toHealthError(cause)
    } finally {
      socket.destroy()
    }
  }
}

function isPort (port: unknown): port is number {
  return Number.isInteger(port) && (port as number) >= 1 && (port as number) <= 65535
}
