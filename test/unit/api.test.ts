import { setTimeout as sleep } from 'node:timers/promises'
import Fastify, { type FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import t, { type Test } from 'tap'
import healthz, { HealthError } from '../../lib/index.js'
import { capture, messages } from '../helpers/log.js'
import { listen, request } from '../helpers/raw.js'

async function boot (t: Test, options: healthz.HealthzOptions = {}, prepare = (_app: FastifyInstance) => {}) {
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(healthz, options)
  prepare(app)
  await app.ready()
  return app
}

const title = async (app: FastifyInstance, probe: string) => (await app.inject(`/healthz/${probe}`)).json().title

t.test('a plugin registered later adds a check for what it owns, and takes it away again', async t => {
  let up = false
  let undo = () => {}
  const app = await boot(t, {}, app => app.register(fp(async app => {
    undo = app.healthz.add('ready', 'database', async () => { if (!up) throw new HealthError('away') })
  })))
  t.equal(await title(app, 'ready'), 'database: away')
  up = true
  t.equal(await title(app, 'ready'), 'OK')
  up = false
  undo()
  undo()
  t.equal(await title(app, 'ready'), 'OK')
})

t.test('a plugin in a scope of its own can add one too, and one can be added when the app is ready', async t => {
  const app = await boot(t, { probes: { deep: { a: () => {} } } }, app => app.register(async scope => {
    scope.healthz.add('live', 'scoped', () => false)
  }, { prefix: '/x' }))
  t.equal(await title(app, 'live'), 'scoped: failed')
  app.healthz.add('deep', 'b', { check: () => false, critical: false })
  app.healthz.add('deep', 'c', { check: () => new Promise(() => {}), timeout: 1 })
  t.equal(await title(app, 'deep'), 'c: timed out')
})

t.test('a check gets the app of the plugin, its names, a signal and a logger', async t => {
  const app = await boot(t)
  app.healthz.add('ready', 'a', async function (context) {
    t.equal(this, app)
    t.equal(context.app, app)
    t.strictSame([context.probe, context.check], ['ready', 'a'])
    t.ok(context.signal instanceof AbortSignal)
    t.type(context.log.info, 'function')
  })
  t.equal(await title(app, 'ready'), 'OK')
})

t.test('what can not be added is refused with a code', async t => {
  const app = await boot(t, { live: false, ready: { database: () => {} }, startup: () => {} })
  const { healthz } = app
  const add = (...args: any[]) => () => { (healthz.add as any)(...args) }
  t.throws(add('ready', 'database', () => {}), { code: 'HEALTHZ_ERR_CHECK_EXISTS' })
  t.throws(add('redy', 'a', () => {}), { code: 'HEALTHZ_ERR_PROBE_UNKNOWN', message: 'Unknown probe `redy`: expected one of `ready`, `startup`' })
  t.throws(add('live', 'a', () => {}), { code: 'HEALTHZ_ERR_PROBE_OFF' })
  t.throws(add('ready', 'a b', () => {}), { code: 'HEALTHZ_ERR_OPTION_INVALID' })
  t.throws(add('ready', 'a'), { code: 'HEALTHZ_ERR_OPTION_INVALID' })
  t.throws(add('ready', 'timeout', () => {}), { code: 'HEALTHZ_ERR_OPTION_INVALID' })
  t.throws(add('ready', 'a', { check: () => {}, interval: 0 }), { code: 'HEALTHZ_ERR_OPTION_INVALID' })
  t.throws(add('ready', 'a', { check: () => {}, intervall: 1 }), { code: 'HEALTHZ_ERR_OPTION_UNKNOWN' })
  t.throws(add('ready', 'a', './checks.js#a'), {
    code: 'HEALTHZ_ERR_OPTION_INVALID',
    message: 'Expected `ready.a` to be a function, since a module can only be loaded while the app boots, got `\'./checks.js#a\'` (string)'
  })
  t.doesNotThrow(add('startup', 'a', () => {}))
  await app.inject('/healthz/startup')
  t.throws(add('startup', 'b', () => {}), { code: 'HEALTHZ_ERR_STARTUP_PASSED' })
  t.throws(() => healthz.onChange('x' as any), { code: 'HEALTHZ_ERR_OPTION_INVALID' })
  await t.rejects(healthz.run('live'), { code: 'HEALTHZ_ERR_PROBE_OFF' })
  await t.rejects(healthz.run('redy'), { code: 'HEALTHZ_ERR_PROBE_UNKNOWN' })
})

t.test('run answers as the probe would, with its checks', async t => {
  const app = await boot(t, { ready: { a: () => {}, b: async () => { throw new HealthError('away') } } })
  t.match(await app.healthz.run('ready'), {
    status: 503, title: 'b: away', checks: { a: { status: 'pass' }, b: { status: 'fail', title: 'away' } }
  })
  t.match(await app.healthz.run('live'), { status: 200, title: 'OK', checks: {} })
})

t.test('a snapshot runs nothing', async t => {
  let calls = 0
  const app = await boot(t, { ready: { a: () => { calls++ } } })
  t.match(app.healthz.snapshot(), { live: { outcome: 'unknown', checks: {} }, ready: { outcome: 'unknown', checks: { a: { title: 'not checked yet' } } } })
  await app.inject('/healthz/ready')
  t.match(app.healthz.snapshot(), { ready: { outcome: 'pass', checks: { a: { status: 'pass' } } } })
  t.equal(calls, 1)
})

t.test('the state goes from starting to serving, draining, closing and closed, and each change is an event', async t => {
  const app = Fastify({ return503OnClosing: false })
  const changes: unknown[] = []
  app.register(healthz, { ready: () => {} })
  await app.after()
  app.healthz.onChange(({ kind, from, to }) => { changes.push([kind, from, to]) })
  t.equal(app.healthz.state, 'starting')
  t.match(await app.healthz.run('ready'), { status: 503, title: 'Starting' })
  t.match(await app.healthz.run('startup'), { status: 503, title: 'Starting' })
  t.match(await app.healthz.run('live'), { status: 200 })
  await app.ready()
  t.equal(app.healthz.state, 'serving')
  await app.inject('/healthz/ready')
  await app.healthz.drain(0)
  await app.close()
  t.equal(app.healthz.state, 'closed')
  t.match(await app.healthz.run('ready'), { status: 503, title: 'Shutting down' })
  t.match(await app.healthz.run('live'), { status: 200 })
  t.strictSame(changes, [
    ['probe', 'unknown', 'fail'], ['probe', 'unknown', 'fail'], ['probe', 'unknown', 'pass'],
    ['state', 'starting', 'serving'],
    ['check', 'unknown', 'pass'], ['probe', 'fail', 'pass'],
    ['state', 'serving', 'draining'], ['state', 'draining', 'closing'], ['state', 'closing', 'closed'],
    ['probe', 'pass', 'fail']
  ])
})

t.test('without a drain the state goes from serving to closing', async t => {
  const app = await boot(t)
  const states: unknown[] = []
  app.healthz.onChange(({ to }) => { states.push([to, app.healthz.state]) })
  await app.close()
  t.strictSame(states, [['closing', 'closing'], ['closed', 'closed']])
})

t.test('a drain during the boot runs no check of live, and startup has yet to pass', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(healthz, {
    live: ({ app }) => (app as any).worker.alive,
    startup: ({ app }) => (app as any).worker.alive,
    ready: { undone: () => {} }
  })
  await app.after()
  await app.healthz.drain(0)
  t.match(await app.healthz.run('live'), { status: 200, title: 'OK' })
  t.match(await app.healthz.run('startup'), { status: 503, title: 'Starting' })
  t.match(await app.healthz.run('ready'), { status: 503, title: 'Shutting down' })
  app.decorate('worker', { alive: false })
  await app.ready()
  t.match(await app.healthz.run('live'), { status: 503, title: 'The live check failed' })
  t.match(await app.healthz.run('startup'), { status: 503, title: 'The startup check failed' }, 'nothing was kept of the boot')
})

