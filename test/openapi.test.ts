import swagger from '@fastify/swagger'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import healthz from '../lib/index.js'

async function document (t: Test, options: healthz.HealthzOptions) {
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(swagger, { openapi: { info: { title: 'x', version: '1' } } })
  app.register(healthz, options)
  await app.ready()
  return app.swagger() as any
}

t.test('the probes appear in OpenAPI with the schemas of their answers', async t => {
  const { paths } = await document(t, { probes: { deep () {} }, paths: { ready: '/readyz' } })
  t.strictSame(Object.keys(paths).sort(), ['/healthz/deep', '/healthz/live', '/healthz/startup', '/readyz'])
  for (const [path, operations] of Object.entries<any>(paths)) {
    t.strictSame(Object.keys(operations), ['get'], path)
    const { tags, summary, responses } = operations.get
    t.strictSame(tags, ['health'])
    t.match(summary, /^The \w+ probe$/)
    t.strictSame(Object.keys(responses), ['200', '404', '500', '503'])
    for (const { description, content } of Object.values<any>(responses)) {
      t.type(description, 'string')
      t.strictSame(Object.keys(content), ['application/problem+json'])
      const { schema } = content['application/problem+json']
      t.strictSame(schema.required, ['status', 'title'])
      t.strictSame([schema.properties.status.type, schema.properties.title.type], ['integer', 'string'])
    }
  }
})

t.test('the probes can be hidden, or described in other words', async t => {
  t.strictSame((await document(t, { routeOptions: { schema: { hide: true } } })).paths, {})
  const { paths } = await document(t, { routeOptions: { schema: { tags: ['ops'], summary: 'mine' } } })
  t.match(paths['/healthz/live'].get, { tags: ['ops'], summary: 'mine', responses: { 503: {} } })
})
