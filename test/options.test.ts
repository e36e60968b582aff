import { sep } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { readOptions } from '../lib/options.js'

const fn = () => {}
const read = (options: any) => readOptions(options)
const paths = (options: any) => Object.fromEntries(read(options).probes.map(({ name, path }) => [name, path]))

t.test('without options there are three probes without checks at /healthz', async t => {
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
    listen: undefined
  })
  t.strictSame(read({ live: undefined, prefix: undefined, noLog: undefined, root: undefined }), read({}))
})

t.test('a prefix is normalized as Fastify would, and two mean none', async t => {
  for (const [prefix, expected] of [['', ''], ['/', ''], ['/h', '/h'], ['/h/', '/h'], ['h', '/h'], ['/a/b', '/a/b']]) {
    t.equal(read({ prefix }).prefix, expected)
    t.equal(paths({ prefix }).live, `${expected}/live`)
  }
})

t.test('a probe is taken away, added, or served at another path', async t => {
  t.strictSame(paths({ live: false, startup: false, probes: { deep: fn }, paths: { ready: '/readyz', deep: '/' } }), {
    ready: '/readyz', deep: '/'
  })
  t.strictSame(read({ live: false, startup: false }).off, ['live', 'startup'])
})

t.test('no name is looked up on a prototype or lost', async t => {
  const own = JSON.parse('{"__proto__":1,"constructor":1,"toString":1}')
  for (const name of Object.keys(own)) own[name] = undefined
  const named = Object.fromEntries(['__proto__', 'constructor', 'toString'].map(name => [name, fn]))
  t.strictSame(read({ probes: named }).probes.map(({ name }) => name).slice(3), ['__proto__', 'constructor', 'toString'])
  t.strictSame(read({ live: named }).probes[0]!.checks.map(({ name }) => name), ['__proto__', 'constructor', 'toString'])
  t.throws(() => read({ live: { __proto__: { hidden: fn } } }), { code: 'HEALTHZ_ERR_OPTION_INVALID' })
  t.throws(() => read({ paths: { toString: '/x' } }), { code: 'HEALTHZ_ERR_OPTION_INVALID' })
})

t.test('modules are looked for from a folder or a URL', async t => {
  t.equal(read({ root: '/srv/app' }).importer, '/srv/app/healthz')
  t.equal(read({ root: 'src' }).importer, process.cwd() + '/src/healthz')
  t.equal(read({ root: pathToFileURL('/srv/app/main.js') }).importer, '/srv/app/healthz')
  t.equal(read({ root: 'file:///srv/app/main.js' }).importer, '/srv/app/healthz')
  t.equal(read({ root: 'file:///srv/app/' }).importer, '/srv/app/healthz')
})

t.test('shutdown has its defaults, or takes other signals, delays and timeouts', async t => {
  const defaults = { signals: ['SIGTERM', 'SIGINT'], delay: 5000, timeout: 10_000 }
  t.strictSame(read({ shutdown: false }).shutdown, undefined)
  t.strictSame(read({ shutdown: true }).shutdown, defaults)
  t.strictSame(read({ shutdown: {} }).shutdown, defaults)
  const signals = ['SIGHUP']
  t.strictSame(read({ shutdown: { signals, delay: 0, timeout: 1 } }).shutdown, { signals: ['SIGHUP'], delay: 0, timeout: 1 })
})

t.test('listen is a port, with or without a host', async t => {
  t.strictSame(read({ listen: { port: 0 } }).listen, { port: 0, host: undefined, alongside: false })
  t.strictSame(read({ listen: { port: 65535, host: '::1', alongside: true } }).listen, { port: 65535, host: '::1', alongside: true })
})

t.test('nothing that was passed is changed', async t => {
  const freeze = (value: any): any => {
    if (typeof value === 'object') Object.values(Object.freeze(value)).forEach(freeze)
    return value
  }
  t.doesNotThrow(() => read(freeze({
    prefix: '/h', ready: { a: fn }, probes: { deep: { b: fn } }, paths: { ready: '/r' }, routeOptions: { config: { a: 1 }, schema: { hide: true } }
  })))
})

t.test('an option that throws when it is read is refused by its name, with the cause', async t => {
  const cause = new Error('oops')
  const oops = () => { throw cause }
  const getter = (name: string) => Object.defineProperty({}, name, { get: oops, enumerable: true })
  const cases: Array<[options: object, option: string]> = [
    [getter('timeout'), 'timeout'],
    [{ live: getter('a') }, 'live.a'],
    [{ live: { a: getter('check') } }, 'live.a.check'],
    [{ probes: getter('deep') }, 'probes.deep'],
    [{ paths: getter('live') }, 'paths.live'],
    [{ listen: getter('port') }, 'listen.port'],
    [{ shutdown: getter('signals') }, 'shutdown.signals'],
    [{ shutdown: { signals: new Proxy([], { get: oops }) } }, 'shutdown.signals'],
    [{ ready: new Proxy({}, { getPrototypeOf: oops }) }, 'ready'],
    [new Proxy({}, { ownKeys: oops }), 'options']
  ]
  for (const [options, option] of cases) {
    const message = `Expected \`${option}\` to be readable, got an error: oops`
    t.throws(() => read(options), { code: 'HEALTHZ_ERR_OPTION_INVALID', message, cause })
  }
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  t.throws(() => read({ root: proxy }), { message: 'Expected `root` to be a folder or a file URL, got `object`' })
})

t.test('an option is read once, so that it is what was looked at', async t => {
  let reads = 0
  const options = { get timeout () { return ++reads } }
  t.equal(read(options).timeout, 1)
})

