// Random options of the plugin, valid, invalid and unusual, and the expected outcome.
import { createContext, runInContext } from 'node:vm'
import { pathToFileURL } from 'node:url'
import fc from 'fast-check'
import { HealthError } from '../../lib/index.js'

/** The expected outcome of a check, and its part of the probe's response. */
export interface CheckModel {
  readonly name: string
  readonly critical: boolean
  /** `undefined` for a pass. */
  readonly fails: { readonly status: number, readonly message: string, readonly words: string } | undefined
}

/** The value of an option, and the expected outcome. */
interface Given {
  readonly value: unknown
  /** The options that must be rejected, as named in the error. */
  readonly bad: readonly string[]
}
interface GivenChecks extends Given {
  /** `false` if the probe is disabled. */
  readonly checks: readonly CheckModel[] | false
}
/** Creates a value for the option of that name. */
type For<T> = (option: string) => T

/** Options for the plugin. */
export interface Example {
  readonly options: object
  /** The options that must be rejected. */
  readonly bad: readonly string[]
  /** The prefix of all paths. */
  readonly root: string
  readonly probes: ReadonlyMap<string, readonly CheckModel[]>
  /** Disabled probes. */
  readonly off: readonly string[]
  readonly paths: ReadonlyMap<string, string>
  readonly operator: boolean
}

const weighed = <T>(...choices: Array<[weight: number, arbitrary: fc.Arbitrary<T>]>) =>
  fc.oneof(...choices.map(([weight, arbitrary]) => ({ weight, arbitrary })))
/** Invalid values are rare, so that most examples are valid as a whole. */
const mostly = <T>(good: fc.Arbitrary<T>, ...bad: Array<fc.Arbitrary<T>>) =>
  weighed([30, good], ...bad.map(arbitrary => [1, arbitrary] as [number, fc.Arbitrary<T>]))
const good = (...values: unknown[]): fc.Arbitrary<For<Given>> =>
  fc.constantFrom(...values).map(value => () => ({ value, bad: [] }))
const bad = (...values: unknown[]): fc.Arbitrary<For<Given>> =>
  fc.constantFrom(...values).map(value => option => ({ value, bad: [option] }))
/** Invalid because of a nested option. */
const badWithin = (...values: Array<[value: unknown, path: string]>): fc.Arbitrary<For<Given>> =>
  fc.constantFrom(...values).map(([value, path]) => option => ({ value, bad: [`${option}.${path}`] }))

// Objects

/** An object with exactly these own properties, including names such as `__proto__`. */
function own (entries: ReadonlyArray<readonly [name: string, value: unknown]>): object {
  const object = {}
  for (const [name, value] of entries) {
    Object.defineProperty(object, name, { value, enumerable: true, configurable: true, writable: true })
  }
  return object
}
const foreign = runInContext('({ object: () => ({}) })', createContext({})) as { object: () => object }
const passOn = new Proxy({}, {})

/** Unusual objects that have the same enumerable own string-keyed properties. */
const STRANGE: Record<string, (object: object) => object> = {
  plain: object => object,
  frozen: object => Object.freeze(object),
  'without a prototype': object => Object.setPrototypeOf(object, null),
  'a Proxy': object => new Proxy(object, passOn),
  'of another realm': object => Object.setPrototypeOf(object, Object.getPrototypeOf(foreign.object())),
  'with getters': object => Object.defineProperties({}, Object.fromEntries(Object.entries(object).map(([name, value]) =>
    [name, { get: () => value, enumerable: true }]))),
  'with more that cannot be seen': object => Object.defineProperties(object, {
    hidden: { value: 1 }, [Symbol('hidden')]: { value: 1, enumerable: true }
  })
}
const strange = weighed([3, fc.constant('plain')], [2, fc.constantFrom(...Object.keys(STRANGE))]).map(name => STRANGE[name]!)

const oops = () => { throw new Error('oops') }

// Checks

const NAMES = [
  'a', 'database', 'A.b_c-9', '__proto__', 'constructor', 'prototype', 'toString', 'valueOf', 'hasOwnProperty', 'toJSON',
  'then', '__defineGetter__', 'default', 'length', 'name', '0', '-1', 'NaN', '...', 'x'.repeat(63)
]
const CHECK_OPTIONS = ['check', 'timeout', 'critical', 'maxAge', 'interval', 'retryInterval', 'failureThreshold', 'successThreshold']
const BAD_NAMES = ['', '.', '..', 'a b', 'a/b', 'é', '../x', '%41', 'a:b', 'x'.repeat(64), '\0', '__proto__ ']

