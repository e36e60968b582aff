import Fastify, { type FastifyServerOptions } from 'fastify'
import t, { type Test } from 'tap'
import { VerboseAccess } from '../../../lib/http/verbose.js'
import healthz, { HealthError } from '../../../lib/index.js'
import { Aborts } from '../../../lib/http/aborts.js'
import { routes } from '../../../lib/http/routes.js'
import { exchange, listen, parse, request } from '../../helpers/raw.js'
import { startService } from '../../helpers/service.js'
import { FakeTime } from '../../helpers/time.js'

async function serve (t: Test, options: healthz.HealthzOptions, server: FastifyServerOptions = {}) {
  const app = Fastify(server)
  t.teardown(() => app.close())
  app.register(healthz, options)
  return { app, port: await listen(app) }
}

const HEADERS = ['content-type', 'cache-control', 'x-content-type-options', 'content-length', 'date', 'connection']
const OK = '{"status":200,"title":"OK"}'
const unavailable = (title: string) => JSON.stringify({ status: 503, title })

t.test('a passing probe answers exactly these bytes', async t => {
  const { port } = await serve(t, { probes: { deep: async () => {} } })
  for (const name of ['live', 'ready', 'startup', 'deep']) {
    const answer = await request(port, 'GET', `/healthz/${name}`)
    t.equal(answer.statusLine, 'HTTP/1.1 200 OK')
    t.strictSame([...answer.headers.keys()], HEADERS, 'no redirect, no ETag, no cookie, no encoding')
    t.equal(answer.headers.get('content-type'), 'application/problem+json')
    t.equal(answer.headers.get('cache-control'), 'no-store')
    t.equal(answer.headers.get('x-content-type-options'), 'nosniff')
    t.equal(answer.headers.get('content-length'), String(OK.length))
    t.equal(answer.headers.get('connection'), 'close')
    t.equal(answer.body, OK)
  }
})

t.test('a probe that does not pass says why, and an unexpected error says nothing', async t => {
  const { port } = await serve(t, {
    live: () => { throw new Error('password=hunter2') },
    ready: () => { throw new HealthError("Can't connect to the database", { cause: new Error('postgres://secret') }) },
    startup: async () => false,
    probes: {
      many: { a: () => false, b: () => {}, c: async () => { throw new HealthError('é😀\n') } },
      mixed: { a: () => false, b: () => Promise.reject(new Error('x')) }
    }
  })
  for (const [name, line, body] of [
    ['live', '500 Internal Server Error', '{"status":500,"title":"The live check failed unexpectedly"}'],
    ['ready', '503 Service Unavailable', unavailable("Can't connect to the database")],
    ['startup', '503 Service Unavailable', unavailable('The startup check failed')],
    ['many', '503 Service Unavailable', unavailable('a: failed; c: é😀\n')],
    ['mixed', '500 Internal Server Error', '{"status":500,"title":"a: failed; b: failed unexpectedly"}']
  ] as const) {
    const answer = await request(port, 'GET', `/healthz/${name}`)
    t.equal(answer.statusLine, `HTTP/1.1 ${line}`)
    t.strictSame([...answer.headers.keys()], HEADERS)
    t.equal(answer.headers.get('content-length'), String(Buffer.byteLength(body)))
    t.equal(answer.body, body)
  }
})

t.test('HEAD has the status and the headers of GET, whatever the app exposes', async t => {
  for (const exposeHeadRoutes of [true, false]) {
    const { port } = await serve(t, { ready: () => false }, { exposeHeadRoutes })
    for (const name of ['live', 'ready', 'nowhere']) {
      const get = await request(port, 'GET', `/healthz/${name}`)
      const head = await request(port, 'HEAD', `/healthz/${name}`)
      t.equal(head.statusLine, get.statusLine)
      for (const header of get.headers.keys()) {
        if (header !== 'date') t.equal(head.headers.get(header), get.headers.get(header), header)
      }
      t.equal(head.body, '')
    }
  }
})

t.test('another method is refused with 405, whatever its body', async t => {
  const { app, port } = await serve(t, {}, { bodyLimit: 10 })
  const methods = app.supportedMethods.filter(method => !['GET', 'HEAD', 'OPTIONS'].includes(method))
  t.ok(methods.includes('POST') && methods.includes('DELETE'))
  for (const method of methods) {
    for (const [headers, body] of [
      [[], ''],
      [['Content-Type: application/json', 'Content-Length: 3'], '{x}'],
      [['Content-Type: what/ever', 'Content-Length: 3'], 'abc'],
      [['Content-Type: /', 'Content-Length: 20'], 'x'.repeat(20)]
    ] as const) {
      const answer = await request(port, method, '/healthz/live', [...headers], body)
      t.equal(answer.statusLine, 'HTTP/1.1 405 Method Not Allowed', method)
      t.equal(answer.headers.get('allow'), 'GET, HEAD')
      t.equal(answer.headers.get('content-type'), 'application/problem+json')
      t.equal(answer.body, '{"status":405,"title":"Method Not Allowed"}')
    }
  }
})

