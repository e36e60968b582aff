import { context, createContextKey, metrics, ROOT_CONTEXT, SpanStatusCode, trace, type Tracer } from '@opentelemetry/api'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Healthz } from '../../types/healthz.js'
import { healthzError } from '../errors.js'
import { CHECK_NAME, CHECK_STATE, exportMetrics, PROBE_NAME } from './opentelemetry-metrics.js'
import { isProbe } from './probe-requests.js'
import { RUN_WRAPPER, type RunWrapper } from './run-wrapper.js'
import { expectBoolean, refuseUnknown } from '../validate.js'

/** The name of the meter and of the tracer. */
const SCOPE = 'fastify-healthz'

/**
 * Exports metrics of the probes and checks of the `fastify-healthz` registered before it to OpenTelemetry, and keeps their
 * queries out of the traces, or traces each run of a check. A collection reads the last results and runs no check. Start
 * the SDK first, since the meter is created on registration. Without an SDK nothing is exported.
 * @throws HEALTHZ_ERR_ALREADY_REGISTERED, HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
async function opentelemetry (fastify: FastifyInstance, options: opentelemetry.OpenTelemetryOptions): Promise<void> {
  refuseUnknown('', options, ['traces'])
  const { traces = false } = options
  expectBoolean('traces', traces)
  const healthz: Healthz & { [RUN_WRAPPER]?: RunWrapper } = fastify.healthz
  if (healthz[RUN_WRAPPER] !== undefined) throw healthzError('HEALTHZ_ERR_ALREADY_REGISTERED', 'fastify-healthz/opentelemetry')
  healthz[RUN_WRAPPER] = traces ? traced(trace.getTracer(SCOPE)) : suppressed
  const end = exportMetrics(metrics.getMeter(SCOPE), healthz)
  fastify.addHook('onClose', async () => end())
}

/** As `suppressTracing` of `@opentelemetry/core` does, which is part of the SDK. */
const SUPPRESSED = ROOT_CONTEXT.setValue(createContextKey('OpenTelemetry SDK Context Key SUPPRESS_TRACING'), true)

const suppressed: RunWrapper = call => context.with(SUPPRESSED, call)

/** Each run is a separate trace: several callers may share it, and their own traces may not be sampled. */
function traced (tracer: Tracer): RunWrapper {
  return (call, probe, check, finished) => {
    const attributes = { [PROBE_NAME]: probe, [CHECK_NAME]: check }
    const span = tracer.startSpan(`check ${probe}/${check}`, { attributes }, ROOT_CONTEXT)
    if (span.isRecording()) {
      finished().then(({ outcome, title }) => {
        span.setAttribute(CHECK_STATE, outcome)
        // Not the error, which may hold secrets.
        if (title !== undefined) span.setStatus({ code: SpanStatusCode.ERROR, message: title })
        span.end()
      })
    }
    return context.with(trace.setSpan(ROOT_CONTEXT, span), call)
  }
}

declare namespace opentelemetry {
  export interface OpenTelemetryOptions {
    /**
     * Trace each run of a check as one span, with its queries as child spans. Default: `false`, runs are not traced.
     */
    traces?: boolean | undefined
  }
  export { opentelemetry, opentelemetry as default, isProbe }
}

fp(opentelemetry, { fastify: '5.x || 6.x', name: 'fastify-healthz-opentelemetry', dependencies: ['fastify-healthz'] })

// As in `index.ts`.
module.exports = opentelemetry
module.exports.default = opentelemetry
module.exports.opentelemetry = opentelemetry
module.exports.isProbe = isProbe

export = opentelemetry
