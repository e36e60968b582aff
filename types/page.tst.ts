// `fastify-healthz/page` and `fastify-healthz/prometheus`.
import Fastify from 'fastify'
import { Registry } from 'prom-client'
import { expect, test } from 'tstyche'
import statusPage, { type PageOptions } from '../lib/page/index.js'
import prometheus, { type PrometheusOptions } from '../lib/telemetry/prometheus.js'

const app = Fastify()

test('options of the status page', () => {
  expect(app.register).type.toBeCallableWith(statusPage)
  expect(app.register).type.toBeCallableWith(statusPage, { path: '/ops/health', name: 'orders 1.4.2' })
  expect(app.register).type.not.toBeCallableWith(statusPage, { paths: '/statusz' })
  expect({ path: 7 }).type.not.toBeAssignableTo<PageOptions>()
  expect<Required<PageOptions>>().type.toBeAssignableTo<PageOptions>()
})

test('options of the Prometheus metrics', () => {
  expect(app.register).type.toBeCallableWith(prometheus)
  expect(app.register).type.toBeCallableWith(prometheus, { register: new Registry(), data: true })
  expect({ data: 'all' }).type.not.toBeAssignableTo<PrometheusOptions>()
})
