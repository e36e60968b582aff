// A worker that consumes jobs from RabbitMQ. It serves no requests, and its probes are on a separate port. Run it with
//
//   npm run build && AMQP_URL=amqp://localhost node dist/examples/worker.js
//
// send it a job of 10 s, and probe it (`amqp-publish` is in the package `amqp-tools`):
//
//   amqp-publish --url amqp://localhost --routing-key jobs --body '{"ms":10000}'
//   curl -i localhost:9090/healthz/live
//   curl -i localhost:9090/healthz/ready
//
// Stop it with `kill` and the `pid` in its log lines: it takes no further job, finishes the one in flight, acknowledges it
// and exits with code 0 immediately. A job that takes longer than `MAX_JOB_MS` fails the liveness probe, so that the kubelet
// restarts the container. Its id is in the last line of the log.
import { setTimeout } from 'node:timers/promises'
import { type Channel, type ChannelModel, connect, type ConsumeMessage } from 'amqplib'
import Fastify from 'fastify'
import healthz from 'fastify-healthz'
import { amqp, heartbeat } from 'fastify-healthz/checks'

const { AMQP_URL = 'amqp://localhost', QUEUE = 'jobs', PORT = '9090', MAX_JOB_MS = '30000' } = process.env

const app = Fastify({ logger: true })
const worker = heartbeat({ max: Number(MAX_JOB_MS) })

app.register(healthz, {
  live: { worker },
  listen: { port: Number(PORT), serving: 'onReady' },
  shutdown: { timeout: Number(MAX_JOB_MS) },
  noLog: true
})

app.register(async app => {
  const { drainSignal } = app.healthz
  let channel: Channel | undefined
  let cancel = () => {}
  drainSignal.addEventListener('abort', () => cancel())
  // Idle, a timer beats. While a job runs it doesn't, so that a job that hangs fails `live`.
  setInterval(() => { if (app.healthz.holds.length === 0) worker.beat() }, 1000).unref()

  // The worker boots while RabbitMQ is down, and consumes as soon as it connects. It reconnects after an outage.
  const connection = await connect(AMQP_URL, { recovery: { setup: consume, waitForConnect: false } })
  const failed = (err: Error) => app.log.warn({ err }, 'not connected to RabbitMQ')
  // Each `error` is followed by one of the other two events.
  connection.on('error', () => {}).on('disconnect', failed).on('connect-failed', failed)
  app.healthz.add('ready', 'queue', amqp(connection))
  // Runs once no job is in flight. Closing only the connection could lose the last `ack`.
  app.addHook('onClose', async () => {
    await channel?.close().catch(() => {})
    await connection.close()
  })

  async function consume (connection: ChannelModel) {
    const current = channel = await connection.createChannel()
    current.on('error', err => app.log.warn({ err }, 'channel failed'))
    // Reconnects with a new channel.
    const restart = () => { if (!drainSignal.aborted) connection.close().catch(() => {}) }
    current.on('close', restart)
    await current.assertQueue(QUEUE)
    // One job at a time. Others stay in the queue for other workers.
    await current.prefetch(1)
    const { consumerTag } = await current.consume(QUEUE, async message => {
      // RabbitMQ has canceled the consumer, for example because the queue was deleted.
      if (message === null) return restart()
      // Delivered while the drain started. Another worker takes it.
      if (drainSignal.aborted) return current.nack(message)
      const job = message.properties.messageId ?? message.fields.deliveryTag
      const release = app.healthz.hold(`job ${job}`)
      worker.beat()
      try {
        if (await run(job, message)) current.ack(message)
        // A failed job is retried once. After that it is dropped, or moved to the dead letter exchange of the queue.
        else current.nack(message, false, !message.fields.redelivered)
      } catch (err) {
        app.log.warn({ err, job }, 'job not acknowledged, RabbitMQ delivers it again')
      } finally {
        release()
      }
    })
    cancel = () => { current.cancel(consumerTag).catch(() => {}) }
    if (drainSignal.aborted) cancel()
    else app.log.info('waiting for jobs')
  }
})

/** Runs the job. Resolves with `false` if it failed. */
async function run (job: unknown, { content, fields: { redelivered } }: ConsumeMessage): Promise<boolean> {
  try {
    app.log.info({ job, redelivered }, 'job started')
    await setTimeout(JSON.parse(content.toString()).ms)
    app.log.info({ job, redelivered }, 'job done')
    return true
  } catch (err) {
    app.log.error({ err, job }, 'job failed')
    return false
  }
}

app.ready(error => {
  if (error) throw error
})