t.test('an unknown option is refused with the known ones', async t => {
  t.throws(() => read({ redy: fn }), {
    code: 'HEALTHZ_ERR_OPTION_UNKNOWN',
    message: 'Unknown option `redy`: expected one of `prefix`, `live`, `ready`, `startup`, `probes`, `paths`, `noLog`, `timeout`, `details`, `shutdown`, `listen`, `root`, `routeOptions`'
  })
  t.throws(() => read({ shutdown: { grace: 1 } }), {
    code: 'HEALTHZ_ERR_OPTION_UNKNOWN', message: 'Unknown option `shutdown.grace`: expected one of `signals`, `delay`, `timeout`'
  })
  t.throws(() => read({ listen: { post: 1 } }), {
    code: 'HEALTHZ_ERR_OPTION_UNKNOWN', message: 'Unknown option `listen.post`: expected one of `port`, `host`, `alongside`'
  })
  t.doesNotThrow(() => read({ logLevel: 'warn', logSerializers: {} }), 'Fastify takes these two for every plugin')
})

t.test('a refusal names the option, what was expected and what came', async t => {
  const names = 'match [A-Za-z0-9._-]{1,63} and are neither . nor ..'
  const path = 'a path that starts with `/`, without `:`, `*`, `?` and `#`'
  const cases: Array<[options: object, message: string]> = [
    [{ shutdown: 'SIGTERM' }, "Expected `shutdown` to be a boolean or an object, got `'SIGTERM'` (string)"],
    [{ shutdown: { signals: [] } }, 'Expected `shutdown.signals` to be an array with one or more of SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR2, got `[]` (array)'],
    [{ shutdown: { signals: ['SIGKILL'] } }, "got `[ 'SIGKILL' ]` (array)"],
    [{ shutdown: { signals: new Array(2) } }, 'Expected `shutdown.signals` to be an array with one or more of'],
    [{ shutdown: { signals: 'SIGTERM' } }, "got `'SIGTERM'` (string)"],
    [{ shutdown: { delay: -1 } }, 'Expected `shutdown.delay` to be an integer >= 0, got `-1` (number)'],
    [{ shutdown: { timeout: 0 } }, 'Expected `shutdown.timeout` to be an integer >= 1, got `0` (number)'],
    [{ listen: 9090 }, 'Expected `listen` to be an object with a port, got `9090` (number)'],
    [{ listen: {} }, 'Expected `listen.port` to be an integer from 0 to 65535, got `undefined`'],
    [{ listen: { port: '9090' } }, "Expected `listen.port` to be an integer from 0 to 65535, got `'9090'` (string)"],
    [{ listen: { port: -1 } }, 'Expected `listen.port` to be an integer from 0 to 65535, got `-1` (number)'],
    [{ listen: { port: 65536 } }, 'Expected `listen.port` to be an integer from 0 to 65535, got `65536` (number)'],
    [{ listen: { port: 1, host: '' } }, "Expected `listen.host` to be an address, got `''` (string)"],
    [{ listen: { port: 1, alongside: 1 } }, 'Expected `listen.alongside` to be a boolean, got `1` (number)'],
    [{ noLog: null }, 'Expected `noLog` to be a boolean, got `null`'],
    [{ timeout: -5 }, 'Expected `timeout` to be an integer >= 1, got `-5` (number)'],
    [{ details: 'yes' }, "Expected `details` to be a boolean or a function, got `'yes'` (string)"],
    [{ live: true }, 'Expected `live` to be a check (a function or a module specifier), an object of checks by name or `false`, got `true` (boolean)'],
    [{ noLog: 'yes' }, "Expected `noLog` to be a boolean, got `'yes'` (string)"],
    [{ prefix: 5 }, 'Expected `prefix` to be a string, got `5` (number)'],
    [{ prefix: '/:tenant' }, "Expected `prefix` to be a path without `:`, `*`, `?` and `#`, got `'/:tenant'` (string)"],
    [{ probes: fn }, 'Expected `probes` to be an object of probes by name, got `[Function: fn]` (function)'],
    [{ probes: { '..': fn } }, `Expected \`probes\` to be an object whose keys ${names}, got \`'..'\` (string)`],
    [{ probes: { live: fn } }, 'Expected `probes` to be without `live`, which is an option of its own, got'],
    [{ probes: { deep: false } }, 'Expected `probes.deep` to be a check (a function or a module specifier), an object of checks by name, got `false`'],
    [{ paths: '/x' }, 'Expected `paths` to be an object of paths by the name of the probe, got'],
    [{ paths: { redy: '/x' } }, "Expected `paths` to be an object whose keys are probes (live, ready, startup), got `'redy'` (string)"],
    [{ live: false, paths: { live: '/x' } }, 'Expected `paths` to be an object whose keys are probes (ready, startup), got'],
    [{ paths: { ready: 'readyz' } }, `Expected \`paths.ready\` to be ${path}, got \`'readyz'\` (string)`],
    [{ paths: { ready: 5 } }, `Expected \`paths.ready\` to be ${path}, got \`5\` (number)`],
    [{ paths: { ready: '/*' } }, `Expected \`paths.ready\` to be ${path}, got`],
    [{ paths: { ready: '/x', live: '/x' } }, 'Expected `paths` to be another path for each probe, got'],
    [{ paths: { ready: '/healthz/live' } }, 'Expected `paths` to be another path for each probe, got'],
    [[], 'Expected `options` to be a plain object, got `[]` (array)'],
    [new (class Options {})(), 'Expected `options` to be a plain object, got `Options {}` (object)'],
    [{ root: 'file://%' }, 'Expected `root` to be a folder or a file URL, got'],
    [{ root: 5 }, 'Expected `root` to be a folder or a file URL, got `5` (number)'],
    [{ root: new URL('http://localhost/') }, 'Expected `root` to be a folder or a file URL, got']
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
