// `fastify-healthz/opentelemetry`, with the types of the packages that it is handed to.
import { FastifyOtelInstrumentation } from '@fastify/otel'
import { HttpInstrumentation } from '@opentelemetry/instrumentation-http'
import Fastify from 'fastify'
import { expect, test } from 'tstyche'
import opentelemetry, { isProbe, type OpenTelemetryOptions } from '../lib/telemetry/opentelemetry.js'

const app = Fastify()

test('options', () => {
  expect(app.register).type.toBeCallableWith(opentelemetry)
  expect(app.register).type.toBeCallableWith(opentelemetry, { traces: true })
  expect<OpenTelemetryOptions['traces']>().type.toBe<boolean | undefined>()
  expect({ traces: 'all' }).type.not.toBeAssignableTo<OpenTelemetryOptions>()
  expect(app.register).type.not.toBeCallableWith(opentelemetry, { trace: true })
})

test('`isProbe` is a hook of the http instrumentation', () => {
  expect(HttpInstrumentation).type.toBeConstructableWith({ ignoreIncomingRequestHook: isProbe })
  expect(opentelemetry.isProbe).type.toBe<typeof isProbe>()
})

test('`ignorePaths` of @fastify/otel may be a function', () => {
  expect(FastifyOtelInstrumentation).type.toBeConstructableWith({ ignorePaths: ({ url }: { url: string }) => url.startsWith('/healthz/') })
})