const GAVE_FALSE = { status: 503, message: '', words: 'failed' }
const OUTCOMES: ReadonlyArray<[run: () => unknown, fails: CheckModel['fails']]> = [
  [() => {}, undefined],
  [() => 0, undefined],
  [() => { throw new HealthError('away') }, { status: 503, message: 'away', words: 'failed' }],
  [() => false, GAVE_FALSE],
  [() => { throw new Error('secret') }, { status: 500, message: '', words: 'failed unexpectedly' }]
]
const FORMS: ReadonlyArray<(run: () => unknown) => unknown> = [
  run => () => run(),
  run => async () => run(),
  run => function () { return run() },
  run => new Proxy(() => run(), passOn),
  run => Object.freeze(run.bind(null)),
  run => ({ async method () { return run() } }).method
]
const check = fc.record({ outcome: fc.constantFrom(...OUTCOMES), form: fc.constantFrom(...FORMS) })
  .map(({ outcome: [run, fails], form }) => ({ value: form(run), fails }))

const options = fc.record({
  timeout: fc.constantFrom(1, 300, 2 ** 31 - 1, undefined),
  critical: fc.constantFrom(true, false, undefined),
  maxAge: fc.constantFrom(0, 1000, undefined),
  failureThreshold: fc.constantFrom(1, 3, undefined),
  successThreshold: fc.constantFrom(1, 2 ** 40, undefined),
  interval: fc.constantFrom(60_000, 2 ** 31 - 1),
  retryInterval: fc.constantFrom(30_000, 2 ** 31 - 1)
}, { requiredKeys: [] })
  .map(({ interval, retryInterval, ...rest }) => interval === undefined ? rest : { ...rest, maxAge: undefined, interval, retryInterval })
const badOption = fc.constantFrom<[string, unknown]>(
  ['timeout', 0], ['timeout', 1.5], ['timeout', NaN], ['timeout', 2 ** 31], ['timeout', '300'], ['timeout', null],
  ['timeout', 10n],
  ['critical', 0], ['critical', 'false'], ['critical', null], ['maxAge', -1], ['maxAge', Infinity], ['maxAge', [0]],
  ['interval', 0], ['interval', { valueOf: () => 1 }], ['retryInterval', 0], ['failureThreshold', 0], ['failureThreshold', NaN], ['successThreshold', '1'], ['check', undefined], ['check', ''], ['check', {}],
  ['tmeout', 300], ['__proto__', {}], ['constructor', 1], ['toString', 1]
)

type GivenCheck = Given & Pick<CheckModel, 'critical' | 'fails'>
const unsound = { critical: true, fails: undefined }
const oneCheck = mostly<For<GivenCheck>>(
  fc.oneof(
    check.map(({ value, fails }) => () => ({ value, bad: [], critical: true, fails })),
    fc.tuple(check, options, strange).map(([{ value, fails }, options, strange]) => () => (
      { value: strange({ check: value, ...options }), bad: [], critical: options.critical !== false, fails }))
  ),
  fc.tuple(check, badOption, strange).map(([{ value }, [name, given], strange]) => option => ({
    value: strange(own([...name === 'check' ? [] : [['check', value] as const], [name, given]])),
    bad: [`${option}.${name}`],
    ...unsound
  })),
  fc.constantFrom(
    null, undefined, true, 5, '', Symbol('x'), 10n, [], new Map(), Promise.resolve(), new (class { check () {} })()
  )
    .map(value => option => ({ value, bad: [option], ...unsound }))
)
const manyChecks: fc.Arbitrary<For<GivenChecks>> = fc.tuple(
  fc.uniqueArray(fc.tuple(mostly(fc.constantFrom(...NAMES), fc.constantFrom(...BAD_NAMES, ...CHECK_OPTIONS)), oneCheck),
    { maxLength: 4, selector: ([name]) => name }),
  strange
).map(([entries, strange]) => option => {
  const given = entries.map(([name, make]) => [name, make(`${option}.${name}`)] as const)
  const value = own(given.map(([name, { value }]) => [name, value]))
  const byName = new Map(given)
  return {
    value: strange(value),
    bad: given.flatMap(([name, { bad }]) => NAMES.includes(name) ? bad : [option, ...bad]),
    // Names that are array indexes are enumerated first.
    checks: Object.keys(value).map(name => ({ name, critical: byName.get(name)!.critical, fails: byName.get(name)!.fails }))
  }
})
const alone = (checks: fc.Arbitrary<{ value: unknown, fails: CheckModel['fails'] }>): fc.Arbitrary<For<GivenChecks>> =>
  checks.map(({ value, fails }) => () => ({ value, bad: [], checks: [{ name: 'default', critical: true, fails }] }))
