import Fastify, { type FastifyBaseLogger, type FastifyServerOptions, LogController } from 'fastify'
import pino from 'pino'
import t, { type Test } from 'tap'
import healthz, { HealthError } from '../../../lib/index.js'
import { capture, type LogLine, messages } from '../../helpers/log.js'
import { listen, request } from '../../helpers/raw.js'

const down = () => { throw new HealthError('away') }

/** An app with a passing `live` and a failing `ready`, and the lines it wrote for one request. */
async function linesOf (t: Test, server: FastifyServerOptions, url: string, lines: LogLine[], prepare = (_app: any) => {}) {
  const app = Fastify(server)
  t.teardown(() => app.close())
  prepare(app)
  app.register(healthz, { ready: down, noLog: true })
  await app.inject('/healthz/ready') // The change is told once; what follows is the rest.
  lines.length = 0
  await app.inject(url)
  return lines
}

// What came during Fastify 5.
const older = { skip: !LogController && 'this Fastify has no LogController' }

t.test('under noLog a passing probe leaves no line at any level', async t => {
  const { lines, logger } = capture({ level: 'trace' })
  await linesOf(t, { logger }, '/healthz/live', lines, app => {
    app.addHook('onRequest', async (request: any) => { request.log.info('mine'); request.log.debug('mine'); request.log.trace('mine') })
    app.addHook('onSend', async (request: any) => { request.log.child({ a: 1 }).child({ b: 1 }).info('mine') })
    app.addHook('onResponse', async (_request: any, reply: any) => { reply.log.info('mine') })
  })
  t.strictSame(lines, [])
})

t.test('under noLog any other answer leaves its line, with the probe and the title', async t => {
  const { lines, logger } = capture()
  // Where there is a LogController it has the label; the option is the older way.
  const label = LogController ? { logController: new LogController({ requestIdLogLabel: 'id' }) } : { requestIdLogLabel: 'id' }
  await linesOf(t, { logger, ...label } as any, '/healthz/ready', lines)
  t.match(lines, [{ level: 30, msg: 'request completed', id: 'req-2', probe: 'ready', title: 'away', res: { statusCode: 503 } }])
  t.equal(lines.length, 1)
})

t.test('under noLog a long title is that of the body', async t => {
  const { lines, logger } = capture()
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  app.register(healthz, { ready: () => { throw new HealthError('é\0'.repeat(1_000_000)) }, noLog: true })
  const { title } = (await app.inject('/healthz/ready')).json()
  t.ok(title.length < 10_240)
  t.equal(lines.at(-1)!.title, title)
})

t.test('without noLog a probe is logged as any route', async t => {
  const { lines, logger } = capture()
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  app.register(healthz)
  await app.inject('/healthz/live')
  t.strictSame(messages(lines), ['incoming request', 'request completed'])
})

t.test('under noLog warnings and errors of the app\'s hooks always pass, with the request\'s bindings', async t => {
  const { lines, logger } = capture()
  await linesOf(t, { logger }, '/healthz/live', lines, app => {
    app.addHook('onRequest', async (request: any) => {
      request.log.warn('a warning')
      request.log.child({ user: 7 }).error('an error')
      request.log.fatal('the end')
    })
  })
  t.match(lines, [
    { level: 40, msg: 'a warning', reqId: 'req-2' }, { level: 50, msg: 'an error', reqId: 'req-2', user: 7 }, { level: 60, msg: 'the end' }
  ])
  t.equal(lines.length, 3)
})

t.test('under noLog an answer given by a hook of the app is logged', async t => {
  for (const [hook, answer] of [
    ['onRequest', async (_request: any, reply: any) => reply.code(401).send('who are you?')],
    ['onRequest', async (_request: any, reply: any) => reply.redirect('https://localhost/', 308)],
    ['preHandler', async (_request: any, reply: any) => reply.code(200).send('welcome')],
    ['onRequest', async () => { throw Object.assign(new Error('token expired'), { statusCode: 401 }) }],
    ['onSend', async () => { throw new Error('boom') }],
    ['onRequest', (_request: any, reply: any) => { reply.hijack(); reply.raw.writeHead(418).end() }]
  ] as const) {
    const { lines, logger } = capture()
    const app = Fastify({ logger })
    t.teardown(() => app.close())
    app.register(healthz, { noLog: true })
    app.addHook(hook as 'onRequest', answer)
    const { statusCode } = await app.inject('/healthz/live')
    const completed = lines.filter(({ msg }) => msg === 'request completed')
    t.match(completed, [{ probe: 'live', res: { statusCode } }], String(statusCode))
    t.equal(completed.length, 1)
    t.strictSame(lines.filter(({ msg }) => msg === 'incoming request'), [])
  }
})

