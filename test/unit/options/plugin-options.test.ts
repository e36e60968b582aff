import { sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { defaultDelay } from '../../../lib/defaults.js'
import { readOptions } from '../../../lib/options/plugin-options.js'

const fn = () => {}
const read = (options: any) => readOptions(options)
const escaped = (text: string) => text.replace(/[^\w ]/g, '\\$&')
const paths = (options: any) => Object.fromEntries(read(options).probes.map(({ name, path }) => [name, path]))

t.test('by default there are three probes without checks at /healthz', async t => {
  t.strictSame(read({}), {
    prefix: '/healthz',
    probes: ['live', 'ready', 'startup'].map(name => ({ name, path: `/healthz/${name}`, checks: [] })),
    off: [],
    noLog: false,
    timeout: 800,
    details: false,
    importer: process.cwd() + sep + 'healthz',
    routeOptions: {},
    shutdown: undefined,
    drainDelay: defaultDelay(),
    closeTimeout: 10_000,
    listen: undefined,
    logger: undefined
  })
  t.strictSame(read({ live: undefined, prefix: undefined, noLog: undefined, root: undefined }), read({}))
})

t.test('a prefix is normalized as Fastify would, and two mean none', async t => {
  for (const [prefix, expected] of [['', ''], ['/', ''], ['/h', '/h'], ['/h/', '/h'], ['h', '/h'], ['/a/b', '/a/b']]) {
    t.equal(read({ prefix }).prefix, expected)
    t.equal(paths({ prefix }).live, `${expected}/live`)
  }
})

t.test('a probe is disabled, added, or served at another path', async t => {
  t.strictSame(paths({ live: false, startup: false, probes: { deep: fn }, paths: { ready: '/readyz', deep: '/' } }), {
    ready: '/readyz', deep: '/'
  })
  t.strictSame(read({ live: false, startup: false }).off, ['live', 'startup'])
})

t.test('names that a prototype has are not special', async t => {
  const own = JSON.parse('{"__proto__":1,"constructor":1,"toString":1}')
  for (const name of Object.keys(own)) own[name] = undefined
  const named = Object.fromEntries(['__proto__', 'constructor', 'toString'].map(name => [name, fn]))
  t.strictSame(read({ probes: named }).probes.map(({ name }) => name).slice(3), ['__proto__', 'constructor', 'toString'])
  t.strictSame(read({ live: named }).probes[0]!.checks.map(({ name }) => name), ['__proto__', 'constructor', 'toString'])
  t.throws(() => read({ live: { __proto__: { hidden: fn } } }), { code: 'HEALTHZ_ERR_OPTION_INVALID' })
  t.throws(() => read({ paths: { toString: '/x' } }), { code: 'HEALTHZ_ERR_OPTION_INVALID' })
})

t.test('modules are resolved from a directory or a URL', async t => {
  t.equal(read({ root: '/srv/app' }).importer, '/srv/app/healthz')
  t.equal(read({ root: 'src' }).importer, process.cwd() + '/src/healthz')
  t.equal(read({ root: pathToFileURL('/srv/app/main.js') }).importer, '/srv/app/healthz')
  t.equal(read({ root: 'file:///srv/app/main.js' }).importer, '/srv/app/healthz')
  t.equal(read({ root: 'file:///srv/app/' }).importer, '/srv/app/healthz')
})

/** On each signal, where only SIGINT differs. */
const delays = (ms: number) => ({ SIGTERM: ms, SIGINT: 0, SIGHUP: ms, SIGQUIT: ms, SIGUSR2: ms })

t.test('shutdown has default signals, delays and timeout, which can be overridden', async t => {
  t.intercept(process, 'env', { value: { KUBERNETES_SERVICE_HOST: '10.96.0.1' } })
  const defaults = { signals: ['SIGTERM', 'SIGINT'], delays: delays(5000), timeout: 10_000, close: undefined }
  t.strictSame(read({ shutdown: false }).shutdown, undefined)
  t.strictSame(read({ shutdown: true }).shutdown, defaults)
  t.strictSame(read({ shutdown: {} }).shutdown, defaults)
  const signals = ['SIGHUP']
  t.strictSame(read({ shutdown: { signals, delay: 0, timeout: 1, close: fn } }).shutdown, {
    signals: ['SIGHUP'], delays: delays(0), timeout: 1, close: fn
  })
  t.strictSame([read({}).closeTimeout, read({ shutdown: { timeout: 1 } }).closeTimeout], [10_000, 1], 'holds are limited either way')
})

t.test('the delay of shutdown is a number for every signal but SIGINT, or numbers by signal', async t => {
  t.intercept(process, 'env', { value: { KUBERNETES_SERVICE_HOST: '10.96.0.1' } })
  const read = (delay: unknown) => readOptions({ shutdown: { signals: ['SIGTERM', 'SIGINT', 'SIGHUP'], delay: delay as any } }).shutdown!.delays
  t.strictSame(read(8000), delays(8000))
  t.strictSame(read({ SIGTERM: 8000, SIGINT: 7000 }), { ...delays(5000), SIGTERM: 8000, SIGINT: 7000 })
  t.strictSame(read({ SIGHUP: 0, SIGTERM: undefined }), { ...delays(5000), SIGHUP: 0 })
  t.strictSame(read({}), delays(5000))
})

t.test('under a watcher shutdown has no delay, unless one is given', async t => {
  t.intercept(process, 'env', { value: { WATCH_REPORT_DEPENDENCIES: '1' } })
  t.strictSame(read({ shutdown: true }).shutdown!.delays, delays(0))
  t.strictSame(read({ shutdown: { delay: 8000 } }).shutdown!.delays, delays(8000))
  t.strictSame(read({ shutdown: { delay: { SIGTERM: 8000 } } }).shutdown!.delays, { ...delays(0), SIGTERM: 8000 })
})

t.test('listen is a port, with or without a host', async t => {
  t.strictSame(read({ listen: { port: 0 } }).listen, { port: 0, host: undefined, alongside: false, serving: 'onListen', thread: undefined })
  t.strictSame(read({ listen: { port: 65535, host: '::1', alongside: true } }).listen, { port: 65535, host: '::1', alongside: true, serving: 'onListen', thread: undefined })
})

t.test('listen.thread is off, on with the defaults, or an object', async t => {
  const thread = (thread: unknown) => read({ listen: { port: 0, thread } }).listen!.thread
  t.equal(thread(false), undefined)
  t.strictSame(thread(true), { maxBlocked: 10_000, stack: true })
  t.strictSame(thread({}), { maxBlocked: 10_000, stack: true })
  t.strictSame(thread({ maxBlocked: 1000, stack: false }), { maxBlocked: 1000, stack: false })
  t.throws(() => thread({ after: 1 }), { code: 'HEALTHZ_ERR_OPTION_UNKNOWN', message: 'Unknown option `listen.thread.after`: expected one of `maxBlocked`, `stack`' })
})

t.test('an app that never listens has no endpoint, hence no delay unless one is given', async t => {
  t.intercept(process, 'env', { value: { KUBERNETES_SERVICE_HOST: '10.96.0.1' } })
  const listen = { port: 0, serving: 'onReady' }
  t.equal(read({ listen }).drainDelay, 0)
  t.equal(read({ listen: { port: 0 } }).drainDelay, 5000)
  t.strictSame(read({ listen, shutdown: true }).shutdown!.delays, delays(0))
  t.strictSame(read({ listen, shutdown: { delay: 8000 } }).shutdown!.delays, delays(8000))
})

t.test('a logger is anything with the methods', async t => {
  class Logger { fatal () {} error () {} warn () {} info () {} debug () {} }
  const logger = new Logger()
  t.equal(read({ logger }).logger, logger)
  for (const bad of [null, console, 'pino', () => {}, { ...logger }]) {
    t.throws(() => read({ logger: bad }), {
      code: 'HEALTHZ_ERR_OPTION_INVALID',
      message: /^Expected `logger` to be a logger with the methods fatal, error, warn, info, debug, got /
    })
  }
})

t.test('options are not modified', async t => {
  const freeze = (value: any): any => {
    if (typeof value === 'object') Object.values(Object.freeze(value)).forEach(freeze)
    return value
  }
  t.doesNotThrow(() => read(freeze({
    prefix: '/h', ready: { a: fn }, probes: { deep: { b: fn } }, paths: { ready: '/r' }, routeOptions: { config: { a: 1 }, schema: { hide: true } }
  })))
})

t.test('an option is read once, so the validated value is used', async t => {
  let reads = 0
  const options = { get timeout () { return ++reads } }
  t.equal(read(options).timeout, 1)
})

t.test('an unknown option is reported with the known ones', async t => {
  t.throws(() => read({ redy: fn }), {
    code: 'HEALTHZ_ERR_OPTION_UNKNOWN',
    message: 'Unknown option `redy`: expected one of `prefix`, `live`, `ready`, `startup`, `probes`, `paths`, `noLog`, `timeout`, `details`, `shutdown`, `listen`, `logger`, `root`, `routeOptions`'
  })
  t.throws(() => read({ shutdown: { delay: { SIGHUP: 1 } } }), {
    code: 'HEALTHZ_ERR_OPTION_UNKNOWN', message: 'Unknown option `shutdown.delay.SIGHUP`: expected one of `SIGTERM`, `SIGINT`'
  })
  t.throws(() => read({ shutdown: { grace: 1 } }), {
    code: 'HEALTHZ_ERR_OPTION_UNKNOWN', message: 'Unknown option `shutdown.grace`: expected one of `signals`, `delay`, `timeout`'
  })
  t.throws(() => read({ listen: { post: 1 } }), {
    code: 'HEALTHZ_ERR_OPTION_UNKNOWN', message: 'Unknown option `listen.post`: expected one of `port`, `host`, `alongside`'
  })
  t.doesNotThrow(() => read({ logLevel: 'warn', logSerializers: {} }), 'Fastify takes these two for every plugin')
})

t.test('an option that may be the app\'s is reported with what to write in a file that @fastify/autoload loads', async t => {
  const hint = '; @fastify/autoload passes the options of the app to every plugin file, so export `fp(async app => { await app.register(healthz, { … }) })` instead'
  const code = (name: string) => 'HEALTHZ_ERR_OPTION_' + name
  for (const pluginName of ['fastify -> /srv/node_modules/@fastify/autoload/index.js', 'fastify -> fastifyAutoload']) {
    const read = (options: object, prefix = '') => readOptions(options, { pluginName, prefix })
    t.throws(() => read({ trustProxy: true }), { code: code('UNKNOWN'), message: new RegExp(`^Unknown option \`trustProxy\`: expected one of .*\`routeOptions\`${escaped(hint)}$`) })
    t.throws(() => read({ logger: true }), { code: code('INVALID'), message: new RegExp(`, got \`true\` \\(boolean\\)${escaped(hint)}$`) })
    t.throws(() => read({ prefix: '/api' }, '/api'), { code: code('INVALID'), message: `Expected \`prefix\` to be different from the prefix of the scope, got \`'/api'\` (string)${hint}` })
    // These are the plugin's.
    t.equal(read({ prefix: '/probes' }, '/api').prefix, '/probes')
    t.equal(read({ prefix: '' }).prefix, '')
    t.throws(() => read({ timeout: 0 }), { code: code('INVALID'), message: /, got `0` \(number\)$/ })
    t.throws(() => read({ listen: { post: 1 } }), { code: code('UNKNOWN'), message: /`thread`$/ })
  }
  t.throws(() => readOptions({ trustProxy: true } as object, { pluginName: 'fastify -> /srv/app.js', prefix: '' }), { message: /`routeOptions`$/ })
  t.equal(readOptions({ prefix: '/api' }, { pluginName: 'fastify -> /srv/app.js', prefix: '/api' }).prefix, '/api')
})

t.test('an invalid option is reported with its name, what was expected and what was received', async t => {
  const names = 'match [A-Za-z0-9._-]{1,63} and are neither . nor ..'
  const path = 'a path that starts with `/`, without `:`, `*`, `?`, `#` and `%`'
  const cases: Array<[options: object, message: string]> = [
    [{ shutdown: 'SIGTERM' }, "Expected `shutdown` to be a boolean or an object, got `'SIGTERM'` (string)"],
    [{ shutdown: { close: true } }, 'Expected `shutdown.close` to be a function, got `true` (boolean)'],
    [{ listen: { port: 0, serving: 'ready' } }, "Expected `listen.serving` to be 'onListen' or 'onReady', got `'ready'` (string)"],
    [{ shutdown: { signals: [] } }, 'Expected `shutdown.signals` to be an array with one or more of SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR2, got `[]` (array)'],
    [{ shutdown: { signals: ['SIGKILL'] } }, "got `[ 'SIGKILL' ]` (array)"],
    [{ shutdown: { signals: new Array(2) } }, 'Expected `shutdown.signals` to be an array with one or more of'],
    [{ shutdown: { signals: 'SIGTERM' } }, "got `'SIGTERM'` (string)"],
    [{ shutdown: { delay: -1 } }, 'Expected `shutdown.delay` to be an integer >= 0, got `-1` (number)'],
    [{ shutdown: { delay: '5s' } }, "Expected `shutdown.delay` to be an integer >= 0, or an object of those by signal, got `'5s'` (string)"],
    [{ shutdown: { delay: null } }, 'Expected `shutdown.delay` to be an integer >= 0, or an object of those by signal, got `null`'],
    [{ shutdown: { delay: { SIGTERM: -1 } } }, 'Expected `shutdown.delay.SIGTERM` to be an integer >= 0, got `-1` (number)'],
    [{ shutdown: { timeout: 0 } }, 'Expected `shutdown.timeout` to be an integer >= 1, got `0` (number)'],
    [{ listen: 9090 }, 'Expected `listen` to be an object with a port, got `9090` (number)'],
    [{ listen: {} }, 'Expected `listen.port` to be an integer from 0 to 65535, got `undefined`'],
    [{ listen: { port: '9090' } }, "Expected `listen.port` to be an integer from 0 to 65535, got `'9090'` (string)"],
    [{ listen: { port: -1 } }, 'Expected `listen.port` to be an integer from 0 to 65535, got `-1` (number)'],
    [{ listen: { port: 65536 } }, 'Expected `listen.port` to be an integer from 0 to 65535, got `65536` (number)'],
    [{ listen: { port: 1, host: '' } }, "Expected `listen.host` to be an address, got `''` (string)"],
    [{ listen: { port: 1, alongside: 1 } }, 'Expected `listen.alongside` to be a boolean, got `1` (number)'],
    [{ listen: { port: 1, thread: 'yes' } }, "Expected `listen.thread` to be a boolean or an object, got `'yes'` (string)"],
    [{ listen: { port: 1, thread: { maxBlocked: 999 } } }, 'Expected `listen.thread.maxBlocked` to be an integer >= 1000, got `999` (number)'],
    [{ listen: { port: 1, thread: { stack: 1 } } }, 'Expected `listen.thread.stack` to be a boolean, got `1` (number)'],
    [{ noLog: null }, 'Expected `noLog` to be a boolean, got `null`'],
    [{ timeout: -5 }, 'Expected `timeout` to be an integer >= 1, got `-5` (number)'],
    [{ details: 'yes' }, "Expected `details` to be a boolean or a function, got `'yes'` (string)"],
    [{ live: true }, 'Expected `live` to be a check (a function or a module specifier), an object of checks by name or `false`, got `true` (boolean)'],
    [{ noLog: 'yes' }, "Expected `noLog` to be a boolean, got `'yes'` (string)"],
    [{ prefix: 5 }, 'Expected `prefix` to be a string, got `5` (number)'],
    [{ prefix: '/:tenant' }, "Expected `prefix` to be a path without `:`, `*`, `?`, `#` and `%`, got `'/:tenant'` (string)"],
    [{ prefix: '/h%20z' }, "Expected `prefix` to be a path without `:`, `*`, `?`, `#` and `%`, got `'/h%20z'` (string)"],
    [{ probes: fn }, 'Expected `probes` to be an object of probes by name, got `[Function: fn]` (function)'],
    [{ probes: { '..': fn } }, `Expected \`probes\` to be an object whose keys ${names}, got \`'..'\` (string)`],
    [{ probes: { live: fn } }, 'Expected `probes` to be an object without `live`, which is a separate option, got'],
    [{ probes: { deep: false } }, 'Expected `probes.deep` to be a check (a function or a module specifier), an object of checks by name, got `false`'],
    [{ paths: '/x' }, 'Expected `paths` to be an object of paths by the name of the probe, got'],
    [{ paths: { redy: '/x' } }, "Expected `paths` to be an object whose keys are probes (live, ready, startup), got `'redy'` (string)"],
    [{ live: false, paths: { live: '/x' } }, 'Expected `paths` to be an object whose keys are probes (ready, startup), got'],
    [{ paths: { ready: 'readyz' } }, `Expected \`paths.ready\` to be ${path}, got \`'readyz'\` (string)`],
    [{ paths: { ready: 5 } }, `Expected \`paths.ready\` to be ${path}, got \`5\` (number)`],
    [{ paths: { ready: '/%72' } }, `Expected \`paths.ready\` to be ${path}, got`],
    [{ paths: { ready: '/*' } }, `Expected \`paths.ready\` to be ${path}, got`],
    [{ paths: { ready: '/x', live: '/x' } }, 'Expected `paths` to be a different path for each probe, got'],
    [{ paths: { ready: '/healthz/live' } }, 'Expected `paths` to be a different path for each probe, got'],
    [[], 'Expected `options` to be a plain object, got `[]` (array)'],
    [new (class Options {})(), 'Expected `options` to be a plain object, got `Options {}` (object)'],
    [{ root: 'file://%' }, 'Expected `root` to be a directory or a file URL, got'],
    [{ root: 5 }, 'Expected `root` to be a directory or a file URL, got `5` (number)'],
    [{ root: new URL('http://localhost/') }, 'Expected `root` to be a directory or a file URL, got']
  ]
  for (const [options, message] of cases) {
    try {
      read(options)
      t.fail('was not refused: ' + message)
    } catch (error: any) {
      t.equal(error.code, 'HEALTHZ_ERR_OPTION_INVALID')
      t.ok(error.message.includes(message), message, { got: error.message })
    }
  }
})
