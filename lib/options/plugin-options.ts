import { resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import type {
  HealthzLogger, HealthzOptions, ListenOptions, ProbeRouteOptions, ShutdownOptions, ShutdownSignal
} from '../../types/options.js'
import { type CheckSettings, NAME, NAMES, readChecks } from './check-options.js'
import { CLOSE_MS, defaultDelay } from '../defaults.js'
import { expectBoolean, expectMs, expectRecord, refuse, refuseUnknown } from '../validate.js'
import { readRouteOptions } from './route-options.js'

/** The options with defaults applied. */
export interface Settings {
  /** Path prefix of the routes, without a trailing slash; `''` for none. */
  readonly prefix: string
  readonly probes: readonly ProbeSettings[]
  /** Probes that are disabled. */
  readonly off: readonly string[]
  readonly noLog: boolean
  /** In ms. */
  readonly timeout: number
  readonly details: NonNullable<HealthzOptions['details']>
  /** The file that module specifiers are resolved from. It need not exist. */
  readonly importer: string
  readonly routeOptions: Readonly<ProbeRouteOptions>
  readonly shutdown: ShutdownSettings | undefined
  /** Default delay of a drain, in ms. */
  readonly drainDelay: number
  /** Time limit for holds after a drain, in ms. */
  readonly closeTimeout: number
  readonly listen: ListenSettings | undefined
  readonly logger: HealthzLogger | undefined
}

export interface ListenSettings {
  readonly port: number
  readonly host: string | undefined
  readonly alongside: boolean
  readonly serving: NonNullable<ListenOptions['serving']>
  readonly thread: ThreadSettings | undefined
}

export interface ThreadSettings {
  /** In ms. */
  readonly maxBlocked: number
  readonly stack: boolean
}

export interface ShutdownSettings {
  readonly signals: readonly ShutdownSignal[]
  /** Duration of the drain on each signal, in ms, including signals that only another app of the process handles. */
  readonly delays: Readonly<Record<ShutdownSignal, number>>
  /** In ms. */
  readonly timeout: number
  readonly close: ShutdownOptions['close']
}

export interface ProbeSettings {
  readonly name: string
  readonly path: string
  readonly checks: readonly CheckSettings[]
}

const BUILT_IN = ['live', 'ready', 'startup'] as const
const OPTIONS = [
  'prefix', ...BUILT_IN, 'probes', 'paths', 'noLog', 'timeout', 'details', 'shutdown', 'listen', 'logger', 'root', 'routeOptions'
]
/** Options that Fastify supports for every plugin. */
const REGISTER_OPTIONS = ['logLevel', 'logSerializers']
const LEVELS = ['fatal', 'error', 'warn', 'info', 'debug'] as const
const SIGNALS: readonly ShutdownSignal[] = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2']
/** The router decodes the path of a request, but not that of a route, so an escape in one would never match. */
const PATH = /^\/[^:*?#%]*$/
const PATH_IN_WORDS = 'without `:`, `*`, `?`, `#` and `%`'

/** Hint for the error about an option that may be meant for the app. */
const AUTOLOADED = '; @fastify/autoload passes the options of the app to every plugin file, ' +
  'so export `fp(async app => { await app.register(healthz, { … }) })` instead'

/**
 * Reads the options of the plugin. They are not modified, and only functions and Fastify's options are kept by reference.
 * @param scope the Fastify instance that the plugin is registered on
 * @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
export function readOptions (given: HealthzOptions, scope = { pluginName: '', prefix: '' }): Settings {
  const options: HealthzOptions = expectRecord('options', given, 'a plain object')
  // The path of the package, or the name of its function.
  const hint = /autoload/i.test(scope.pluginName) ? AUTOLOADED : ''
  refuseUnknown('', options, [...OPTIONS, ...REGISTER_OPTIONS], OPTIONS, hint)
  const { timeout = 800, details = false, noLog = false, routeOptions = {} } = options
  const listen = options.listen === undefined ? undefined : readListen(options.listen)
  // An app that receives no requests has no endpoint whose removal must propagate.
  const drainDelay = listen?.serving === 'onReady' ? 0 : defaultDelay()
  const shutdown = readShutdown(options.shutdown, drainDelay)
  const prefix = readPrefix(options.prefix)
  // The routes would have it twice.
  if (hint !== '' && prefix !== '' && prefix === scope.prefix) refuse('prefix', 'different from the prefix of the scope', prefix, hint)
  if (typeof details !== 'boolean' && typeof details !== 'function') refuse('details', 'a boolean or a function', details)
  return {
    prefix,
    probes: readProbes(options, prefix, expectMs('timeout', timeout, 1)),
    off: BUILT_IN.filter(name => options[name] === false),
    noLog: expectBoolean('noLog', noLog),
    timeout,
    details,
    importer: readRoot(options.root),
    routeOptions: readRouteOptions(routeOptions),
    shutdown,
    drainDelay,
    closeTimeout: shutdown?.timeout ?? CLOSE_MS,
    listen,
    logger: readLogger(options.logger, hint)
  }
}

function readPrefix (prefix: unknown = '/healthz'): string {
  if (typeof prefix !== 'string') refuse('prefix', 'a string', prefix)
  const path = prefix.startsWith('/') ? prefix : `/${prefix}`
  if (!PATH.test(path)) refuse('prefix', `a path ${PATH_IN_WORDS}`, prefix)
  return path.replace(/\/+$/, '')
}

function readProbes (options: HealthzOptions, prefix: string, timeout: number): ProbeSettings[] {
  const { probes: givenProbes = {}, paths: givenPaths = {} } = options
  const probes = expectRecord('probes', givenProbes, 'an object of probes by name')
  const paths = expectRecord('paths', givenPaths, 'an object of paths by the name of the probe')

  const checksOf = new Map<string, CheckSettings[]>()
  for (const name of BUILT_IN) {
    const checks: unknown = options[name]
    if (checks !== false) checksOf.set(name, checks === undefined ? [] : readChecks(name, checks, timeout, ' or `false`'))
  }
  for (const [name, checks] of Object.entries(probes)) {
    if (!NAME.test(name)) refuse('probes', `an object whose keys ${NAMES}`, name)
    if (BUILT_IN.some(builtIn => builtIn === name)) refuse('probes', `an object without \`${name}\`, which is a separate option`, probes)
    checksOf.set(name, readChecks(`probes.${name}`, checks, timeout, '', name))
  }

  const pathOf = new Map<string, string>()
  for (const name of checksOf.keys()) pathOf.set(name, `${prefix}/${name}`)
  for (const [name, path] of Object.entries(paths)) {
    if (!pathOf.has(name)) refuse('paths', `an object whose keys are probes (${[...pathOf.keys()].join(', ')})`, name)
    if (typeof path !== 'string' || !PATH.test(path)) {
      refuse(`paths.${name}`, `a path that starts with \`/\`, ${PATH_IN_WORDS}`, path)
    }
    pathOf.set(name, path)
  }
  if (new Set(pathOf.values()).size < pathOf.size) refuse('paths', 'a different path for each probe', paths)
  return [...checksOf].map(([name, checks]) => ({ name, path: pathOf.get(name)!, checks }))
}

function readRoot (root: unknown = process.cwd()): string {
  if (typeof root === 'string' && !/^file:/i.test(root)) return resolve(root) + sep + 'healthz'
  try {
    if (typeof root === 'string' || root instanceof URL) return fileURLToPath(new URL('healthz', root))
  } catch {
    // Not a valid file URL.
  }
  refuse('root', 'a directory or a file URL', root)
}

function readLogger (logger: unknown, hint: string): HealthzLogger | undefined {
  if (logger === undefined) return undefined
  const methods = Object(logger) as Record<string, unknown>
  if (!LEVELS.every(level => typeof methods[level] === 'function')) {
    refuse('logger', `a logger with the methods ${LEVELS.join(', ')}`, logger, hint)
  }
  return logger as HealthzLogger
}

function readShutdown (shutdown: unknown = false, drainDelay: number): ShutdownSettings | undefined {
  if (shutdown === false) return undefined
  const options = expectRecord('shutdown', shutdown === true ? {} : shutdown, 'a boolean or an object')
  refuseUnknown('shutdown.', options, ['signals', 'delay', 'timeout', 'close'])
  const { signals = ['SIGTERM', 'SIGINT'], delay, timeout = CLOSE_MS, close } = options
  const handled: ShutdownSignal[] = Array.isArray(signals) ? [...signals] : []
  if (handled.length === 0 || !handled.every(signal => SIGNALS.includes(signal))) {
    refuse('shutdown.signals', `an array with one or more of ${SIGNALS.join(', ')}`, signals)
  }
  if (close !== undefined && typeof close !== 'function') refuse('shutdown.close', 'a function', close)
  return {
    signals: handled,
    delays: readDelays(delay, drainDelay, handled),
    timeout: expectMs('shutdown.timeout', timeout, 1),
    close: close as ShutdownSettings['close']
  }
}

function readDelays (delay: unknown, drainDelay: number, handled: readonly ShutdownSignal[]): ShutdownSettings['delays'] {
  const others = typeof delay === 'number' ? expectMs('shutdown.delay', delay, 0) : drainDelay
  // The user who presses Ctrl-C waits for it.
  const delays = { SIGTERM: others, SIGINT: 0, SIGHUP: others, SIGQUIT: others, SIGUSR2: others }
  if (delay === undefined || typeof delay === 'number') return delays
  const given = expectRecord('shutdown.delay', delay, 'an integer >= 0, or an object of those by signal')
  refuseUnknown('shutdown.delay.', given, handled)
  for (const [signal, ms] of Object.entries(given)) {
    if (ms !== undefined) delays[signal as ShutdownSignal] = expectMs(`shutdown.delay.${signal}`, ms, 0)
  }
  return delays
}

function readListen (listen: unknown): ListenSettings {
  const options = expectRecord('listen', listen, 'an object with a port')
  refuseUnknown('listen.', options, ['port', 'host', 'alongside', 'serving', 'thread'])
  const { port, host, alongside = false, serving = 'onListen', thread = false } = options
  if (!Number.isInteger(port) || (port as number) < 0 || (port as number) > 65535) refuse('listen.port', 'an integer from 0 to 65535', port)
  if (host !== undefined && (typeof host !== 'string' || host === '')) refuse('listen.host', 'an address', host)
  if (serving !== 'onListen' && serving !== 'onReady') refuse('listen.serving', "'onListen' or 'onReady'", serving)
  return { port: port as number, host, alongside: expectBoolean('listen.alongside', alongside), serving, thread: readThread(thread) }
}

function readThread (thread: unknown): ThreadSettings | undefined {
  if (thread === false) return undefined
  const options = expectRecord('listen.thread', thread === true ? {} : thread, 'a boolean or an object')
  refuseUnknown('listen.thread.', options, ['maxBlocked', 'stack'])
  const { maxBlocked = 10_000, stack = true } = options
  return { maxBlocked: expectMs('listen.thread.maxBlocked', maxBlocked, 1000), stack: expectBoolean('listen.thread.stack', stack) }
}
