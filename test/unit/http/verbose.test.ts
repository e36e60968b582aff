import cors from '@fastify/cors'
import helmet from '@fastify/helmet'
import Fastify, { type FastifyRequest } from 'fastify'
import t, { type Test } from 'tap'
import { VerboseAccess } from '../../../lib/http/verbose.js'
import healthz, { HealthError } from '../../../lib/index.js'
import { capture } from '../../helpers/log.js'
import { listen, request } from '../../helpers/raw.js'
import { FakeTime } from '../../helpers/time.js'

const secret = new Error('password=hunter2')

async function serve (t: Test, options: healthz.HealthzOptions = {}) {
  const { lines, logger } = capture()
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  app.register(healthz, {
    ready: {
      database: async () => { throw new HealthError('away', { cause: secret }) },
      cache: { check: () => { throw secret }, critical: false },
      disk: () => {}
    },
    noLog: true,
    ...options
  })
  await app.ready()
  return { app, lines }
}

const checkedAt = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/

t.test('?verbose gives an operator the checks by name', async t => {
  const { app } = await serve(t, { details: true })
  for (const query of ['?verbose', '?verbose=1', '?a=b&verbose']) {
    const answer = await app.inject(`/healthz/ready${query}`)
    t.equal(answer.statusCode, 503)
    t.equal(answer.headers['content-type'], 'application/problem+json')
    const body = answer.json()
    t.strictSame(Object.keys(body), ['status', 'title', 'checks'])
    t.equal(body.title, 'database: away')
    t.strictSame(Object.keys(body.checks), ['database', 'cache', 'disk'], 'in the order of registration')
    t.match(body.checks, {
      database: { status: 'fail', title: 'away', durationMs: Number, checkedAt },
      cache: { status: 'warn', title: 'failed unexpectedly', durationMs: Number, checkedAt },
      disk: { status: 'pass', durationMs: Number, checkedAt }
    })
    t.notMatch(answer.body, /hunter2/)
  }
  t.match((await app.inject('/healthz/live?verbose')).json(), { status: 200, title: 'OK', checks: {} })
  t.equal((await app.inject({ method: 'HEAD', url: '/healthz/ready?verbose' })).statusCode, 503)
  t.strictSame((await app.inject('/healthz/ready?other')).json(), { status: 503, title: 'database: away' })
})

t.test('the data of a check is for operators only: with ?verbose, for a check alone, by run() and snapshot()', async t => {
  const { app } = await serve(t, {
    details: request => request.headers['x-operator'] === 'yes',
    ready: {
      disk (context) { context.data = { free: 0.42, total: 100 } },
      queue (context) { context.data = { waiting: 7 }; throw new HealthError('full') },
      plain () {}
    }
  })
  const headers = { 'x-operator': 'yes' }
  const data = (checks: Record<string, healthz.CheckReport>) => Object.values(checks).map(({ data }) => data)
  const all = [{ free: 0.42, total: 100 }, { waiting: 7 }, undefined]
  t.strictSame(data((await app.inject({ url: '/healthz/ready?verbose', headers })).json().checks), all)
  t.strictSame(data((await app.inject({ url: '/healthz/ready/queue', headers })).json().checks), [{ waiting: 7 }])
  t.strictSame(data((await app.healthz.run('ready')).checks), all)
  t.strictSame(data(app.healthz.snapshot().ready!.checks), all)
  for (const path of ['', '?verbose', '?exclude=disk']) {
    t.strictSame((await app.inject(`/healthz/ready${path}`)).json(), { status: 503, title: 'queue: full' })
  }
})

t.test('the log names data that is dropped, once', async t => {
  const { app, lines } = await serve(t, {
    details: true, ready: { disk (context) { context.data = { free: NaN, total: 100 } } }
  })
  for (let i = 0; i < 3; i++) t.strictSame((await app.inject('/healthz/ready?verbose')).json().checks.disk.data, { total: 100 })
  t.match(lines, [{ level: 40, probe: 'ready', check: 'disk', msg: 'ready check "disk" set invalid data, dropped: free (NaN)' }])
  t.equal(lines.length, 1)
})

t.test('?exclude leaves checks out, as often as it is given; unknown names are ignored', async t => {
  let calls = 0
  const { app } = await serve(t, { details: true, ready: { a: () => { calls++; return false }, b: () => false, c: () => {} } })
  const title = async (query: string) => (await app.inject(`/healthz/ready${query}`)).json().title
  t.equal(await title('?exclude=b&exclude=nobody'), 'a: failed')
  t.equal(await title('?exclude=a&exclude=b'), 'OK')
  t.equal(calls, 1, 'what is left out does not run')
  t.equal(await title('?exclude=nobody'), 'a: failed; b: failed')
  t.equal(await title('?exclude=%61'), 'b: failed')
  t.strictSame(Object.keys((await app.inject('/healthz/ready?verbose&exclude=a')).json().checks), ['b', 'c'])
})

