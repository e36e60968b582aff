import type { Check } from '../../types/check.js'
import { HealthError } from '../errors.js'
import { resolveClient, type Source } from './resolve-client.js'

/** A client of `mqtt` (MQTT.js). */
export interface MqttClient {
  readonly connected: boolean
  sendPing (): void
  on (event: 'packetreceive', listener: (packet: { readonly cmd?: string }) => void): unknown
  on (event: 'close', listener: () => void): unknown
  removeListener (event: 'packetreceive', listener: (packet: { readonly cmd?: string }) => void): unknown
  removeListener (event: 'close', listener: () => void): unknown
}

/**
 * Sends `PINGREQ` and waits for a `PINGRESP`, like the client's keepalive. It touches no topic and no subscription, fails
 * immediately without a connection, and leaves nothing behind at its timeout.
 * @throws HEALTHZ_ERR_OPTION_INVALID
 */
export function mqtt (source: Source<MqttClient>): Check {
  const clientOf = resolveClient('mqtt', source, ['sendPing', 'on', 'removeListener'])
  return async context => {
    const client = clientOf(context)
    if (!client.connected) throw new HealthError('not connected')
    const { signal } = context
    context.awaiting = 'answer'
    client.sendPing()
    await new Promise<void>((resolve, reject) => {
      const settle = (error?: HealthError): void => {
        client.removeListener('packetreceive', received)
        client.removeListener('close', closed)
        signal.removeEventListener('abort', aborted)
        if (error === undefined) resolve()
        else reject(error)
      }
      const received = ({ cmd }: { readonly cmd?: string }): void => { if (cmd === 'pingresp') settle() }
      const closed = (): void => settle(new HealthError('connection lost'))
      const aborted = (): void => settle(new HealthError('no answer'))
      client.on('packetreceive', received)
      client.on('close', closed)
      signal.addEventListener('abort', aborted)
    })
  }
}
