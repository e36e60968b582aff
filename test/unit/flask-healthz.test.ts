import Fastify from 'fastify'
import t from 'tap'
import healthz, { HealthError } from '../../lib/index.js'
import { listen, request } from '../helpers/raw.js'
import { capture } from '../helpers/log.js'

// What flask-healthz 1.0 answers under gunicorn, and the places where we differ on purpose.
t.test('probes answer as flask-healthz does', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(healthz, {
    live: () => {},
    ready: () => { throw new HealthError("Can't connect to the database") },
    probes: { boom: () => { throw new Error('boom') } }
  })
  const port = await listen(app)
  const type = 'application/problem+json'
  for (const [method, path, status, title] of [
    ['GET', 'live', 200, 'OK'],
    ['GET', 'ready', 503, "Can't connect to the database"],
    ['GET', 'nowhere', 404, 'The nowhere check endpoint is not setup'],
    ['GET', 'boom', 500, 'The boom check failed unexpectedly'], // flask-healthz: Flask's page
    ['POST', 'live', 405, 'Method Not Allowed'] // flask-healthz: Flask's page, and OPTIONS in Allow
  ] as const) {
    const answer = await request(port, method, `/healthz/${path}`)
    t.match(answer.statusLine, ` ${status} `)
    t.equal(answer.headers.get('content-type'), type)
    t.strictSame(JSON.parse(answer.body), { status, title })
  }
  const get = await request(port, 'GET', '/healthz/live')
  const head = await request(port, 'HEAD', '/healthz/live')
  t.equal(head.body, '')
  t.equal(head.headers.get('content-type'), type)
  t.equal(head.headers.get('content-length'), get.headers.get('content-length'))
})

t.test('a check that cannot be imported refuses the boot instead of failing each probe', async t => {
  const app = Fastify()
  app.register(healthz, { live: 'yourapp.checks.liveness' })
  await t.rejects(async () => { await app.ready() }, { code: 'HEALTHZ_ERR_CHECK_LOAD' })
})

t.test('noLog drops the lines of a 200 and keeps all others', async t => {
  const { lines, logger } = capture()
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  app.register(healthz, { ready: () => { throw new HealthError('away') }, noLog: true })
  await app.inject('/healthz/live')
  t.strictSame(lines, [])
  for (const [method, path] of [['GET', '/healthz/ready'], ['GET', '/healthz/nowhere'], ['POST', '/healthz/live']] as const) {
    lines.length = 0
    await app.inject({ method, url: path })
    t.equal(lines.filter(({ msg }) => msg === 'request completed').length, 1)
  }
})