t.test('OPTIONS is left to the app', async t => {
  const { app, port } = await serve(t, {})
  t.match((await request(port, 'OPTIONS', '/healthz/live')).statusLine, /404/)
  t.notOk(app.hasRoute({ method: 'OPTIONS', url: '/healthz/live' }))
})

t.test('a path below the prefix that is no probe is answered with 404, whatever the method', async t => {
  const { port } = await serve(t, { live: false, paths: { ready: '/readyz' } })
  for (const [path, name] of [
    ['nowhere', 'nowhere'], ['live', 'live'], ['ready', 'ready'], ['startup/', 'startup/'], ['a/b/c?d=e', 'a/b/c'],
    ['%22%0a%3Cb%3E', '\\"\\n<b>'], ['__proto__', '__proto__'], ['toString', 'toString'], ['x'.repeat(200), 'x'.repeat(200)]
  ]) {
    for (const method of ['GET', 'POST']) {
      const answer = await request(port, method, `/healthz/${path}`, method === 'POST' ? ['Content-Type: what/ever', 'Content-Length: 1'] : [], method === 'POST' ? 'x' : '')
      t.equal(answer.statusLine, 'HTTP/1.1 404 Not Found')
      t.strictSame([...answer.headers.keys()], HEADERS)
      t.equal(answer.body, `{"status":404,"title":"The ${name} check endpoint is not setup"}`)
    }
  }
  const long = await request(port, 'GET', `/healthz/${'%01'.repeat(5000)}`)
  t.ok(long.body.length < 10 * 1024 && JSON.parse(long.body).status === 404, 'a long one is cut')
  t.match((await request(port, 'GET', '/healthz/%zz')).statusLine, /400/, "this one is Fastify's")
  t.equal((await request(port, 'GET', '/readyz')).body, OK)
})

t.test('the prefix itself is left to the app', async t => {
  const { app, port } = await serve(t, {})
  for (const path of ['/healthz', '/healthz/']) {
    const answer = await request(port, 'GET', path)
    t.equal(answer.body, JSON.stringify({ message: `Route GET:${path} not found`, error: 'Not Found', statusCode: 404 }))
  }
  t.equal((await app.inject({ method: 'POST', url: '/healthz/', payload: { a: 1 } })).json().error, 'Not Found')

  const own = Fastify()
  t.teardown(() => own.close())
  own.setNotFoundHandler((request, reply) => { reply.code(404).send(`nothing at ${request.url}`) })
  own.get('/healthz', async () => 'mine')
  own.get('/healthz/mine', async () => 'mine too')
  own.register(healthz)
  t.equal((await own.inject('/healthz')).body, 'mine')
  t.equal((await own.inject('/healthz/mine')).body, 'mine too')
  t.equal((await own.inject('/healthz/')).body, 'nothing at /healthz/')
})

t.test('without a prefix every other path is the app\'s', async t => {
  for (const prefix of ['', '/']) {
    const { app, port } = await serve(t, { prefix, probes: { deep () {} } })
    t.equal((await request(port, 'GET', '/live')).body, OK)
    t.equal((await request(port, 'GET', '/deep')).body, OK)
    t.equal((await app.inject('/nowhere')).json().error, 'Not Found')
    t.equal((await app.inject('/')).json().error, 'Not Found')
  }
})

t.test('a client of HTTP/1.0 without Host is answered too', async t => {
  const { port } = await serve(t, {})
  const answer = parse(await exchange(port, 'GET /healthz/live HTTP/1.0\r\n\r\n'))
  t.equal(answer.statusLine, 'HTTP/1.1 200 OK')
  t.equal(answer.headers.get('connection'), 'close')
  t.equal(answer.body, OK)
})

t.test('a connection that is kept alive serves one probe after the other', async t => {
  const { port } = await serve(t, {})
  const get = 'GET /healthz/live HTTP/1.1\r\nHost: localhost\r\n'
  const answers = await exchange(port, `${get}\r\n${get}\r\n${get}Connection: close\r\n\r\n`)
  t.equal(answers.split(OK).length, 4)
  t.equal(answers.split('Connection: keep-alive').length, 3)
})

