import { resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { HealthzOptions, ListenOptions, ProbeRouteOptions, ShutdownOptions, ShutdownSignal } from '../types/options.js'
import { type CheckSettings, NAME, NAMES, readChecks } from './check-options.js'
import { DRAIN_MS } from './lifecycle.js'
import { expectBoolean, expectMs, expectRecord, reading, refuse, refuseUnknown } from './refusal.js'
import { readRouteOptions } from './route-options.js'

/** The options with every default filled in. */
export interface Settings {
  /** What the plugin's paths start with, without a slash at its end; `''` for none. */
  readonly prefix: string
  readonly probes: readonly ProbeSettings[]
  /** Probes that are switched off. */
  readonly off: readonly string[]
  readonly noLog: boolean
  /** In ms. */
  readonly timeout: number
  readonly details: NonNullable<HealthzOptions['details']>
  /** The file that module specifiers are resolved from, as if they stood in it. It need not exist. */
  readonly importer: string
  readonly routeOptions: Readonly<ProbeRouteOptions>
  readonly shutdown: ShutdownSettings | undefined
  readonly listen: Readonly<ListenOptions> | undefined
}

/** Times are in ms. */
export type ShutdownSettings = { readonly [Name in keyof ShutdownOptions]-?: Exclude<ShutdownOptions[Name], undefined> }

export interface ProbeSettings {
  readonly name: string
  readonly path: string
  readonly checks: readonly CheckSettings[]
}

const BUILT_IN = ['live', 'ready', 'startup'] as const
const OPTIONS = ['prefix', ...BUILT_IN, 'probes', 'paths', 'noLog', 'timeout', 'details', 'shutdown', 'listen', 'root', 'routeOptions']
/** Options that Fastify itself takes for every plugin. */
const REGISTER_OPTIONS = ['logLevel', 'logSerializers']
const SIGNALS: readonly ShutdownSignal[] = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2']
const PATH = /^\/[^:*?#]*$/

/**
 * Reads the options of the plugin. Nothing in them is changed or kept, but the functions and Fastify's own options.
 * @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
export function readOptions (given: HealthzOptions): Settings {
  const options: HealthzOptions = expectRecord('', given, 'a plain object')
  refuseUnknown('', options, [...OPTIONS, ...REGISTER_OPTIONS], OPTIONS)
  const { timeout = 800, details = false, noLog = false, routeOptions = {}, shutdown = false, listen } = options
  const prefix = readPrefix(options.prefix)
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
    shutdown: readShutdown(shutdown),
    listen: listen === undefined ? undefined : readListen(listen)
  }
}

function readPrefix (prefix: unknown = '/healthz'): string {
  if (typeof prefix !== 'string') refuse('prefix', 'a string', prefix)
  const path = prefix.startsWith('/') ? prefix : `/${prefix}`
  if (!PATH.test(path)) refuse('prefix', 'a path without `:`, `*`, `?` and `#`', prefix)
  return path.replace(/\/+$/, '')
}

function readProbes (options: HealthzOptions, prefix: string, timeout: number): ProbeSettings[] {
  const { probes: givenProbes = {}, paths: givenPaths = {} } = options
  const probes = expectRecord('probes', givenProbes, 'an object of probes by name')
  const paths = expectRecord('paths', givenPaths, 'an object of paths by the name of the probe')

  const found = new Map<string, CheckSettings[]>()
  for (const name of BUILT_IN) {
    const checks: unknown = options[name]
    if (checks !== false) found.set(name, checks === undefined ? [] : readChecks(name, checks, timeout, ' or `false`'))
  }
  for (const [name, checks] of Object.entries(probes)) {
    if (!NAME.test(name)) refuse('probes', `an object whose keys ${NAMES}`, name)
    if (BUILT_IN.some(builtIn => builtIn === name)) refuse('probes', `without \`${name}\`, which is an option of its own`, probes)
    found.set(name, readChecks(`probes.${name}`, checks, timeout))
  }

  const taken = new Map<string, string>()
  for (const name of found.keys()) taken.set(name, `${prefix}/${name}`)
  for (const [name, path] of Object.entries(paths)) {
    if (!taken.has(name)) refuse('paths', `an object whose keys are probes (${[...taken.keys()].join(', ')})`, name)
    if (typeof path !== 'string' || !PATH.test(path)) {
      refuse(`paths.${name}`, 'a path that starts with `/`, without `:`, `*`, `?` and `#`', path)
    }
    taken.set(name, path)
  }
  if (new Set(taken.values()).size < taken.size) refuse('paths', 'another path for each probe', paths)
  return [...found].map(([name, checks]) => ({ name, path: taken.get(name)!, checks }))
}

function readRoot (root: unknown = process.cwd()): string {
  if (typeof root === 'string' && !/^file:/i.test(root)) return resolve(root) + sep + 'healthz'
  try {
    if (typeof root === 'string' || root instanceof URL) return fileURLToPath(new URL('healthz', root))
  } catch {
    // Not a file's: refused below.
  }
  refuse('root', 'a folder or a file URL', root)
}

function readShutdown (shutdown: unknown): ShutdownSettings | undefined {
  if (shutdown === false) return undefined
  const options = expectRecord('shutdown', shutdown === true ? {} : shutdown, 'a boolean or an object')
  refuseUnknown('shutdown.', options, ['signals', 'delay', 'timeout'])
  const { signals = ['SIGTERM', 'SIGINT'], delay = DRAIN_MS, timeout = 10_000 } = options
  const taken: ShutdownSignal[] = reading('shutdown.signals', () => Array.isArray(signals) ? [...signals] : [])
  if (taken.length === 0 || !taken.every(signal => SIGNALS.includes(signal))) {
    refuse('shutdown.signals', `an array with one or more of ${SIGNALS.join(', ')}`, signals)
  }
  return {
    signals: taken,
    delay: expectMs('shutdown.delay', delay, 0),
    timeout: expectMs('shutdown.timeout', timeout, 1)
  }
}

function readListen (listen: unknown): ListenOptions {
  const options = expectRecord('listen', listen, 'an object with a port')
  refuseUnknown('listen.', options, ['port', 'host', 'alongside'])
  const { port, host, alongside = false } = options
  if (!Number.isInteger(port) || (port as number) < 0 || (port as number) > 65535) refuse('listen.port', 'an integer from 0 to 65535', port)
  if (host !== undefined && (typeof host !== 'string' || host === '')) refuse('listen.host', 'an address', host)
  return { port: port as number, host, alongside: expectBoolean('listen.alongside', alongside) }
}
