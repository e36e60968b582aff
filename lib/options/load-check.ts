import Module from 'node:module'
import { isGeneratorFunction } from 'node:util/types'
import type { Check } from '../../types/check.js'
import { healthzError, messageOf, show } from '../errors.js'

type Exports = Readonly<Record<string, unknown>>

/**
 * Loads the function that a specifier references: `./checks.js#liveness`, `@acme/checks#liveness`, `file:///srv/checks.js`.
 * @param option the name of the option, for errors
 * @param importer the file that the specifier is resolved from, like an `import()` in it
 * @param timeout in ms; 0 for none
 * @throws HEALTHZ_ERR_CHECK_LOAD, HEALTHZ_ERR_CHECK_LOAD_TIMEOUT, HEALTHZ_ERR_CHECK_EXPORT
 */
export async function loadCheck (specifier: string, option: string, importer: string, timeout: number): Promise<Check> {
  const [, path, name] = /^(.*?)(?:#([^#]*))?$/s.exec(specifier)!
  const loading = importFrom(importer, path!).then(exports => exportOf(exports, name || 'default')).catch((cause: unknown) => {
    throw healthzError('HEALTHZ_ERR_CHECK_LOAD', specifier, option, messageOf(cause), { cause })
  })
  const check = await inTime(loading, timeout, () => healthzError('HEALTHZ_ERR_CHECK_LOAD_TIMEOUT', specifier, option, timeout))
  if (typeof check !== 'function') throw healthzError('HEALTHZ_ERR_CHECK_EXPORT', option, specifier, show(check))
  if (isGeneratorFunction(check)) throw healthzError('HEALTHZ_ERR_CHECK_EXPORT', option, specifier, 'a generator function')
  return check as Check
}

/**
 * An `import()` in another file, so that Node.js resolves packages from there, with all its rules and loaders.
 *
 * `_compile` is undocumented, but require hooks such as `pirates` are built on it. No public API of Node.js 20 resolves a
 * package whose `exports` have only an `import` condition from another file: `createRequire().resolve()` throws
 * ERR_PACKAGE_PATH_NOT_EXPORTED, `import.meta.resolve()` takes no parent without a flag, and `importModuleDynamically` of
 * `node:vm` prints an ExperimentalWarning.
 */
async function importFrom (importer: string, specifier: string): Promise<Exports> {
  const module = new Module(importer) as Module & { _compile: (code: string, filename: string) => void }
  module._compile('module.exports = specifier => import(specifier)', importer)
  return module.exports(specifier)
}

/** Exports of a CommonJS module that Node.js can't detect without running it are properties of the default one. */
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
