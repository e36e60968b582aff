import Fastify from 'fastify'
import t from 'tap'
import healthz, { HealthError } from '../../../lib/index.js'
import { HealthzLog } from '../../../lib/telemetry/log.js'
import { capture } from '../../helpers/log.js'

t.test('a failure is logged once, and a recovery once with the duration', async t => {
  const { lines, logger } = capture()
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  let error: unknown
  const check = () => { if (error) throw error }
  app.register(healthz, { ready: { database: check }, live: check, noLog: true })

  await app.inject('/healthz/ready')
  error = new HealthError("Can't connect", { cause: new Error('ECONNREFUSED') })
  for (let i = 0; i < 3; i++) await app.inject('/healthz/ready')
  error = undefined
  for (let i = 0; i < 3; i++) await app.inject('/healthz/ready')
  const told = lines.filter(({ msg }) => msg !== 'request completed')
  t.match(told, [
    {
      level: 40,
      probe: 'ready',
      check: 'database',
      err: { type: 'HealthError', message: "Can't connect: ECONNREFUSED", stack: /caused by: Error: ECONNREFUSED/ },
      msg: 'ready check "database" failed: Can\'t connect'
    },
    { level: 30, probe: 'ready', check: 'database', lastedMs: Number, msg: /^ready check "database" recovered after [\d.]+ s$/ }
  ])
  t.equal(told.length, 2)

  lines.length = 0
  error = new TypeError('secret')
  await app.inject('/healthz/live')
  t.match(lines, [
    { level: 50, probe: 'live', check: 'default', err: { type: 'TypeError', message: 'secret' }, msg: 'live check failed unexpectedly' },
    { msg: 'request completed' }
  ])
})

t.test('a check that returned false has no `err`, and one that threw null has null', async t => {
  const { lines, logger } = capture()
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  app.register(healthz, { ready: () => false, live: () => { throw null }, noLog: true }) // eslint-disable-line no-throw-literal
  await app.inject('/healthz/ready')
  await app.inject('/healthz/live')
  const [ready, , live] = lines
  t.notOk('err' in ready!)
  t.equal(live!.err, null)
})