t.test('under noLog the level of the app is respected', async t => {
  for (const [level, ready] of [['silent', 0], ['error', 0], ['warn', 0], ['info', 1], ['trace', 1]] as const) {
    const { lines, logger } = capture({ level })
    t.equal((await linesOf(t, { logger }, '/healthz/ready', lines)).length, ready, level)
  }
  const { lines, logger } = capture({ level: 'silent' })
  await linesOf(t, { logger }, '/healthz/live', lines, app => app.addHook('onRequest', async (request: any) => { request.log.fatal('x') }))
  t.strictSame(lines, [])
})

t.test('under noLog the LogController of the app holds', older, async t => {
  class Mine extends LogController {
    override incomingRequest (request: any) { request.log.info({ path: request.url }, 'mine: in') }
    override requestCompleted (_error: any, _request: any, reply: any) { reply.log.info({ status: reply.statusCode }, 'mine: out') }
  }
  const { lines, logger } = capture()
  t.strictSame(messages(await linesOf(t, { logger, logController: new Mine() } as any, '/healthz/live', lines)), [])
  t.strictSame(messages(await linesOf(t, { logger, logController: new Mine() } as any, '/healthz/ready', lines)), ['mine: out'])
  const off = new LogController({ disableRequestLogging: true })
  t.strictSame(messages(await linesOf(t, { logger, logController: off } as any, '/healthz/ready', lines)), [])
})

t.test('a LogController of the app can leave probes out by their config', older, async t => {
  class QuietProbes extends LogController {
    override isLogDisabled (request: any) { return request.routeOptions?.config.healthz !== undefined || super.isLogDisabled(request) }
  }
  const { lines, logger } = capture()
  const app = Fastify({ logger, logController: new QuietProbes() } as any)
  t.teardown(() => app.close())
  app.register(healthz)
  await app.inject('/healthz/live')
  t.strictSame(lines, [])
  await app.inject('/other')
  t.ok(lines.length > 0)
})

t.test('under noLog the childLoggerFactory of the app is used for what is logged', async t => {
  const { lines, logger } = capture()
  await linesOf(t, { logger }, '/healthz/ready', lines, app => {
    app.setChildLoggerFactory((logger: any, bindings: any, options: any, raw: any) => logger.child({ ...bindings, agent: raw.headers['user-agent'] }, options))
  })
  t.match(lines, [{ msg: 'request completed', agent: 'lightMyRequest' }])
})

t.test('under noLog the logger of a request can do all that the app\'s logger can', async t => {
  const { lines, stream } = capture()
  const loggerInstance = pino({ customLevels: { verbose: 25, audit: 35, alarm: 55 } }, stream)
  let seen: unknown[] = []
  await linesOf(t, { loggerInstance }, '/healthz/ready', lines, app => {
    app.addHook('onRequest', async (request: any) => {
      request.log.setBindings({ user: 7 })
      request.log.audit('before the answer is known')
      request.log.verbose('too')
      request.log.alarm('now')
      request.log.level = 'verbose'
      seen = [request.log.level, request.log.isLevelEnabled('trace'), request.log.bindings(), request.log.nonsense]
    })
    app.addHook('onResponse', async (request: any) => { request.log.verbose('once it is known') })
  })
  t.match(seen, ['verbose', false, { user: 7 }, undefined])
  t.match(lines, [
    { level: 55, msg: 'now', user: 7 }, { level: 25, msg: 'once it is known', user: 7, probe: 'ready' }, { msg: 'request completed', user: 7, probe: 'ready' }
  ])
  t.equal(lines.length, 3)
})

