import Module from 'node:module'
import type { Check } from '../types/check.js'
import { healthzError, messageOf, show } from './errors.js'

type Exports = Readonly<Record<string, unknown>>

/**
 * Loads the function that a specifier names: `./checks.js#liveness`, `@acme/checks#liveness`, `file:///srv/checks.js`.
 * @param option the option that it stands in, for errors
 * @param importer the file that it is resolved from, as if it stood there in an `import()`
 * @param timeout in ms; 0 for none
 * @throws HEALTHZ_ERR_CHECK_LOAD, HEALTHZ_ERR_CHECK_LOAD_TIMEOUT, HEALTHZ_ERR_CHECK_EXPORT
 */
export async function loadCheck (specifier: string, option: string, importer: string, timeout: number): Promise<Check> {
  const [, path, name] = /^(.*?)(?:#([^#]*))?$/s.exec(specifier)!
  const loading = importFrom(importer, path!).catch((cause: unknown) => {
    throw healthzError('HEALTHZ_ERR_CHECK_LOAD', specifier, option, messageOf(cause), { cause })
  })
  const exports = await inTime(loading, timeout, () => healthzError('HEALTHZ_ERR_CHECK_LOAD_TIMEOUT', specifier, option, timeout))
  let check: unknown
  try {
    check = exportOf(exports, name || 'default')
  } catch (cause) {
    throw healthzError('HEALTHZ_ERR_CHECK_EXPORT', option, specifier, `an error: ${messageOf(cause)}`, { cause })
  }
  if (typeof check !== 'function') throw healthzError('HEALTHZ_ERR_CHECK_EXPORT', option, specifier, show(check))
  return check as Check
}

/**
 * An `import()` that stands in another file, so that Node resolves packages from there with all its rules and loaders.
 * A plain one would look for packages beside this plugin, and `createRequire` refuses those that can only be imported.
 * (`_compile` is what loaders of other languages are built on; the way of `node:vm` to the same end is experimental.)
 */
async function importFrom (importer: string, specifier: string): Promise<Exports> {
  const module = new Module(importer) as Module & { _compile: (code: string, filename: string) => void }
  module._compile('module.exports = specifier => import(specifier)', importer)
  return module.exports(specifier)
}

/** In a CommonJS module the exports that Node couldn't see before running it are properties of the default one. */
function exportOf (exports: Exports, name: string): unknown {
  const found = Object.hasOwn(exports, name) ? exports[name] : undefined
  const all = exports.default
  if (typeof found === 'function' || typeof all !== 'object' || all === null || !Object.hasOwn(all, name)) return found
  return (all as Exports)[name]
}

async function inTime<T> (promise: Promise<T>, ms: number, late: () => Error): Promise<T> {
  if (ms === 0) return promise
  let timer: NodeJS.Timeout
  const timeout = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(late()), ms)
  })
  return Promise.race([promise, timeout]).finally(() => clearTimeout(timer))
}