t.test('an error that the logger cannot serialize is logged as text', async t => {
  const { lines, logger } = capture()
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  const cause = new Error('ECONNREFUSED')
  app.register(healthz, {
    ready: () => { throw Object.freeze(new HealthError("Can't connect", { cause })) },
    live: () => { throw Object.defineProperty(new Error(), 'stack', { get () { throw new Error('oops') } }) },
    noLog: true
  })
  await app.inject('/healthz/ready')
  await app.inject('/healthz/live')
  t.match(lines.filter(({ msg }) => msg !== 'request completed'), [
    { level: 40, probe: 'ready', errText: /^`HealthError: Can't connect\n.*ECONNREFUSED/s, msg: "ready check failed: Can't connect" },
    { level: 50, probe: 'live', errText: /^`object`$|^`\[Error\].*` \(object\)$/, msg: 'live check failed unexpectedly' }
  ])
  t.match(lines[0]!.errText, /log\.test\.ts/, 'with the stack')
})

t.test('a line is logged even if the serializer for `err` throws', async t => {
  const { lines, logger } = capture({ serializers: { err: () => { throw new Error('in the serializer') } } })
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  const thrown: unknown[] = [new HealthError("Can't connect"), 'a text', undefined]
  app.register(healthz, { ready: () => { throw thrown[0] }, live: () => { throw thrown[1] }, startup: () => { throw thrown[2] }, noLog: true })
  await app.ready()
  for (const probe of ['ready', 'live', 'startup']) await app.healthz.run(probe)
  t.match(lines, [
    { level: 40, errText: /^`HealthError: Can't connect\n/, msg: "ready check failed: Can't connect" },
    { level: 50, errText: "`'a text'` (string)", msg: 'live check failed unexpectedly' },
    { level: 50, msg: 'startup check failed unexpectedly' }
  ])
  t.notOk(lines.some(line => 'err' in line))
})

t.test('a logger that always throws is called at most twice, and its error is swallowed', async t => {
  const asked: unknown[] = []
  const log = new HealthzLog({ error (...line: unknown[]) { asked.push(line); throw new Error('disk full') } } as any)
  log.listenerFailed(new Error('x'.repeat(100_000)))
  t.match(asked, [[{ err: Error }], [{ errText: /^`Error: x{10000,}…` \(object\)$/ }]])
  asked.length = 0
  log.stuck({ probe: 'ready', name: 'a' }, 3)
  t.equal(asked.length, 1)
})

t.test('a message is truncated like in a response', async t => {
  const { lines, logger } = capture()
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  app.register(healthz, { ready: () => { throw new HealthError('x'.repeat(1_000_000)) }, noLog: true })
  await app.inject('/healthz/ready')
  t.match(lines[0], { msg: /^ready check failed: x{10000,10240}…$/, err: { message: /^x{1000000}$/ } })
})

t.test('each line has its level, message and bindings', async t => {
  const lines: unknown[][] = []
  const write = (level: string) => (...line: unknown[]) => { lines.push([level, ...line]) }
  const log = new HealthzLog({ fatal: write('fatal'), error: write('error'), warn: write('warn'), info: write('info'), debug: write('debug') } as any)
  const check = { probe: 'ready', name: 'database', timeout: 800 }
  const bindings = { probe: 'ready', check: 'database' }
  const result = { outcome: 'fail', startedAt: 0, checkedAt: 0, durationMs: 0 } as const
  const error = new Error('x')
  log.tolerated(check, { ...result, outcome: 'warn', reason: 'failed', message: 'away', error, failures: 2 })
  log.failing(check, { ...result, reason: 'timeout' }, 0)
  log.failing(check, { ...result, reason: 'timeout', failures: 3 }, 0)
  log.failing(check, { ...result, reason: 'timeout', failures: 1 }, 0)
  log.failing(check, { ...result, reason: 'failed', message: 'away', error }, 7)
  log.causeChanged(check, { ...result, reason: 'unexpected', error })
  log.causeChanged(check, { ...result, reason: 'failed', message: 'away', error })
  log.recovered({ probe: 'ready', name: 'default' }, 61_234.5678, 0)
  log.recovered(check, 500, 1)
  log.overran(check, 1200.4)
  log.stuck(check, 3)
  log.dataDropped(check, 'rows (object)')
  log.probeAborted({ probe: 'ready', waitedMs: 1003.4, checks: ['database', 'cache'] })
  log.probeAborted({ probe: 'ready', waitedMs: 1003, checks: ['default'] })
  log.probeAborted({ probe: 'ready', waitedMs: 1003, checks: [] })
  log.detailsRefused('ready')
  log.detailsRefused('ready')
  log.listenerFailed(error)
  log.served(23_400)
  log.drainBegan(5000, 'SIGTERM')
  log.drainBegan(1500, undefined)
  log.waiting(['job 42', 'upload'])
  log.abandoned(Array.from({ length: 12 }, (_, i) => `job ${i}`), 10_000)
  log.drainEnded(5001.4)
  log.drainTooShort(12)
  log.listening({ address: '::', family: 'IPv6', port: 9090 })
  log.listening({ address: '0.0.0.0', family: 'IPv4', port: 9090 })
  log.signalShared('SIGINT')
  log.noSignals()
  log.uncaught(error, 'uncaught exception')
  log.uncaughtAtEnd(error, 'unhandled rejection')
  log.signalAtEnd('SIGTERM')
  log.closeFailed(error)
  log.closeTimedOut(15_000, [])
  log.closeTimedOut(15_000, ['job 42', 'upload'])
  const ten = Array.from({ length: 10 }, (_, i) => `job ${i}`)
  t.strictSame(lines, [
    ['debug', { ...bindings, err: error, failures: 2 }, 'ready check "database" failed: away (tolerated)'],
    ['warn', bindings, 'ready check "database" timed out'],
    ['warn', { ...bindings, failures: 3 }, 'ready check "database" timed out (3 failures in a row)'],
    ['warn', { ...bindings, failures: 1 }, 'ready check "database" timed out'],
    ['warn', { ...bindings, err: error, unloggedFlips: 7 }, 'ready check "database" failed: away (7 flips in the last 10 s not logged)'],
    ['error', { ...bindings, err: error }, 'ready check "database" failed unexpectedly (still failing, cause changed)'],
    ['warn', { ...bindings, err: error }, 'ready check "database" failed: away (still failing, cause changed)'],
    ['info', { probe: 'ready', check: 'default', lastedMs: 61235 }, 'ready check recovered after 61.235 s'],
    ['info', { ...bindings, lastedMs: 500, unloggedFlips: 1 }, 'ready check "database" recovered after 0.5 s (1 flip in the last 10 s not logged)'],
    ['warn', { ...bindings, blockedMs: 1200 }, 'ready check "database" blocked the event loop for 1200 ms, past its timeout of 800 ms'],
    ['error', { ...bindings, runs: 3 }, 'ready check "database" is stuck: 3 runs are still pending, a new one starts once a minute'],
    ['warn', bindings, 'ready check "database" set invalid data, dropped: rows (object)'],
    ['warn', { probe: 'ready', waitedMs: 1003, checks: ['database', 'cache'] }, 'ready probe aborted by the client after 1003 ms, waiting for database, cache'],
    ['warn', { probe: 'ready', waitedMs: 1003, checks: ['default'] }, 'ready probe aborted by the client after 1003 ms, waiting for its check'],
    ['warn', { probe: 'ready', waitedMs: 1003 }, 'ready probe aborted by the client after 1003 ms'],
    ['warn', { probe: 'ready' }, 'probe details denied by the `details` option (logged once)'],
    ['error', { err: error }, 'healthz.onChange listener failed'],
    ['info', { bootMs: 23_400 }, 'serving after 23.4 s'],
    ['info', { delayMs: 5000, signal: 'SIGTERM' }, 'SIGTERM: draining for 5 s, ready fails from now on'],
    ['info', { delayMs: 1500 }, 'draining for 1.5 s, ready fails from now on'],
    ['info', { holds: ['job 42', 'upload'] }, 'waiting for job 42, upload'],
    ['warn', { afterMs: 10_000, holds: ten }, `stopped waiting for ${ten.join(', ')} and 2 more after 10 s`],
    ['info', { lastedMs: 5001 }, 'drained for 5.001 s'],
    ['warn', { newConnections: 12 }, 'drain ended while traffic was still arriving: 12 new connections in the last second, raise shutdown.delay'],
    ['info', { address: '::', port: 9090 }, 'Probes listening at http://[::]:9090'],
    ['info', { address: '0.0.0.0', port: 9090 }, 'Probes listening at http://0.0.0.0:9090'],
    ['warn', { signal: 'SIGINT' }, 'another SIGINT listener is registered and may exit the process before it has drained'],
    ['warn', {}, 'shutdown receives no signals in a worker thread: post it a message that drains and closes the app'],
    ['fatal', { err: error }, 'uncaught exception, closing before exit with code 1'],
    ['fatal', { err: error }, 'unhandled rejection during shutdown, exiting'],
    ['error', { signal: 'SIGTERM' }, 'SIGTERM during shutdown, exiting'],
    ['error', { err: error }, 'close failed, exiting with code 1'],
    ['error', { afterMs: 15_000 }, 'close timed out after 15 s, exiting'],
    ['error', { afterMs: 15_000, holds: ['job 42', 'upload'] }, 'close timed out after 15 s, exiting (held by: job 42, upload)']
  ])
})

t.test('a log is enabled unless the app has no logger or a silent one', async t => {
  const enabled = (logger: any) => new HealthzLog(Fastify({ logger }).log).enabled
  t.strictSame([enabled(false), enabled({ level: 'silent' }), enabled(capture().logger)], [false, false, true])
  const chosen = (logger: object) => new HealthzLog(logger as any, true).enabled
  t.strictSame([chosen({}), chosen({ level: 'info' }), chosen({ level: 'silent' })], [true, true, false])
})