t.test('under noLog levels that descend, as those of syslog, are told apart by the side of warn on which they are', async t => {
  const { lines, stream } = capture()
  const loggerInstance = pino({
    levelComparison: 'DESC',
    customLevels: { fatal: 10, alarm: 20, error: 30, warn: 40, audit: 50, info: 60, debug: 70, trace: 80 },
    useOnlyCustomLevels: true,
    level: 'trace'
  }, stream)
  await linesOf(t, { loggerInstance } as any, '/healthz/live', lines, app => {
    app.addHook('onRequest', async (request: any) => {
      request.log.alarm('graver')
      request.log.audit('less grave')
    })
  })
  t.strictSame(messages(lines), ['graver'])
})

t.test('under noLog a logger that is not pino works', async t => {
  class Other {
    #lines: unknown[][]
    #bindings: object
    constructor (lines: unknown[][], bindings: object = {}) { this.#lines = lines; this.#bindings = bindings }
    level = 'info'
    fatal (...line: unknown[]) { this.#write('fatal', line) }
    error (...line: unknown[]) { this.#write('error', line) }
    warn (...line: unknown[]) { this.#write('warn', line) }
    info (...line: unknown[]) { this.#write('info', line) }
    debug () {}
    trace () {}
    silent () {}
    flush () { return 'flushed' }
    child (bindings: object) { return new Other(this.#lines, { ...this.#bindings, ...bindings }) }
    #write (level: string, line: unknown[]) {
      if (!String(line.at(-1)).startsWith('serving after')) this.#lines.push([level, this.#bindings, line.at(-1)])
    }
  }
  const written: unknown[][] = []
  const app = Fastify({ loggerInstance: new Other(written) as unknown as FastifyBaseLogger })
  t.teardown(() => app.close())
  app.register(healthz, { ready: down, noLog: true })
  app.addHook('onRequest', async request => { t.equal((request.log as any).flush(), 'flushed') })
  await app.inject('/healthz/live')
  t.strictSame(written, [])
  await app.inject('/healthz/ready')
  t.strictSame(written, [
    ['warn', {}, 'ready check failed: away'],
    ['info', { reqId: 'req-2', probe: 'ready', title: 'away' }, 'request completed']
  ])
})

t.test('under noLog an app without a logger works', async t => {
  for (const logger of [false, undefined] as const) {
    const app = Fastify({ ...(logger !== undefined && { logger }) })
    t.teardown(() => app.close())
    app.register(healthz, { ready: down, noLog: true })
    t.equal((await app.inject('/healthz/live')).statusCode, 200)
    t.equal((await app.inject('/healthz/ready')).statusCode, 503)
  }
})

t.test('a level for the plugin or for its routes holds', async t => {
  for (const options of [{ logLevel: 'error' }, { routeOptions: { logLevel: 'error' } }] as const) {
    const { lines, logger } = capture()
    const app = Fastify({ logger })
    t.teardown(() => app.close())
    app.register(healthz, options)
    await app.inject('/healthz/live')
    t.strictSame(lines, [])
  }
})

t.test('a level that there is not refuses the boot', older, async t => {
  const app = Fastify({ logger: capture().logger })
  app.register(healthz, { logLevel: 'loud' as any, routeOptions: { constraints: {} } })
  await t.rejects(async () => { await app.ready() }, { code: 'FST_ERR_ROUTE_LOG_LEVEL_INVALID' })
})

t.test('a log serializer for the plugin holds', async t => {
  const { lines, logger } = capture()
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  app.register(healthz, { logSerializers: { res: () => 'mine' } })
  await app.inject('/healthz/live')
  t.match(lines, [{}, { res: 'mine' }])
})

t.test('under noLog the refusal of an app that is closing is logged', async t => {
  const { lines, logger } = capture()
  const app = Fastify({ logger })
  app.register(healthz, { noLog: true })
  let port = 0
  app.addHook('preClose', async () => {
    lines.length = 0
    t.match((await request(port, 'GET', '/healthz/live')).statusLine, /503/)
  })
  port = await listen(app)
  await app.close()
  t.match(lines, [{ level: 30, probe: 'live', res: { statusCode: 503 }, msg: /closing/ }])
})
