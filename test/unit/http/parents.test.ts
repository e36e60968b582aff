import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import { setTimeout } from 'node:timers/promises'
import t, { type Test } from 'tap'
import healthz, { HealthError } from '../../../lib/index.js'
import { capture } from '../../helpers/log.js'
import { listen, request } from '../../helpers/raw.js'
import { router } from '../../helpers/router.js'

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
  ignoreTrailingSlash: [router({ ignoreTrailingSlash: true }), () => {}],
  'caseSensitive: false': [router({ caseSensitive: false }), () => {}],
  ignoreDuplicateSlashes: [router({ ignoreDuplicateSlashes: true }), () => {}],
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

/** An app whose error handler makes a 200 of everything, as those of GraphQL do, and a hook of which throws. */
function failing (t: Test, hook: string, error: unknown, options: healthz.HealthzOptions = {}) {
  const { lines, logger } = capture()
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  app.setErrorHandler((_error, _request, reply) => { reply.code(200).send({ errors: [] }) })
  app.register(healthz, { ready: () => { throw new HealthError('away') }, ...options })
  // @ts-expect-error The names of hooks are given.
  app.addHook(hook, async () => { throw error })
  return { app, lines }
}

const PROBLEM = { 'content-type': 'application/problem+json', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' }

t.test('a hook of the app that throws fails the probe, whatever the app\'s error handler makes of it', async t => {
  for (const hook of ['onRequest', 'preParsing', 'preValidation', 'preHandler', 'onSend']) {
    for (const noLog of [false, true]) {
      const { app, lines } = failing(t, hook, new Error('password=hunter2'), { noLog })
      for (const path of ['ready', 'live', 'ready?verbose', 'ready/x', 'nowhere']) {
        for (const method of ['GET', 'HEAD', 'POST'] as const) {
          lines.length = 0
          const answer = await app.inject({ method, url: `/healthz/${path}` })
          t.ok(answer.statusCode >= 400, `${method} ${path}, ${hook}`)
          t.match(answer.headers, PROBLEM)
          t.equal(answer.headers.allow, answer.statusCode === 405 ? 'GET, HEAD' : undefined)
          t.notMatch(answer.body, 'hunter2')
          if (method === 'HEAD') t.equal(answer.body, '')
          else t.equal(answer.headers['content-length'], String(answer.body.length))
          // Another method and another path are refused before most hooks.
          if (answer.statusCode >= 500) t.match(lines.filter(({ err, reqId }) => err && reqId), [{ err: { message: 'password=hunter2' } }], 'the log has the error')
        }
      }
      const { body } = await app.inject('/healthz/ready')
      const said = hook === 'onSend' ? { status: 503, title: 'away' } : { status: 500, title: 'Internal Server Error' }
      t.strictSame(JSON.parse(body), said, 'what the checks said, if they have run')
      t.strictSame((await app.inject('/healthz/live')).json(), { status: 500, title: 'Internal Server Error' })
    }
  }
})

t.test('an error of a hook has the status that it would have elsewhere', async t => {
  for (const [error, status, title] of [
    [Object.assign(new Error('who are you?'), { statusCode: 401 }), 401, 'Unauthorized'],
    [Object.assign(new Error('slow down'), { status: 429 }), 429, 'Too Many Requests'],
    [Object.assign(new Error('fine'), { statusCode: 200 }), 500, 'Internal Server Error'],
    [Object.assign(new Error('odd'), { statusCode: 999 }), 500, 'Internal Server Error'],
    ['no error at all', 500, 'Internal Server Error']
  ] as const) {
    const { app, lines } = failing(t, 'onRequest', error)
    const answer = await app.inject('/healthz/live')
    t.equal(answer.statusCode, status)
    t.strictSame(answer.json(), { status, title })
    t.ok(lines.some(({ level, err }) => level === (status < 500 ? 30 : 50) && err !== undefined))
  }
})

t.test('an error on the prefix itself is left to the app', async t => {
  const { app } = failing(t, 'onRequest', new Error('no'))
  t.strictSame((await app.inject('/healthz/')).json(), { errors: [] })
})

t.test('a log that throws changes nothing about the answer', async t => {
  const { app } = failing(t, 'onSend', new Error('no'))
  app.addHook('onRequest', async request => { request.log.error = () => { throw new Error('the log is full') } })
  t.strictSame((await app.inject('/healthz/ready')).json(), { status: 503, title: 'away' })
})

t.test('over a connection, an answer past a hook that throws is as long as it says', async t => {
  const { app } = failing(t, 'onSend', new Error('no'))
  const port = await listen(app)
  const answer = await request(port, 'GET', '/healthz/ready')
  t.equal(answer.statusLine, 'HTTP/1.1 503 Service Unavailable')
  t.equal(answer.body, '{"status":503,"title":"away"}')
  t.equal((await request(port, 'HEAD', '/healthz/ready')).headers.get('content-length'), String(answer.body.length))
})

t.test('a header of a hook that cannot be sent fails the probe, whether its checks are synchronous or not', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.addHook('onSend', (_request, reply, payload, done) => { reply.header('x-app', 'a\nb'); done(null, payload) })
  app.register(healthz, { ready: async () => {} })
  const port = await listen(app)
  for (const name of ['live', 'ready']) {
    const answer = await request(port, 'GET', `/healthz/${name}`)
    t.match(answer.statusLine, /^HTTP\/1.1 500 /, name)
    t.equal(answer.body, '{"status":500,"title":"Internal Server Error"}')
  }
})