t.test('a startup probe does not latch on an answer from which checks were left out', async t => {
  let answer = false
  const { app } = await serve(t, { details: true, startup: { a: () => answer } })
  t.equal((await app.inject('/healthz/startup?exclude=a')).statusCode, 200)
  t.equal((await app.inject('/healthz/startup')).statusCode, 503)
  answer = true
  await app.inject('/healthz/startup?exclude=nobody')
  answer = false
  t.equal((await app.inject('/healthz/startup')).statusCode, 200, 'one that leaves nothing out is a whole answer')
})

t.test('a check alone has a path of its own, for an operator', async t => {
  const { app } = await serve(t, { details: true })
  const database = await app.inject('/healthz/ready/database')
  t.equal(database.statusCode, 503)
  t.match(database.json(), { title: 'database: away', checks: { database: { status: 'fail' } } })
  t.strictSame(Object.keys(database.json().checks), ['database'])
  t.match((await app.inject('/healthz/ready/cache')).json(), { status: 500, title: 'cache: failed unexpectedly', checks: { cache: { status: 'warn' } } })
  t.match((await app.inject('/healthz/ready/disk')).json(), { status: 200, title: 'OK' })
  t.equal((await app.inject({ method: 'HEAD', url: '/healthz/ready/disk' })).statusCode, 200)
  for (const name of ['nobody', 'toString', '__proto__', '', 'database/x', 'x'.repeat(200)]) {
    t.strictSame((await app.inject(`/healthz/ready/${name}`)).json(), { status: 404, title: `The ready/${name} check endpoint is not setup` })
  }
})

t.test('for anybody else there is no difference between a check that exists and one that does not', async t => {
  const late = new Promise<boolean>(() => {})
  const strangers: Array<healthz.HealthzOptions['details']> = [
    undefined, false, () => false, async () => false, () => { throw new Error('no') }, async () => { throw new Error('no') },
    () => late, () => 'yes' as any, () => undefined as any
  ]
  for (const details of strangers) {
    const { app } = await serve(t, { timeout: 20, ...(details !== undefined && { details }) })
    const port = await listen(app)
    const see = async (method: string, path: string) => {
      const { statusLine, headers, body } = await request(port, method, path)
      return [statusLine, [...headers].filter(([name]) => name !== 'date'), body]
    }
    for (const method of ['GET', 'HEAD', 'POST']) {
      const plain = await see(method, '/healthz/ready')
      for (const query of ['?verbose', '?exclude=database', '?exclude=nobody', '?verbose&exclude=database']) {
        t.strictSame(await see(method, `/healthz/ready${query}`), plain, `${method} ${query}`)
      }
      const [line, headers, body] = await see(method, '/healthz/ready/database')
      t.equal(line, 'HTTP/1.1 404 Not Found')
      t.strictSame(await see(method, '/healthz/ready/databasf'), [line, headers, (body as string).replace('database', 'databasf')])
      t.strictSame(await see(method, '/healthz/redyy/database'), [line, headers, (body as string).replace('ready', 'redyy')])
    }
  }
})

t.test('a check alone stands below the prefix, wherever its probe stands', async t => {
  const { app } = await serve(t, { details: true, paths: { ready: '/readyz' } })
  t.equal((await app.inject('/readyz')).json().title, 'database: away')
  t.equal((await app.inject('/healthz/ready/disk')).json().title, 'OK')
})

t.test('details take no route of the app\'s away', async t => {
  for (const [options, path, url] of [
    [{ paths: { ready: '/status' } }, '/status/*', '/status/disk'],
    [{ paths: { ready: '/status' } }, '/status/:id', '/status/disk'],
    [{ prefix: '' }, '/*', '/ready/disk'],
    [{ paths: { ready: '/' } }, '/:id', '/disk']
  ] as const) {
    for (const details of [true, () => false]) {
      const app = Fastify()
      t.teardown(() => app.close())
      app.get(path, async () => 'the app')
      app.register(healthz, { ready: { disk: () => {} }, details, ...options })
      t.equal((await app.inject(url)).body, 'the app', path)
    }
  }
})

