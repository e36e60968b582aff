import { EventEmitter, once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type { Test } from 'tap'
import { follow, PRELUDE, spawnNode } from './service.js'

export interface ReceivedSpan {
  readonly name: string
  /** The name of the instrumentation library. */
  readonly scope: string
  readonly id: string
  readonly parent: string | undefined
  readonly attributes: Record<string, unknown>
  readonly status: { readonly code?: number, readonly message?: string }
}

type Attribute = { key: string, value: Record<string, unknown> }
const attributesOf = (attributes: readonly Attribute[] = []) =>
  Object.fromEntries(attributes.map(({ key, value }) => [key, Object.values(value)[0]]))

/** Receives OTLP as JSON over HTTP, like a collector. Responds to GET requests with 200. */
async function startReceiver (t: Test) {
  const spans: ReceivedSpan[] = []
  /** The latest values of `healthz.*` by name and attributes. */
  const metrics: Record<string, number> = {}
  const received = new EventEmitter()
  const server = createServer((request, response) => {
    if (request.method === 'GET') return response.end()
    text(request).then(body => {
      const { resourceSpans = [], resourceMetrics = [] } = JSON.parse(body)
      for (const { scope, spans: each } of resourceSpans.flatMap((resource: any) => resource.scopeSpans)) {
        for (const { name, spanId, parentSpanId, attributes, status } of each) {
          spans.push({ name, scope: scope.name, id: spanId, parent: parentSpanId || undefined, attributes: attributesOf(attributes), status })
        }
      }
      for (const metric of resourceMetrics.flatMap((resource: any) => resource.scopeMetrics).flatMap((scope: any) => scope.metrics)) {
        for (const point of (metric.sum ?? metric.gauge ?? metric.histogram).dataPoints) {
          const name = [metric.name, ...Object.values(attributesOf(point.attributes))].join(' ')
          if (name.startsWith('healthz.')) metrics[name] = Number(point.count ?? point.asInt ?? point.asDouble)
        }
      }
      response.setHeader('content-type', 'application/json').end('{}')
      received.emit('export')
    }).catch(t.threw)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  t.teardown(() => { server.close() })
  /** Resolves once the condition holds. */
  const until = async (condition: () => boolean) => { while (!condition()) await once(received, 'export') }
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, spans, metrics, until }
}

/**
 * Starts a separate process with the plugin from `dist/`, the OpenTelemetry SDK and instrumentations. It exports to a
 * receiver in this process.
 * @param program registers the plugin, with `shutdown`, and the routes of `app`, which then listens
 * @param ignore whether the http instrumentation ignores probes
 */
export async function startTraced (t: Test, program: string, ignore = true) {
  const receiver = await startReceiver(t)
  const service = follow(t, spawnNode(['--eval', `
    const { NodeSDK } = require('@opentelemetry/sdk-node')
    const { HttpInstrumentation } = require('@opentelemetry/instrumentation-http')
    const { IORedisInstrumentation } = require('@opentelemetry/instrumentation-ioredis')
    const { PgInstrumentation } = require('@opentelemetry/instrumentation-pg')
    const { FastifyOtelInstrumentation } = require('@fastify/otel')
    const opentelemetry = require('./dist/lib/telemetry/opentelemetry.js')

    const sdk = new NodeSDK({
      instrumentations: [
        new HttpInstrumentation(${ignore ? '{ ignoreIncomingRequestHook: opentelemetry.isProbe }' : ''}),
        new IORedisInstrumentation({ requireParentSpan: false }),
        new PgInstrumentation(),
        // Version 0.21 doesn't support Fastify 6.
        ...require('fastify/package.json').version.startsWith('5.') ? [new FastifyOtelInstrumentation({ registerOnInitialization: true })] : []
      ]
    })
    sdk.start()
    ${PRELUDE}
    ;(async () => {
      const receiver = '${receiver.url}'
      const app = Fastify({ logger: { stream } })
      app.addHook('onClose', () => sdk.shutdown())
      ${program}
      await app.listen({ port: 0, host: '127.0.0.1' })
      say('up', { app: app.server.address().port, probes: app.healthz.address?.port })
    })()
  `], {
    OTEL_EXPORTER_OTLP_PROTOCOL: 'http/json',
    OTEL_EXPORTER_OTLP_ENDPOINT: receiver.url,
    OTEL_METRICS_EXPORTER: 'otlp',
    OTEL_METRIC_EXPORT_INTERVAL: '200',
    OTEL_METRIC_EXPORT_TIMEOUT: '200',
    OTEL_LOGS_EXPORTER: 'none',
    OTEL_NODE_RESOURCE_DETECTORS: 'none'
  }))
  const { app, probes = app } = await service.line('up')
  const get = async (path: string, port: number = app) => {
    const response = await fetch(`http://127.0.0.1:${port}${path}`)
    await response.text()
    return response.status
  }
  return {
    ...receiver,
    get,
    /** Requests a path on the port of the probes. */
    probe: (path: string) => get(path, probes),
    /** Stops the process. Resolves when all spans have been received. */
    async stop () {
      service.kill('SIGTERM')
      const { code, stderr } = await service.exit
      t.strictSame([code, stderr], [0, ''])
      return receiver.spans
    }
  }
}
