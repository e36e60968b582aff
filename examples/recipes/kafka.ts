// A check of a Kafka cluster that is asked through KafkaJS, by an admin client of its own.
//
//   const brokers = kafkaCheck({ brokers: ['kafka:9092'] })
//   app.healthz.add('ready', 'events', brokers.check)
//   app.addHook('onClose', brokers.close)
import { type Check, HealthError } from 'fastify-healthz'
import { Kafka, type KafkaConfig, logLevel } from 'kafkajs'

export function kafkaCheck (config: KafkaConfig): { check: Check, close: () => Promise<void> } {
  // KafkaJS takes no signal. Without retries each step ends by itself after `connectionTimeout` or `requestTimeout`.
  // It would write two lines of its own for each failure, which the check tells of once.
  const admin = new Kafka({ logLevel: logLevel.NOTHING, ...config, retry: { retries: 0 } }).admin()
  return {
    async check (context) {
      try {
        context.awaiting = 'connection'
        // It does nothing while there is one.
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