t.test('a query is ignored', async t => {
  const { port } = await serve(t, { ready: { a: () => {} } })
  for (const query of ['?verbose', '?exclude=a', '?x=%zz', '?']) {
    t.equal((await request(port, 'GET', `/healthz/ready${query}`)).body, OK)
  }
})

t.test('the route options are merged into each probe, over the opt-outs and under what is ours', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  const configs: Array<Record<string, any>> = []
  app.addHook('onRoute', route => { configs.push({ method: route.method, url: route.url, ...route.config }) })
  const routeOptions = { constraints: { host: 'internal.example' }, config: { rateLimit: { max: 5 }, healthz: { probe: 'x' }, mine: 1 } } as const
  app.register(healthz, { noLog: true, routeOptions })
  await app.ready()
  const ready = configs.find(({ method, url }) => method === 'GET' && url === '/healthz/ready')
  t.match(ready, {
    rateLimit: { max: 5 }, mine: 1, healthz: { probe: 'ready' }, disableRequestLogging: true, cors: false, otel: false, disableMetrics: true
  })
  t.equal((await app.inject({ url: '/healthz/live', headers: { host: 'internal.example' } })).body, OK)
  t.equal((await app.inject('/healthz/live')).json().error, 'Not Found', 'on another host the paths are the app\'s')
  t.equal((await app.inject({ url: '/healthz/x', headers: { host: 'internal.example' } })).json().title, 'The x check endpoint is not setup')
})

t.test('a schema documents a probe, and cannot make it answer otherwise', async t => {
  const schema = { querystring: { type: 'object', required: ['token'] }, response: { 200: { type: 'object', properties: {} } } }
  const { port } = await serve(t, { routeOptions: { schema } })
  t.equal((await request(port, 'GET', '/healthz/live')).body, OK)
})

// Fastify 6 itself needs a method that Bluebird lacks.
const BLUEBIRD = `global.Promise = require('bluebird'); Promise.withResolvers = () => {
  const parts = {}
  return Object.assign(parts, { promise: new Promise((resolve, reject) => Object.assign(parts, { resolve, reject })) })
}`

for (const [name, other] of [['zone.js', "require('zone.js/node')"], ['Bluebird', BLUEBIRD]]) {
  t.test(`probes answer where the global Promise is that of ${name}`, async t => {
    const child = startService(t, `
      const app = Fastify()
      app.register(healthz, {
        live: async () => {},
        ready: { a: async () => { throw new healthz.HealthError('away') }, b: () => {} },
        details: async ({ headers }) => headers.authorization === 'ops'
      })
      for (const url of ['live', 'live?t=1', 'ready', 'ready?verbose', 'ready?exclude=a', 'ready/b']) {
        for (const headers of [{}, { authorization: 'ops' }]) {
          say(url, { status: (await app.inject({ url: '/healthz/' + url, headers })).statusCode })
        }
      }
      await app.close()`.replace('const app', `${other}; const app`))
    const { code, lines, stderr } = await child.exit
    t.equal(code, 0, stderr)
    t.strictSame(lines.map(({ msg, status }) => `${msg} ${status}`), [
      'live 200', 'live 200', 'live?t=1 200', 'live?t=1 200', 'ready 503', 'ready 503', 'ready?verbose 503', 'ready?verbose 503',
      'ready?exclude=a 503', 'ready?exclude=a 200', 'ready/b 404', 'ready/b 200'
    ])
  })
}

t.test('a probe is answered even where we fail ourselves', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  const probe = { name: 'live', path: '/live', get () {}, run: () => Promise.reject(new Error('a bug of ours')) }
  const time = new FakeTime()
  const verbose = new VerboseAccess(true, 100, time, {} as any, { bootMs: 1 }, { list: [] })
  const aborts = new Aborts({ state: 'serving' }, { probeAborted: () => t.fail('nobody hung up') }, time)
  app.register(routes, { probes: [probe as any], root: '', noLog: false, verbose, aborts, probed () {}, routeOptions: {} })
  for (const url of ['/live', '/live?x', '/live?verbose']) {
    t.strictSame((await app.inject(url)).json(), { status: 500, title: 'Internal Server Error' })
  }
})

t.test('a guard that wants something of each route finds the config that was given, on every one', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.addHook('onRoute', ({ url, config }) => { t.equal((config as any).auth, 'none', url) })
  app.register(healthz, { routeOptions: { config: { auth: 'none' } } })
  await app.ready()
})