const checksOrBad = mostly<For<GivenChecks>>(
  weighed<For<GivenChecks>>(
    [12, manyChecks],
    [4, alone(check)],
    [1, alone(fc.constantFrom(
      { value: 'data:text/javascript,export default () => {}', fails: undefined },
      { value: 'data:text/javascript,export const a = () => false#a', fails: GAVE_FALSE }
    ))]
  ),
  fc.constantFrom(
    null, true, 5, '', Symbol('x'), [], new Set(), Object.create({ a: () => {} }), './nowhere.js#x',
    'data:text/javascript,#toString'
  ).map(value => option => ({ value, bad: [option], checks: [] }))
)
const checksOrFalse = weighed<For<GivenChecks>>(
  [10, checksOrBad],
  [1, fc.constantFrom(false, undefined).map(value => () => ({ value, bad: [], checks: value ?? [] }))]
)

// Other options

const details = mostly<For<Given & { operator: boolean }>>(
  fc.constantFrom<[unknown, boolean]>(
    [true, true], [false, false], [undefined, false], [() => true, true], [async () => true, true], [() => 1, false],
    [oops, false]
  ).map(([value, operator]) => () => ({ value, bad: [], operator })),
  bad(null, 'yes', 1, {}, []).map(make => option => ({ ...make(option), operator: false }))
)
const prefix = mostly<For<Given>>(
  good('/healthz', '', '/', 'h', '/a/b/', '/ü', '/a b', '/__proto__', '/.', '//x', undefined),
  bad(null, 5, '/:x', '/*', '/a?b', '#', '/%41', '%', {}, ['/x'], Object('/x'))
)
const LOGGER = { fatal () {}, error () {}, warn () {}, info () {}, debug () {} }
/** Would pollute `Object.prototype` if merged carelessly. */
const POLLUTION = [['__proto__', { polluted: true }], ['constructor', { prototype: { polluted: true } }]] as const
/** Paths contain the name of the option, so that they don't collide. */
const path = mostly<For<Given>>(
  fc.constantFrom('x', 'é', 'a b', ';', '/', '..', '__proto__', '💔', '(', '\\', '\n')
    .map(end => option => ({ value: `/${option}/${end}`, bad: [] })),
  bad('x', '/:x', '/a*', '/%41', 5, null, undefined, '', {})
)
const SIMPLE: Record<string, fc.Arbitrary<For<Given>>> = {
  noLog: mostly(good(true, false, undefined), bad(null, 0, 'yes', Object(true))),
  timeout: mostly(
    good(1, 300, 2 ** 31 - 1, undefined),
    bad(0, -1, 1.5, NaN, Infinity, '300', 2 ** 31, null, 10n, { valueOf: () => 1 })
  ),
  root: mostly(
    good('/tmp', 'src', pathToFileURL('/tmp/'), 'file:///tmp/x.js', '', undefined),
    bad(5, null, {}, new URL('http://localhost/'), 'file://%')
  ),
  shutdown: mostly(
    good(false, true, undefined, {}, { signals: ['SIGHUP'], delay: 0, timeout: 1, close: undefined }, { close () {} }, { delay: { SIGTERM: 5, SIGINT: undefined } }, Object.freeze({ signals: ['SIGUSR2'] })),
    bad(null, 1, 'SIGTERM', []),
    badWithin(
      [{ signals: [] }, 'signals'], [{ signals: ['SIGKILL'] }, 'signals'], [{ delay: -1 }, 'delay'],
      [{ delay: null }, 'delay'], [{ delay: { SIGHUP: 1 } }, 'delay.SIGHUP'], [{ delay: { SIGINT: '1' } }, 'delay.SIGINT'],
      [{ timeout: 0 }, 'timeout'], [{ close: true }, 'close'],
      [{ __proto__: null, grace: 1 }, 'grace']
    )
  ),
  listen: mostly(
    good({ port: 0, host: '127.0.0.1' }, Object.freeze({ port: 0, host: '127.0.0.1', alongside: true }), { port: 0, host: '127.0.0.1', serving: 'onReady' }, { port: 0, host: '127.0.0.1', thread: false }, undefined),
    bad(null, 9090, [], true),
    badWithin(
      [{}, 'port'], [{ port: '0' }, 'port'], [{ port: 65_536 }, 'port'], [{ port: 0, host: '' }, 'host'],
      [{ port: 0, alongside: 1 }, 'alongside'], [{ port: 0, serving: 'ready' }, 'serving'], [{ port: 0, path: '/' }, 'path'],
      [{ port: 0, thread: null }, 'thread'], [{ port: 0, thread: { maxBlocked: 999 } }, 'thread.maxBlocked'],
      [{ port: 0, thread: { stack: 0 } }, 'thread.stack'], [{ port: 0, thread: { after: 1 } }, 'thread.after']
    )
  ),
  logger: mostly(good(LOGGER, Object.create(LOGGER), undefined), bad(null, true, 'info', {}, { ...LOGGER, fatal: 1 })),
  routeOptions: mostly(
    good(
      {}, undefined, { config: { a: 1 } }, { schema: { hide: true } }, { config: own(POLLUTION) }, { schema: own(POLLUTION) }
    ),
    bad(null, 5, [], 'x'),
    badWithin(
      [{ config: 1 }, 'config'], [{ schema: null }, 'schema'], [{ logLevel: 30 }, 'logLevel'],
      [{ onRequest: oops }, 'onRequest'],
      [own(POLLUTION), '__proto__']
    )
  )
}
const stranger = fc
  .constantFrom('redy', '__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', '', 'Live', 'then')
  .map(name => ({ name, value: { polluted: true } }))