t.test('nobody can tell whether there are operators at all', async t => {
  const see = async (details: healthz.HealthzOptions['details']) => {
    const app = Fastify()
    t.teardown(() => app.close())
    app.register(helmet)
    app.register(cors)
    app.addHook('onRequest', async (request, reply) => {
      if (!request.routeOptions.config.healthz) return reply.code(401).send('who are you?')
    })
    app.register(healthz, { ready: { disk: () => {} }, details })
    const answers = []
    for (const method of ['GET', 'HEAD', 'POST'] as const) {
      for (const path of ['ready', 'ready?verbose', 'ready/disk', 'ready/x', 'ready/', 'ready/a/b', 'nowhere/disk', 'nowhere']) {
        const { statusCode, headers: { date, ...headers }, body } = await app.inject({ method, url: `/healthz/${path}` })
        answers.push({ method, path, statusCode, headers, body })
      }
    }
    return answers
  }
  const without = await see(false)
  t.strictSame(await see(() => false), without)
  t.match(without.find(({ path }) => path === 'ready/disk'), { statusCode: 404, headers: { 'x-frame-options': undefined } })
})

t.test('a check is found by its name, whatever length of parameters the app takes', async t => {
  const app = Fastify({ maxParamLength: 5 })
  t.teardown(() => app.close())
  const name = 'x'.repeat(63)
  app.register(healthz, { ready: { [name]: () => {} }, details: true })
  t.equal((await app.inject(`/healthz/ready/${name}`)).statusCode, 200)
})

t.test('names are not looked for before it is known who asks', async t => {
  let looked = 0
  const probe = { name: 'ready', get: () => { looked++ }, run: () => ({ problem: { status: 200, title: 'OK' }, checks: [] }) }
  const access = (option: boolean) => new VerboseAccess(option, 100, new FakeTime(), { detailsRefused () {} }, { bootMs: null }, { list: [] })
  const query = new URLSearchParams('exclude=x&'.repeat(1000))
  await access(false).run(probe as any, query, {} as FastifyRequest)
  t.equal(looked, 0)
  await access(true).run(probe as any, query, {} as FastifyRequest)
  t.equal(looked, 1000)
})

t.test('the timer of a function ends with its answer', async t => {
  const time = new FakeTime()
  const probe = { name: 'ready', run: () => ({ problem: { status: 200, title: 'OK' }, checks: [] }) }
  for (const option of [() => true, async () => false, () => { throw new Error('away') }]) {
    const access = new VerboseAccess(option, 100, time, { detailsRefused () {} }, { bootMs: null }, { list: [] })
    await access.run(probe as any, new URLSearchParams('verbose'), { url: '/healthz/ready?verbose' } as FastifyRequest)
    t.equal(time.timers, 0)
  }
})

t.test('the function sees the request and decides for each', async t => {
  const { app } = await serve(t, { details: async (request: FastifyRequest) => request.headers.authorization === 'Bearer ops' })
  const headers = { authorization: 'Bearer ops' }
  t.ok((await app.inject({ url: '/healthz/ready?verbose', headers })).json().checks)
  t.notOk((await app.inject('/healthz/ready?verbose')).json().checks)
  t.equal((await app.inject({ url: '/healthz/ready/disk', headers })).statusCode, 200)
  t.equal((await app.inject('/healthz/ready/disk')).statusCode, 404)
})

t.test('a function is not asked by a probe that asks for nothing', async t => {
  const { app } = await serve(t, { details: () => t.fail('was asked') as never })
  for (const query of ['', '?', '?x=1', '?verbos']) await app.inject(`/healthz/ready${query}`)
})

t.test('that details were asked for and not given is told once', async t => {
  const { app, lines } = await serve(t, { details: () => false })
  for (const path of ['ready?verbose', 'ready?exclude=disk', 'ready/disk', 'live?verbose']) await app.inject(`/healthz/${path}`)
  t.match(lines.filter(({ msg }) => /details/.test(msg)), [{ level: 40, probe: 'ready' }])
  t.equal(lines.filter(({ msg }) => /details/.test(msg)).length, 1)
})

t.test('under noLog a passing answer to an operator leaves no line either', async t => {
  const { app, lines } = await serve(t, { details: true })
  for (const path of ['live?verbose', 'ready/disk']) await app.inject(`/healthz/${path}`)
  t.strictSame(lines, [])
})

t.test('all who ask at once share the runs: GET, HEAD, ?verbose, a check alone and run()', async t => {
  let calls = 0
  let open = () => {}
  const gate = new Promise<void>(resolve => { open = resolve })
  const { app } = await serve(t, { details: true, ready: { slow: async () => { calls++; await gate } } })
  const answers = [
    app.inject('/healthz/ready'),
    app.inject({ method: 'HEAD', url: '/healthz/ready' }),
    app.inject('/healthz/ready?verbose'),
    app.inject('/healthz/ready/slow'),
    app.healthz.run('ready')
  ]
  await new Promise(resolve => setImmediate(resolve))
  open()
  for (const answer of await Promise.all(answers)) t.equal('statusCode' in answer ? answer.statusCode : answer.status, 200)
  t.equal(calls, 1)
})
