import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { setTimeout } from 'node:timers/promises'
import t, { type Test } from 'tap'
import healthz, { HealthError } from '../lib/index.js'
import { listen, request } from './helpers/raw.js'

const options: healthz.HealthzOptions = {
  ready: async () => { throw new HealthError('away') },
  startup: () => { throw new Error('boom') },
  probes: { slow: () => setTimeout(30) }
}
const PATHS = ['live', 'ready', 'startup', 'slow', 'nowhere'].map(name => `/healthz/${name}`)

async function bytes (t: Test, server: FastifyServerOptions, prepare: (app: FastifyInstance) => void, late = false) {
  const app = Fastify({ ...server })
  t.teardown(() => app.close())
  if (!late) prepare(app)
  app.register(healthz, options)
  if (late) prepare(app)
  const port = await listen(app)
  const answers = []
  for (const path of PATHS) {
    for (const method of ['GET', 'HEAD', 'POST']) {
      const { statusLine, headers, body } = await request(port, method, path)
      answers.push({ method, path, statusLine, headers: [...headers].filter(([name]) => name !== 'date'), body })
    }
  }
  return answers
}

const parents: Record<string, [server: FastifyServerOptions, prepare: (app: FastifyInstance) => void]> = {
  'an error handler': [{}, app => { app.setErrorHandler((_error, _request, reply) => { reply.code(200).send({ fine: true }) }) }],
  'a reply serializer': [{}, app => { app.setReplySerializer(() => '"mine"') }],
  'a serializer compiler': [{}, app => { app.setSerializerCompiler(() => () => '"mine"') }],
  'a validator compiler': [{}, app => { app.setValidatorCompiler(() => () => ({ error: new Error('never') })) }],
  'a schema controller': [{}, app => {
    app.setSchemaController({ compilersFactory: { buildSerializer: () => () => () => '"mine"', buildValidator: () => () => (() => false) as any } })
  }],
  'a schema error formatter': [{}, app => { app.setSchemaErrorFormatter(() => new Error('mine')) }],
  'a not-found handler': [{}, app => { app.setNotFoundHandler((_request, reply) => { reply.code(200).send('SPA') }) }],
  ignoreTrailingSlash: [{ routerOptions: { ignoreTrailingSlash: true } }, () => {}],
  'caseSensitive: false': [{ routerOptions: { caseSensitive: false } }, () => {}],
  ignoreDuplicateSlashes: [{ routerOptions: { ignoreDuplicateSlashes: true } }, () => {}],
  'a handlerTimeout': [{ handlerTimeout: 5 } as FastifyServerOptions, () => {}],
  'a global onSend hook': [{}, app => { app.addHook('onSend', async (_request, _reply, payload) => payload) }],
  'hooks of every other kind': [{}, app => {
    app.addHook('onRequest', async () => {})
    app.addHook('preParsing', async () => {})
    app.addHook('preValidation', async () => {})
    app.addHook('preHandler', async () => {})
    app.addHook('preSerialization', async () => ({ changed: true }))
    app.addHook('onError', async () => {})
    app.addHook('onResponse', async () => {})
  }],
  'a content type parser': [{}, app => { app.addContentTypeParser('*', (_request, _payload, done) => done(new Error('no'))) }]
}

for (const [name, [server, prepare]] of Object.entries(parents)) {
  t.test(`probes answer the same bytes under a parent with ${name}`, async t => {
    const plain = await bytes(t, {}, () => {})
    t.strictSame(await bytes(t, server, prepare), plain, 'set before the plugin')
    t.strictSame(await bytes(t, server, prepare, true), plain, 'set after the plugin')
  })
}

t.test('a hook that adds a header leaves status and body as they are, one that rewrites the payload is obeyed', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(healthz, options)
  app.addHook('onSend', async (request, reply, payload) => {
    reply.header('x-app', 'mine')
    return (request.query as { rewrite?: string }).rewrite === undefined ? payload : 'rewritten'
  })
  const port = await listen(app)
  const answer = await request(port, 'GET', '/healthz/ready')
  t.equal(answer.headers.get('x-app'), 'mine')
  t.equal(answer.body, '{"status":503,"title":"away"}')
  const rewritten = await request(port, 'GET', '/healthz/ready?rewrite')
  t.equal(rewritten.body, 'rewritten')
  t.equal(rewritten.headers.get('content-length'), '9')
  t.equal((await request(port, 'HEAD', '/healthz/ready?rewrite')).headers.get('content-length'), '9')
})