/** Options that are all valid, or all except a few. */
export const examples: fc.Arbitrary<Example> = fc.record({
  builtIn: fc.record({ live: checksOrFalse, ready: checksOrFalse, startup: checksOrFalse }, { requiredKeys: [] }),
  probes: fc.option(fc.tuple(
    fc.uniqueArray(
      fc.tuple(mostly(fc.constantFrom(...NAMES), fc.constantFrom(...BAD_NAMES, 'live')), checksOrBad),
      { maxLength: 3, selector: ([name]) => name }
    ),
    strange
  ), { nil: undefined }),
  paths: fc.array(fc.tuple(fc.nat(20), path), { maxLength: 2 }),
  details: fc.option(details, { nil: undefined }),
  prefix: fc.option(prefix, { nil: undefined }),
  simple: fc.record(SIMPLE, { requiredKeys: [] }),
  stranger: mostly<{ name: string, value: object } | undefined>(fc.constant(undefined), stranger),
  strange
}).map(({ builtIn, probes: named, paths: givenPaths, details, prefix, simple, stranger, strange }) => {
  const entries: Array<[string, unknown]> = []
  const bad: string[] = []
  const probes = new Map<string, readonly CheckModel[]>()
  const off: string[] = []
  const give = <T extends Given>(name: string, given: T): T => {
    entries.push([name, given.value])
    bad.push(...given.bad)
    return given
  }
  for (const name of ['live', 'ready', 'startup'] as const) {
    const checks = builtIn[name] === undefined ? [] : give(name, builtIn[name](name)).checks
    if (checks === false) off.push(name)
    else probes.set(name, checks)
  }
  if (named !== undefined) {
    const [entries, strange] = named
    const given = entries.map(([name, make]) => [name, make(`probes.${name}`)] as const)
    const value = own(given.map(([name, { value }]) => [name, value]))
    const bad = given.flatMap(([name, { bad }]) => NAMES.includes(name) ? bad : ['probes', ...bad])
    give('probes', { value: strange(value), bad })
    const byName = new Map(given)
    for (const name of Object.keys(value)) probes.set(name, byName.get(name)!.checks || [])
  }
  const start = prefix === undefined ? undefined : give('prefix', prefix('prefix')).value
  const root = String(start ?? '/healthz').replace(/^(?!\/)/, '/').replace(/\/+$/, '')
  const paths = new Map([...probes.keys()].map(name => [name, `${root}/${name}`]))
  const others = new Map(givenPaths.map(([nth, make]) => [[...probes.keys()][nth % probes.size], make]))
  others.delete(undefined)
  if (others.size > 0) {
    const given = [...others].map(([name, make]) => [name!, make(`paths.${name}`)] as const)
    const value = own(given.map(([name, { value }]) => [name, value]))
    give('paths', { value: strange(value), bad: given.flatMap(([, { bad }]) => bad) })
    for (const [name, { value }] of given) paths.set(name, String(value))
  }
  const { operator } = details === undefined ? { operator: false } : give('details', details('details'))
  for (const [name, make] of Object.entries(simple)) give(name, make!(name))
  if (stranger !== undefined) give(stranger.name, { value: stranger.value, bad: [stranger.name] })
  return { options: strange(own(entries)), bad, root, probes, off, paths, operator }
})
