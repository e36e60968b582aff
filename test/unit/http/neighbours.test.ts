import compress from '@fastify/compress'
import cors from '@fastify/cors'
import etag from '@fastify/etag'
import helmet from '@fastify/helmet'
import rateLimit from '@fastify/rate-limit'
import responseValidation from '@fastify/response-validation'
import underPressure from '@fastify/under-pressure'
import Fastify, { type FastifyInstance } from 'fastify'
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import healthz, { HealthError } from '../../../lib/index.js'

const options: healthz.HealthzOptions = { ready: () => { throw new HealthError('x'.repeat(5000)) } }

/** The app with the neighbour registered before the plugin, and after it. */
async function both (t: Test, neighbour: (app: FastifyInstance) => void, show: (app: FastifyInstance, when: string) => Promise<void>) {
  for (const when of ['before', 'after']) {
    const app = Fastify()
    t.teardown(() => app.close())
    if (when === 'before') neighbour(app)
    app.register(healthz, options)
    if (when === 'after') neighbour(app)
    app.register(async app => { app.get('/', async () => 'x'.repeat(5000)) })
    await app.ready()
    await show(app, when)
  }
}

t.test('probes are not limited by @fastify/rate-limit', async t => {
  await both(t, app => app.register(rateLimit, { max: 1, timeWindow: '1 minute' }), async (app, when) => {
    for (let i = 0; i < 5; i++) {
      t.equal((await app.inject('/healthz/live')).statusCode, 200, when)
      t.equal((await app.inject('/healthz/ready')).statusCode, 503)
    }
    t.strictSame(Object.keys((await app.inject('/healthz/live')).headers).filter(name => /ratelimit/.test(name)), [])
    await app.inject('/')
    t.equal((await app.inject('/')).statusCode, 429)
  })
})

t.test('probes answer for themselves while @fastify/under-pressure sheds the load', async t => {
  await both(t, app => app.register(underPressure, { maxRssBytes: 1, sampleInterval: 1 }), async (app, when) => {
    while ((await app.inject('/')).statusCode !== 503) await setImmediate() // until it has taken its first sample
    t.strictSame((await app.inject('/healthz/live')).json(), { status: 200, title: 'OK' }, when)
    t.equal((await app.inject({ method: 'HEAD', url: '/healthz/live' })).statusCode, 200)
    t.match((await app.inject('/healthz/ready')).json().title, /^xxx/)
  })
})

t.test('probes are not compressed by @fastify/compress', async t => {
  const headers = { 'accept-encoding': 'gzip' }
  await both(t, app => app.register(compress, { threshold: 0 }), async (app, when) => {
    const answer = await app.inject({ url: '/healthz/ready', headers })
    t.equal(answer.headers['content-encoding'], undefined, when)
    t.equal(answer.headers['vary'], undefined)
    t.match(answer.json().title, /^xxx/)
    t.equal((await app.inject({ url: '/', headers })).headers['content-encoding'], 'gzip')
  })
})

t.test('probes get no headers from @fastify/cors', async t => {
  const headers = { origin: 'https://other.example' }
  await both(t, app => app.register(cors), async (app, when) => {
    t.equal((await app.inject({ url: '/healthz/live', headers })).headers['access-control-allow-origin'], undefined, when)
    t.equal((await app.inject({ url: '/', headers })).headers['access-control-allow-origin'], '*')
    const preflight = await app.inject({ method: 'OPTIONS', url: '/healthz/live', headers: { ...headers, 'access-control-request-method': 'GET' } })
    t.equal(preflight.statusCode, 204, 'OPTIONS is the app\'s')
  })
})

t.test('probes get no headers from an earlier @fastify/helmet, and keep their answer under a later one', async t => {
  await both(t, app => app.register(helmet), async (app, when) => {
    const answer = await app.inject('/healthz/live')
    t.equal(answer.body, '{"status":200,"title":"OK"}')
    if (when === 'before') t.equal(answer.headers['x-frame-options'], undefined)
    t.ok((await app.inject('/')).headers['x-frame-options'])
  })
})

t.test('a client that has an answer already is not sent a 304 by @fastify/etag: to a prober that would be a pass', async t => {
  await both(t, app => app.register(etag), async (app, when) => {
    for (const [method, path, status] of [
      ['GET', 'ready', 503], ['HEAD', 'ready', 503], ['GET', 'live', 200], ['GET', 'nowhere', 404], ['GET', 'ready/x', 404], ['POST', 'live', 405]
    ] as const) {
      const url = `/healthz/${path}`
      const first = await app.inject({ method, url })
      const answer = await app.inject({ method, url, headers: { 'if-none-match': first.headers.etag as string } })
      t.equal(answer.statusCode, status, `${method} ${path}, ${when}`)
      t.equal(answer.body, first.body)
      t.equal(answer.headers['content-length'], first.headers['content-length'])
    }
    const { headers } = await app.inject('/')
    t.equal((await app.inject({ url: '/', headers: { 'if-none-match': headers.etag as string } })).statusCode, 304)
  })
})

t.test('a 304 that a hook gives itself, before a probe is asked, is its own', async t => {
  await both(t, app => app.addHook('onRequest', async (_request, reply) => reply.code(304).send()), async app => {
    t.equal((await app.inject('/healthz/ready')).statusCode, 304)
  })
})

t.test('an app with @fastify/response-validation boots, and its probes answer', async t => {
  await both(t, app => app.register(responseValidation, { responseStatusCodeValidation: true }), async (app, when) => {
    t.equal((await app.inject('/healthz/live')).statusCode, 200, when)
    t.equal((await app.inject('/healthz/ready')).statusCode, 503)
  })
})

t.test('a hook that authenticates lets probes by their config, and the answer of one that does not is its own', async t => {
  await both(t, app => app.addHook('onRequest', async (request, reply) => {
    if (request.routeOptions.config.healthz) return
    if (request.headers.authorization === undefined) return reply.code(401).send('who are you?')
  }), async (app, when) => {
    t.equal((await app.inject('/healthz/live')).statusCode, 200, when)
    t.equal((await app.inject('/')).statusCode, 401)
  })
  await both(t, app => app.addHook('onRequest', async (_request, reply) => reply.code(401).send('who are you?')), async app => {
    t.equal((await app.inject('/healthz/live')).body, 'who are you?')
  })
})

t.test('a hook that redirects to HTTPS lets probes by their config', async t => {
  await both(t, app => app.addHook('onRequest', async (request, reply) => {
    if (request.routeOptions.config.healthz || request.protocol === 'https') return
    return reply.redirect(`https://${request.host}${request.url}`, 308)
  }), async (app, when) => {
    t.equal((await app.inject('/healthz/live')).statusCode, 200, when)
    t.equal((await app.inject('/')).statusCode, 308)
  })
})
