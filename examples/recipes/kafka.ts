// A check of a Kafka cluster with KafkaJS, on a separate admin client.
//
//   const brokers = kafkaCheck({ brokers: ['kafka:9092'] })
//   app.healthz.add('ready', 'events', brokers.check)
//   app.addHook('onClose', brokers.close)
import { type Check, HealthError } from 'fastify-healthz'
import { Kafka, type KafkaConfig, logLevel } from 'kafkajs'

export function kafkaCheck (config: KafkaConfig): { check: Check, close: () => Promise<void> } {
  // KafkaJS doesn't support AbortSignal. Without retries each step ends after `connectionTimeout` or `requestTimeout`. Its
  // logger is off, since it would write two lines for each failure, which the plugin logs once.
  const admin = new Kafka({ logLevel: logLevel.NOTHING, ...config, retry: { retries: 0 } }).admin()
  return {
    async check (context) {
      try {
        context.awaiting = 'connection'
        // A no-op while connected.
        await admin.connect()
        context.awaiting = 'answer'
        await admin.describeCluster()
      } catch (cause) {
        throw new HealthError('no answer', { cause })
      }
    },
    close: () => admin.disconnect()
  }
}