t.test('an app that closes but still answers says Shutting down on ready, and passes live', async t => {
  const app = Fastify({ return503OnClosing: false })
  const answers: unknown[] = []
  await app.register(healthz)
  let port = 0
  app.addHook('preClose', async () => {
    for (const probe of ['live', 'ready']) answers.push(JSON.parse((await request(port, 'GET', `/healthz/${probe}`)).body).title)
  })
  port = await listen(app)
  await app.close()
  // Fastify 5.0 calls a hook once for each scope that there is already.
  t.strictSame(answers.slice(0, 2), ['OK', 'Shutting down'])
})

t.test('a drain settles after its delay, a second call returns the same promise, and a close ends it at once', async t => {
  const app = await boot(t)
  const first = app.healthz.drain(5)
  t.equal(app.healthz.drain(60_000), first)
  await first
  t.equal(app.healthz.drain(), first, 'also when it is over')
  t.equal(app.healthz.state, 'draining')
  t.equal(await title(app, 'ready'), 'Shutting down')
  t.equal(await title(app, 'live'), 'OK')

  const other = await boot(t)
  const drained = other.healthz.drain(60_000)
  await other.close()
  await drained
  await t.rejects(other.healthz.drain(-1), { code: 'HEALTHZ_ERR_OPTION_INVALID', message: 'Expected `delay` to be an integer >= 0, got `-1` (number)' })
})

t.test('without a delay a drain takes 5 s in a pod, and no time under a watcher', async t => {
  t.intercept(process, 'env', { value: { KUBERNETES_SERVICE_HOST: '10.96.0.1' } })
  const pod = await boot(t)
  let over = false
  pod.healthz.drain().then(() => { over = true })
  await new Promise(resolve => setTimeout(resolve, 20))
  t.notOk(over)
  t.intercept(process, 'env', { value: { WATCH_REPORT_DEPENDENCIES: '1' } })
  await (await boot(t)).healthz.drain()
})

