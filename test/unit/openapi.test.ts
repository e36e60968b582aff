import swagger from '@fastify/swagger'
import { Type } from '@sinclair/typebox'
import Fastify, { type FastifyInstance } from 'fastify'
import * as zodProvider from 'fastify-type-provider-zod'
import * as zodOpenApi from 'fastify-zod-openapi'
import t, { type Test } from 'tap'
import { z } from 'zod'
import healthz from '../../lib/index.js'

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

const openapi = { openapi: '3.1.0', info: { title: 'x', version: '1' } }
const User = z.object({ name: z.string() })

/** How apps describe their own routes. */
const PROVIDERS: Record<string, (app: FastifyInstance) => object> = {
  'fastify-type-provider-zod' (app) {
    app.setValidatorCompiler(zodProvider.validatorCompiler)
    app.setSerializerCompiler(zodProvider.serializerCompiler)
    const { jsonSchemaTransform: transform, jsonSchemaTransformObject: transformObject } = zodProvider
    app.register(swagger, { openapi, transform, transformObject } as any)
    return User
  },
  'fastify-zod-openapi' (app) {
    app.setValidatorCompiler(zodOpenApi.validatorCompiler)
    app.setSerializerCompiler(zodOpenApi.serializerCompiler)
    app.register(zodOpenApi.fastifyZodOpenApiPlugin)
    app.register(swagger, { openapi, ...zodOpenApi.fastifyZodOpenApiTransformers } as any)
    return User
  },
  TypeBox (app) {
    app.register(swagger, { openapi } as any)
    return Type.Object({ name: Type.String() })
  }
}

async function documentOf (t: Test, provider: string, options: (schema: object) => healthz.HealthzOptions) {
  const app = Fastify()
  t.teardown(() => app.close())
  const schema = PROVIDERS[provider]!(app)
  app.register(healthz, options(schema))
  app.register(async app => { app.get('/user', { schema: { response: { 200: schema } } }, async () => ({ name: 'x' })) })
  await app.ready()
  t.equal((await app.inject('/user')).body, '{"name":"x"}')
  t.equal((await app.inject('/healthz/ready')).body, '{"status":503,"title":"The ready check failed"}')
  return app.swagger().paths as any
}

for (const provider of Object.keys(PROVIDERS)) {
  t.test(`the probes are in the document of an app that describes its routes with ${provider}, or hidden`, async t => {
    const ready = () => false
    const shown = await documentOf(t, provider, () => ({ ready }))
    t.strictSame(Object.keys(shown).sort(), ['/healthz/live', '/healthz/ready', '/healthz/startup', '/user'])
    t.match(shown['/healthz/ready'].get, {
      summary: 'The ready probe', responses: { 503: { content: { 'application/problem+json': { schema: { required: ['status', 'title'] } } } } }
    })
    t.ok(shown['/user'].get.responses[200].content['application/json'].schema)
    t.strictSame(Object.keys(await documentOf(t, provider, () => ({ ready, routeOptions: { schema: { hide: true } } }))), ['/user'])
    const tagged = await documentOf(t, provider, () => ({ ready, routeOptions: { schema: { tags: ['ops'] } } }))
    t.match(tagged['/healthz/ready'].get, { tags: ['ops'], responses: { 503: {} } })
    const own = await documentOf(t, provider, schema => ({ ready, routeOptions: { schema: { response: { 200: schema } } } }))
    t.ok(own['/healthz/ready'].get.responses[200].content['application/json'].schema, 'a schema of the app\'s is read as its others are')
  })
}

t.test('a transform of the app\'s for its document gets the probes where it is asked to', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  const transform = ({ schema, url }: any) => ({ schema, url: `/v1${url}` })
  app.register(swagger, { openapi: { info: { title: 'x', version: '1' } }, transform })
  app.register(healthz, { live: false, startup: false, routeOptions: { config: { swaggerTransform: transform } } })
  await app.ready()
  t.strictSame(Object.keys(app.swagger().paths!), ['/v1/healthz/ready'])
})
