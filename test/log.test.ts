import Fastify from 'fastify'
import t from 'tap'
import healthz, { HealthError } from '../lib/index.js'
import { HealthzLog } from '../lib/log.js'
import { capture } from './helpers/log.js'

t.test('the log tells once that a check begins to fail, and once that it recovered after how long', async t => {
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

t.test('a check that gave back false has no error to log, and one that threw nothing has null', async t => {
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

t.test('what a logger cannot serialize is written as a text', async t => {
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
    { level: 40, probe: 'ready', err: /^`HealthError: Can't connect\n.*ECONNREFUSED/s, msg: "ready check failed: Can't connect" },
    { level: 50, probe: 'live', err: /^`object`$|^`\[Error\].*` \(object\)$/, msg: 'live check failed unexpectedly' }
  ])
  t.match(lines[0]!.err, /log\.test\.ts/, 'with the stack')
})

t.test('a logger that always throws is asked no more than twice, and is no error of a check\'s', async t => {
  const asked: unknown[] = []
  const log = new HealthzLog({ error (...line: unknown[]) { asked.push(line); throw new Error('disk full') } } as any)
  log.listenerFailed(new Error('x'.repeat(100_000)))
  t.match(asked, [[{ err: Error }], [{ err: /^`Error: x{10000,}…` \(object\)$/ }]])
  asked.length = 0
  log.stuck({ probe: 'ready', name: 'a' }, 3, 600_000)
  t.equal(asked.length, 1)
})

t.test('a message is cut as it is in an answer', async t => {
  const { lines, logger } = capture()
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  app.register(healthz, { ready: () => { throw new HealthError('x'.repeat(1_000_000)) }, noLog: true })
  await app.inject('/healthz/ready')
  t.match(lines[0], { msg: /^ready check failed: x{10000,10240}…$/, err: { message: /^x{1000000}$/ } })
})

t.test('each line of the plugin has its level, its words and its bindings', async t => {
  const lines: unknown[][] = []
  const write = (level: string) => (...line: unknown[]) => { lines.push([level, ...line]) }
  const log = new HealthzLog({ fatal: write('fatal'), error: write('error'), warn: write('warn'), info: write('info') } as any)
  const check = { probe: 'ready', name: 'database', timeout: 800 }
  const bindings = { probe: 'ready', check: 'database' }
  const result = { outcome: 'fail', startedAt: 0, checkedAt: 0, durationMs: 0 } as const
  const error = new Error('x')
  log.failing(check, { ...result, reason: 'timeout' })
  log.causeChanged(check, { ...result, reason: 'unexpected', error })
  log.causeChanged(check, { ...result, reason: 'failed', message: 'away', error })
  log.recovered({ probe: 'ready', name: 'default' }, 61_234.5678)
  log.overran(check, 1200.4)
  log.stuck(check, 3, 600_000)
  log.detailsRefused('ready')
  log.detailsRefused('ready')
  log.listenerFailed(error)
  log.drainBegan(5000, 'SIGTERM')
  log.drainBegan(1500, undefined)
  log.drainEnded(5001.4)
  log.listening({ address: '::', family: 'IPv6', port: 9090 })
  log.listening({ address: '0.0.0.0', family: 'IPv4', port: 9090 })
  log.signalShared('SIGINT')
  log.uncaught(error)
  log.uncaughtAtEnd(error)
  log.secondSignal('SIGTERM')
  log.closeFailed(error)
  log.notClosed(15_000)
  t.strictSame(lines, [
    ['warn', bindings, 'ready check "database" timed out'],
    ['error', { ...bindings, err: error }, 'ready check "database" failed unexpectedly (it was failing already, for another cause)'],
    ['warn', { ...bindings, err: error }, 'ready check "database" failed: away (it was failing already, for another cause)'],
    ['info', { probe: 'ready', check: 'default', lastedMs: 61235 }, 'ready check recovered after 61.235 s'],
    ['warn', { ...bindings, blockedMs: 1200 }, 'ready check "database" blocked the event loop for 1200 ms, past its timeout of 800 ms'],
    ['error', { ...bindings, runs: 3 }, 'ready check "database" is stuck: 3 runs have not come back, a new one starts only every 10 min'],
    ['warn', { probe: 'ready' }, 'details of a probe were asked for and not given: the option `details` does not allow them (told once)'],
    ['error', { err: error }, 'a listener of healthz.onChange failed'],
    ['info', { delayMs: 5000, signal: 'SIGTERM' }, 'SIGTERM: draining for 5 s, ready fails from now on'],
    ['info', { delayMs: 1500 }, 'draining for 1.5 s, ready fails from now on'],
    ['info', { lastedMs: 5001 }, 'drained for 5.001 s'],
    ['info', { address: '::', port: 9090 }, 'Probes listening at http://[::]:9090'],
    ['info', { address: '0.0.0.0', port: 9090 }, 'Probes listening at http://0.0.0.0:9090'],
    ['warn', { signal: 'SIGINT' }, 'SIGINT has another listener besides ours, which may end the process before it has drained'],
    ['fatal', { err: error }, 'an error was thrown out of the event loop: closing, to exit with 1'],
    ['fatal', { err: error }, 'an error was thrown out of the event loop while the process ends: exiting at once'],
    ['error', { signal: 'SIGTERM' }, 'second SIGTERM: exiting at once'],
    ['error', { err: error }, 'closing failed: exiting with 1'],
    ['error', { afterMs: 15_000 }, 'not closed after 15 s: exiting at once']
  ])
})

t.test('a log is enabled unless the app has none, or a silent one', async t => {
  const enabled = (logger: any) => new HealthzLog(Fastify({ logger }).log).enabled
  t.strictSame([enabled(false), enabled({ level: 'silent' }), enabled(capture().logger)], [false, false, true])
})