t.test('a drain begun in preClose is waited for, and the app answers until it is over', async t => {
  const app = Fastify({ return503OnClosing: false })
  await app.register(healthz)
  app.get('/', async () => 'served')
  let port = 0
  const answers: unknown[] = []
  app.addHook('preClose', async () => {
    const drained = app.healthz.drain(100)
    for (const path of ['/', '/healthz/live', '/healthz/ready']) {
      const { body, headers } = await request(port, 'GET', path)
      answers.push([body, headers.get('connection')])
    }
    await drained
    answers.push('drained')
  })
  port = await listen(app)
  await app.close()
  t.strictSame(answers.slice(0, 4), [
    ['served', 'close'], ['{"status":200,"title":"OK"}', 'close'], ['{"status":503,"title":"Shutting down"}', 'close'], 'drained'
  ])
})

t.test('nothing runs any more when the app has closed', async t => {
  let calls = 0
  const app = Fastify()
  app.register(healthz, { ready: { often: { check: () => { calls++ }, interval: 1 }, asked: () => { calls++ } } })
  await app.ready()
  t.equal(calls, 1, 'one in the background runs when the app is ready')
  await app.close()
  const before = calls
  await app.healthz.run('ready')
  await new Promise(resolve => setTimeout(resolve, 20))
  t.equal(calls, before)
})

t.test('adding and taking away while probes are in flight is safe', async t => {
  const app = await boot(t, { ready: { slow: () => new Promise(resolve => setImmediate(resolve)) } })
  const undos: Array<() => void> = []
  const answers = []
  for (let i = 0; i < 100; i++) {
    answers.push(app.inject('/healthz/ready'))
    undos.push(app.healthz.add('ready', `check-${i}`, async () => {}))
    if (i % 3 === 0) undos.shift()!()
  }
  for (const { statusCode } of await Promise.all(answers)) t.equal(statusCode, 200)
})

t.test('a hold is listed until it is released, by a call or by `using`', async t => {
  const app = await boot(t)
  const { healthz } = app
  t.strictSame(healthz.holds, [])
  const release = healthz.hold('job 42')
  const other = healthz.hold('x'.repeat(200))
  t.match(healthz.holds, [{ name: 'job 42', heldMs: Number }, { name: /^x+…$/ }])
  t.equal(Buffer.byteLength(healthz.holds[1]!.name), 100, 'a long name is truncated')
  release()
  release()
  other[Symbol.dispose]()
  t.strictSame(healthz.holds, [])
  for (const name of ['', undefined, 5, null]) {
    t.throws(() => healthz.hold(name as any), { code: 'HEALTHZ_ERR_OPTION_INVALID', message: /^Expected `name` to be / })
  }
})

t.test('an operator sees what is held, and how long the boot took', async t => {
  const app = await boot(t, { details: true })
  t.ok(app.healthz.bootMs! > 0)
  const releases = ['job 42', '<b>'].map(name => app.healthz.hold(name))
  const verbose = async (probe: string) => (await app.inject(`/healthz/${probe}?verbose`)).json()
  t.match(await verbose('ready'), { status: 200, holds: [{ name: 'job 42', heldMs: Number }, { name: '<b>' }] })
  t.equal((await verbose('startup')).bootMs, app.healthz.bootMs)
  t.notOk('bootMs' in await verbose('ready'))
  t.notOk('holds' in (await app.inject('/healthz/ready')).json())
  for (const release of releases) release()
  t.notOk('holds' in await verbose('ready'))
})

t.test('the drain signal works with what takes a signal, without a warning about listeners', async t => {
  const app = await boot(t)
  const { drainSignal } = app.healthz
  const warned: unknown[] = []
  const warn = (warning: Error) => { warned.push(warning.name) }
  process.on('warning', warn)
  t.teardown(() => { process.off('warning', warn) })
  const ends = Array.from({ length: 50 }, () => sleep(60_000, undefined, { signal: drainSignal }).catch((error: Error) => error.name))
  t.notOk(drainSignal.aborted)
  app.healthz.drain(0)
  t.strictSame(new Set(await Promise.all(ends)), new Set(['AbortError']))
  await sleep(0)
  t.strictSame(warned, [])
  t.equal(app.healthz.drainSignal, drainSignal)
})

t.test('a logger that was passed takes the lines of the plugin, and no others', async t => {
  const { lines, logger } = capture()
  const passed = capture()
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  app.register(healthz, { ready: () => { throw new HealthError('away') }, logger: Fastify({ logger: passed.logger }).log })
  app.get('/', async request => { request.log.info('the app') })
  await app.inject('/')
  await app.inject('/healthz/ready')
  await app.healthz.drain(0)
  t.strictSame(messages(lines).filter(msg => !/request/.test(msg)), ['the app'])
  t.match(messages(passed.lines), ['ready check failed: away', /^draining/, /^drained/])
})
