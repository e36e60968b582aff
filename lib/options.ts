import { resolve, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Check } from '../types/check.js'
import type { HealthzOptions, ProbeRouteOptions } from '../types/options.js'
import { healthzError, show } from './errors.js'
import { UNNAMED } from './verdict.js'

/** The options with every default filled in. */
export interface Settings {
  /** What the plugin's paths start with, without a slash at its end; `''` for none. */
  readonly prefix: string
  readonly probes: readonly ProbeSettings[]
  readonly noLog: boolean
  /** The file that module specifiers are resolved from, as if they stood in it. It need not exist. */
  readonly importer: string
  readonly routeOptions: Readonly<ProbeRouteOptions>
}

export interface ProbeSettings {
  readonly name: string
  readonly path: string
  readonly checks: readonly CheckSettings[]
}

export interface CheckSettings {
  readonly name: string
  /** Which option it comes from, for errors: `ready.database`. */
  readonly option: string
  /** A function, or the specifier of one. */
  readonly check: Check | string
}

const BUILT_IN = ['live', 'ready', 'startup'] as const
const OPTIONS = ['prefix', ...BUILT_IN, 'probes', 'paths', 'noLog', 'root', 'routeOptions']
/** Options that Fastify itself takes for every plugin. */
const REGISTER_OPTIONS = ['logLevel', 'logSerializers']
const ROUTE_OPTIONS = ['schema', 'constraints', 'config', 'logLevel']
/** Names that a check can't have, so that an options object in the wrong place isn't misread as checks by name. */
const RESERVED = ['check', 'timeout', 'critical', 'maxAge', 'interval']
const NAME = /^(?!\.{1,2}$)[A-Za-z0-9._-]{1,63}$/
const PATH = /^\/[^:*?#]*$/

/**
 * Reads the options of the plugin. Nothing in them is changed or kept, but the functions and Fastify's own options.
 * @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
export function readOptions (options: HealthzOptions): Settings {
  refuseUnknown('', options, [...OPTIONS, ...REGISTER_OPTIONS], OPTIONS)
  const { noLog = false, routeOptions = {} } = options
  if (typeof noLog !== 'boolean') refuse('noLog', 'a boolean', noLog)
  const prefix = readPrefix(options.prefix)
  return {
    prefix,
    probes: readProbes(options, prefix),
    noLog,
    importer: readRoot(options.root),
    routeOptions: readRouteOptions(routeOptions)
  }
}

function readPrefix (prefix: unknown = '/healthz'): string {
  if (typeof prefix !== 'string') refuse('prefix', 'a string', prefix)
  const path = prefix.startsWith('/') ? prefix : `/${prefix}`
  if (!PATH.test(path)) refuse('prefix', 'a path without `:`, `*`, `?` and `#`', prefix)
  return path.replace(/\/+$/, '')
}

function readProbes (options: HealthzOptions, prefix: string): ProbeSettings[] {
  const { probes = {}, paths = {} } = options
  if (!isRecord(probes)) refuse('probes', 'an object of probes by name', probes)
  if (!isRecord(paths)) refuse('paths', 'an object of paths by the name of the probe', paths)

  const found = new Map<string, CheckSettings[]>()
  for (const name of BUILT_IN) {
    const checks: unknown = options[name]
    if (checks !== false) found.set(name, checks === undefined ? [] : readChecks(name, checks, ' or `false`'))
  }
  for (const [name, checks] of Object.entries(probes)) {
    if (!NAME.test(name)) refuse('probes', 'an object whose keys match [A-Za-z0-9._-]{1,63}', name)
    if (BUILT_IN.some(builtIn => builtIn === name)) refuse('probes', `without \`${name}\`, which is an option of its own`, probes)
    found.set(name, readChecks(`probes.${name}`, checks))
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

function readChecks (option: string, checks: unknown, orElse = ''): CheckSettings[] {
  if (isCheck(checks)) return [{ name: UNNAMED, option, check: checks }]
  if (!isRecord(checks)) refuse(option, `a check (a function or a module specifier), an object of checks by name${orElse}`, checks)
  return Object.entries(checks).map(([name, check]) => {
    if (RESERVED.includes(name)) {
      refuse(option, `checks by name, and \`${name}\` can't be one: give the check a name, as in \`{ database: … }\``, checks)
    }
    if (!NAME.test(name)) refuse(option, 'an object of checks whose names match [A-Za-z0-9._-]{1,63}', name)
    if (!isCheck(check)) refuse(`${option}.${name}`, 'a check (a function or a module specifier)', check)
    return { name, option: `${option}.${name}`, check }
  })
}

function readRoot (root: unknown = process.cwd()): string {
  if (root instanceof URL || (typeof root === 'string' && /^file:/i.test(root))) {
    try {
      return fileURLToPath(new URL('healthz', root))
    } catch {
      // Not a file's: refused below.
    }
  } else if (typeof root === 'string') {
    return resolve(root) + sep + 'healthz'
  }
  refuse('root', 'a folder or a file URL', root)
}

function readRouteOptions (options: unknown): ProbeRouteOptions {
  if (!isRecord(options)) refuse('routeOptions', 'an object', options)
  refuseUnknown('routeOptions.', options, ROUTE_OPTIONS)
  const { logLevel, ...objects } = options
  if (logLevel !== undefined && typeof logLevel !== 'string') refuse('routeOptions.logLevel', 'the name of a level', logLevel)
  for (const [name, value] of Object.entries(objects)) {
    if (value !== undefined && !isRecord(value)) refuse(`routeOptions.${name}`, 'an object', value)
  }
  return options
}

function isCheck (value: unknown): value is Check | string {
  return typeof value === 'function' || (typeof value === 'string' && value !== '')
}

/** A plain object, of any realm. One with another prototype may hold names that would go unseen. */
function isRecord (value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null) return false
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

function refuseUnknown (where: string, options: object, known: string[], shown = known): void {
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) throw healthzError('HEALTHZ_ERR_OPTION_UNKNOWN', where + name, shown.map(name => `\`${name}\``).join(', '))
  }
}

function refuse (option: string, expected: string, got: unknown): never {
  throw healthzError('HEALTHZ_ERR_OPTION_INVALID', option, expected, show(got))
}
