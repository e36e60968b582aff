/* eslint-disable no-throw-literal, prefer-promise-reject-errors -- these checks are faulty on purpose */
import { setImmediate } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import healthz, { HealthError } from '../../lib/index.js'
import type { Check, CheckContext } from '../../types/check.js'
import type { LogLine } from './log.js'
import { deferred } from './checks.js'

/** Passed to a faulty check. */
export interface Situation {
  readonly app: FastifyInstance
  readonly context: CheckContext
  readonly port: number
  /** The number of this call, from 1. */
  readonly calls: number
  /** Resolves after the first response of the probe. */
  readonly answered: Promise<void>
  /** Removes the check. */
  remove (): void
  /** Adds a check to the same probe, for as long as the fault lasts. */
  add (name: string, check: Check): void
}

/** A check named `fault` on the probe `ready`, and the expected outcome. */
export interface Fault {
  readonly kind: string
  readonly check: (situation: Situation) => unknown
  /** In ms, only for checks that time out. */
  readonly timeout?: number
  readonly status: number
  readonly title: string | RegExp
  /** The next response, while the fault lasts. Default: the same. */
  readonly again?: readonly [status: number, title: string]
  /** All log lines of the plugin until the check passes again: the level, and the message after `ready check `. */
  readonly log: ReadonlyArray<string | RegExp>
  /** The fault persists when the check would pass again, until the check is removed. */
  readonly lasts?: true
}

type Comes = Pick<Fault, 'status' | 'title' | 'log'>

const recovered = /^info: "fault" recovered after [\d.]+ s$/
const PASS: Comes = { status: 200, title: 'OK', log: [] }
const FALSE: Comes = { status: 503, title: 'fault: failed', log: ['warn: "fault" failed', recovered] }
const UNEXPECTED: Comes = {
  status: 500,
  title: 'fault: failed unexpectedly',
  log: ['error: "fault" failed unexpectedly', recovered]
}
const TIMED_OUT: Comes & { timeout: number } = {
  status: 503,
  title: 'fault: timed out',
  log: ['warn: "fault" timed out', recovered],
  timeout: 40
}
const STUCK: typeof TIMED_OUT & Pick<Fault, 'lasts'> = { ...TIMED_OUT, log: ['warn: "fault" timed out'], lasts: true }
const OVERRUN: typeof TIMED_OUT = {
  ...PASS,
  log: [/^warn: "fault" blocked the event loop for \d{2,} ms, past its timeout of 20 ms$/],
  timeout: 20
}

function says (message: string, shown: string | RegExp = `fault: ${message}`): Comes & Pick<Fault, 'check'> {
  return {
    check: () => { throw new HealthError(message) },
    status: 503,
    title: shown,
    log: [`warn: "fault" failed: ${message}`, recovered]
  }
}

const oops = (): never => { throw new Error('oops') }
const withGetter = <T extends object>(target: T, ...names: string[]): T =>
  Object.defineProperties(target, Object.fromEntries(names.map(name => [name, { get: oops }])))
const everyTrap = new Proxy({}, { get: () => oops })
const trapped = <T extends object>(target: T): T => new Proxy(target, everyTrap)
function revoked<T extends object> (target: T): T {
  const { proxy, revoke } = Proxy.revocable(target, {})
  revoke()
  return proxy
}
function causedByItself<T extends Error> (error: T): T {
  error.cause = new Error('between', { cause: error })
  return error
}
function deep (error: Error): Error {
  for (let i = 0; i < 20_000; i++) error = new Error('above', { cause: error })
  return error
}
/** Created in advance, since this takes longer than a check may block. */
const CHAIN = deep(new Error('oops'))
function containsItself (): AggregateError {
  const error = new AggregateError([], 'all')
  error.errors.push(error)
  return error
}
function block (ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}
const overflow = (): number => 1 + overflow()
const thenable = (then: (resolve: (value?: unknown) => void, reject: (error: unknown) => void) => unknown) => ({ then })
const never = new Promise(() => {})
/** The first and the last character of each plane, and those that break line and text parsers. */
const everyPlane = Array.from({ length: 17 }, (_, plane) => plane * 0x10000)
  .map(start => String.fromCodePoint(start || 0x20, start + 0xfffd))
  .join('') + '\u{feff}\u{2028}\u{2029}\u{202e}\u{85}\u{7f}'

/** The faults of a check. */
export const FAULTS: readonly Fault[] = [
  // Thrown values
  { kind: 'throws at once', check: oops, ...UNEXPECTED },
  { kind: 'rejects', check: async () => oops(), ...UNEXPECTED },
  { kind: 'throws a HealthError', ...says('away') },
  { ...says('away'), kind: 'rejects with a HealthError', check: async () => { throw new HealthError('away') } },
  { kind: 'throws undefined', check: () => { throw undefined }, ...UNEXPECTED },
  { kind: 'rejects with undefined', check: () => Promise.reject(), ...UNEXPECTED },
  { kind: 'rejects with null', check: () => Promise.reject(null), ...UNEXPECTED },
  { kind: 'rejects with false', check: () => Promise.reject(false), ...UNEXPECTED },
  { kind: 'rejects with a string', check: () => Promise.reject('oops'), ...UNEXPECTED },
  { kind: 'rejects with a symbol', check: () => Promise.reject(Symbol('oops')), ...UNEXPECTED },
  { kind: 'rejects with a bigint', check: () => Promise.reject(10n), ...UNEXPECTED },
  { kind: 'rejects with a function', check: () => Promise.reject(oops), ...UNEXPECTED },
  { kind: 'rejects with a frozen object', check: () => Promise.reject(Object.freeze({ message: 'oops' })), ...UNEXPECTED },
  { kind: 'rejects with a frozen error', check: () => Promise.reject(Object.freeze(new Error('oops'))), ...UNEXPECTED },
  {
    ...says('away'),
    kind: 'rejects with a frozen HealthError',
    check: () => Promise.reject(Object.freeze(new HealthError('away')))
  },
  {
    kind: 'rejects with an object whose message throws',
    check: () => Promise.reject(withGetter({}, 'message')),
    ...UNEXPECTED
  },
  {
    kind: 'rejects with an error whose message throws',
    check: () => Promise.reject(withGetter(new Error(), 'message')),
    ...UNEXPECTED
  },
  {
    kind: 'rejects with an error whose stack throws',
    check: () => Promise.reject(withGetter(new Error(), 'stack', 'cause')),
    ...UNEXPECTED
  },
  {
    kind: 'rejects with a HealthError whose message throws',
    check: () => Promise.reject(withGetter(new HealthError(), 'message')),
    ...UNEXPECTED
  },
  {
    kind: 'rejects with a HealthError whose message is no text',
    check: () => Promise.reject(Object.assign(new HealthError(), { message: { toString: oops } })),
    ...UNEXPECTED
  },
  {
    ...says('away'),
    kind: 'rejects with a HealthError whose cause throws',
    check: () => Promise.reject(withGetter(new HealthError('away'), 'cause'))
  },
  {
    ...says('away'),
    kind: 'rejects with a HealthError caused by a Proxy',
    check: () => Promise.reject(new HealthError('away', { cause: trapped(new Error()) }))
  },
  { kind: 'rejects with a Proxy of an error', check: () => Promise.reject(new Proxy(new Error('oops'), {})), ...UNEXPECTED },
  {
    kind: 'rejects with a Proxy whose every trap throws',
    check: () => Promise.reject(trapped(new Error('oops'))),
    ...UNEXPECTED
  },
  { kind: 'rejects with a revoked Proxy', check: () => Promise.reject(revoked({})), ...UNEXPECTED },
  {
    kind: 'rejects with an error that causes itself',
    check: () => Promise.reject(causedByItself(new Error('oops'))),
    ...UNEXPECTED
  },
  {
    ...says('away'),
    kind: 'rejects with a HealthError that causes itself',
    check: () => Promise.reject(causedByItself(new HealthError('away')))
  },
  { kind: 'rejects with a chain of 20,000 causes', check: () => Promise.reject(CHAIN), ...UNEXPECTED },
  {
    kind: 'rejects with an AggregateError',
    check: () => Promise.any([Promise.reject(new Error('a')), Promise.reject(new Error('b'))]),
    ...UNEXPECTED
  },
  { kind: 'rejects with an AggregateError of itself', check: () => Promise.reject(containsItself()), ...UNEXPECTED },
  {
    kind: 'rejects with an error whose toJSON throws',
    check: () => Promise.reject(Object.assign(new Error('oops'), { toJSON: oops })),
    ...UNEXPECTED
  },
  { kind: 'overflows the stack', check: overflow, ...UNEXPECTED },
  { kind: 'is a class', check: class {} as never, ...UNEXPECTED },
  { kind: 'is a revoked Proxy', check: revoked(() => {}), ...UNEXPECTED },

  // Messages
  {
    ...says('x'.repeat(10_000_000), /^fault: x{10000,}…$/),
    kind: 'says 10 MB',
    log: [/^warn: "fault" failed: x{10000,10240}…$/, recovered]
  },
  { kind: 'says CR, LF and NUL', ...says('a\r\nHTTP/1.1 200 OK\r\n\r\n\0b') },
  { kind: 'says lone surrogates', ...says('a\ud800b\udfffc\udc00\ud800') },
  {
    // In two parts, since SWC doesn't accept `\u{…}` after a surrogate.
    ...says(('\ud800' + '\u{1f600}\0').repeat(100_000), /^fault: (\ud800\u{1f600}\0){300,}.{0,3}…$/su),
    kind: 'says much that is long once it is escaped',
    log: [/^warn: "fault" failed: (\ud800\u{1f600}\0){300,}.{0,3}…$/su, recovered]
  },
  { kind: 'says every Unicode plane', ...says(everyPlane) },
  { kind: 'says what JSON and HTML would read', ...says('","status":200}<script>\\') },
  { ...says('', 'fault: failed'), kind: 'says nothing', log: FALSE.log },

  // Returned values
  { kind: 'gives back false', check: () => false, ...FALSE },
  { kind: 'resolves with false', check: async () => false, ...FALSE },
  {
    kind: 'resolves twice over with false',
    check: () => Promise.resolve(thenable(resolve => resolve(Promise.resolve(false)))),
    ...FALSE
  },
  { kind: 'gives back what is only nearly false', check: () => Object(false), ...PASS },
  { kind: 'gives back a Proxy whose every trap throws', check: () => trapped({}), ...UNEXPECTED },
  {
    kind: 'resolves with a Proxy whose every trap throws',
    check: () => thenable(resolve => resolve(trapped({}))),
    ...UNEXPECTED
  },
  { kind: 'gives back a revoked Proxy', check: () => revoked({}), ...UNEXPECTED },
  { kind: 'gives back a revoked Proxy of a promise', check: () => revoked(Promise.resolve()), ...UNEXPECTED },
  { kind: 'gives back a thenable that throws', check: () => thenable(oops), ...UNEXPECTED },
  { kind: 'gives back what throws when it is asked for `then`', check: () => withGetter({}, 'then'), ...UNEXPECTED },
  {
    kind: 'gives back a thenable that calls back and then throws',
    check: () => thenable(resolve => { resolve(); oops() }),
    ...PASS
  },
  {
    kind: 'gives back a thenable that calls back twice',
    check: () => thenable((resolve, reject) => { resolve(); reject(new Error('oops')) }),
    ...PASS
  },
  {
    kind: 'gives back a thenable that fails and then passes',
    check: () => thenable((resolve, reject) => { reject(new Error('oops')); resolve() }),
    ...UNEXPECTED
  },
  {
    kind: 'gives back a promise whose `then` throws',
    check: () => Object.assign(Promise.resolve(), { then: oops }),
    ...UNEXPECTED
  },
  {
    kind: 'gives back a promise whose `constructor` throws',
    check: () => withGetter(Promise.resolve(), 'constructor'),
    ...UNEXPECTED
  },
  {
    kind: 'gives back a promise that calls back twice, and at once',
    check: () => Object.assign(Promise.resolve(), thenable((pass, fail) => { pass(); fail(new Error('oops')) })),
    ...PASS
  },
  {
    kind: 'resolves with itself',
    check: () => { const promise: Promise<void> = Promise.resolve().then(() => promise); return promise },
    ...UNEXPECTED
  },
  {
    kind: 'settles twice',
    check: () => new Promise<void>((resolve, reject) => { resolve(); reject(new Error('oops')) }),
    ...PASS
  },

  // Timing
  { kind: 'never settles', check: () => never, ...STUCK },
  {
    kind: 'gives back a thenable that never calls back',
    check: () => thenable(() => {}),
    ...STUCK
  },
  { kind: 'settles after the timeout', check: ({ answered }) => answered, ...TIMED_OUT, again: [200, 'OK'] },
  {
    kind: 'rejects after the timeout',
    check: async ({ answered, calls }) => { await answered; if (calls === 1) oops() },
    ...TIMED_OUT,
    again: [200, 'OK']
  },
  { kind: 'obeys its signal', check: ({ context }) => rejectOnAbort(context.signal), ...TIMED_OUT },
  {
    kind: 'looks at its signal too late',
    check: async ({ context, answered }) => { await answered; context.signal.throwIfAborted() },
    ...TIMED_OUT,
    again: [200, 'OK']
  },
  {
    kind: 'keeps its signal from its other listeners',
    check: ({ context: { signal } }) => {
      signal.addEventListener('abort', event => event.stopImmediatePropagation())
      return rejectOnAbort(signal)
    },
    ...STUCK
  },
  {
    kind: 'calls the listeners of its own signal',
    check: ({ context: { signal } }) => {
      const promise = rejectOnAbort(signal)
      signal.dispatchEvent(new Event('abort'))
      return promise
    },
    ...UNEXPECTED
  },
  { kind: 'blocks the loop', check: ({ calls }) => { if (calls === 1) block(60) }, ...OVERRUN },
  {
    kind: 'blocks the loop, then gives a promise',
    check: async ({ calls }) => { if (calls === 1) block(60) },
    ...OVERRUN
  },
  {
    kind: 'blocks the loop, then never settles',
    check: ({ calls }) => { if (calls === 1) block(60); return never },
    ...STUCK,
    timeout: 20,
    log: [...OVERRUN.log, ...STUCK.log]
  },
  // The engine can't attribute this block to the check.
  {
    kind: 'waits, then blocks the loop',
    check: async ({ calls }) => { await setImmediate(); if (calls === 1) block(60) },
    ...PASS,
    timeout: 20
  },

  // Side effects
  { kind: 'removes itself and passes', check: ({ remove }) => remove(), ...PASS },
  {
    kind: 'removes itself and fails',
    check: async ({ remove }) => { remove(); oops() },
    ...UNEXPECTED,
    again: [200, 'OK'],
    log: []
  },
  {
    kind: 'removes itself twice and never settles',
    check: ({ remove }) => { remove(); remove(); return never },
    ...TIMED_OUT,
    again: [200, 'OK'],
    log: []
  },
  {
    kind: 'adds another, which fails',
    check: ({ add, calls }) => { if (calls === 1) add('another', () => false) },
    ...PASS,
    again: [503, 'another: failed'],
    log: ['warn: "another" failed']
  },
  { kind: 'adds itself', check: ({ add }) => add('fault', () => {}), ...UNEXPECTED },
  {
    kind: 'puts another in its place',
    check: ({ add, remove }) => { remove(); add('fault', () => false) },
    ...PASS,
    again: [503, 'fault: failed'],
    log: ['warn: "fault" failed']
  },
  { kind: 'adds one of a name that cannot be', check: ({ add }) => add('../x', () => {}), ...UNEXPECTED },
  { kind: 'runs its own probe', check: ({ app }) => { app.healthz.run('ready') }, ...PASS },
  { kind: 'runs its own probe and waits for it', check: ({ app }) => app.healthz.run('ready'), ...TIMED_OUT },
  {
    kind: 'asks its own probe over the wire and waits for it',
    check: ({ port }) => fetch(`http://127.0.0.1:${port}/healthz/ready`),
    ...TIMED_OUT
  },
  { kind: 'runs another probe and waits for it', check: ({ app }) => app.healthz.run('live'), ...PASS },
  { kind: 'runs a probe that there is not', check: ({ app }) => app.healthz.run('nowhere'), ...UNEXPECTED },
  {
    kind: 'logs what cannot be logged',
    check: ({ context }) => { context.log.info({ err: revoked({}) }, 'x') },
    ...UNEXPECTED
  },
  {
    kind: 'spoils its context',
    check: ({ context }) => { Object.assign(context, { app: null, probe: null, check: null }) },
    ...PASS
  }
]

function rejectOnAbort (signal: AbortSignal): Promise<never> {
  const { promise, reject } = deferred<never>()
  signal.addEventListener('abort', () => reject(signal.reason))
  return promise as Promise<never>
}

/** A fault outside the checks, tested in a separate app. */
export interface Surrounding {
  readonly kind: string
  readonly options: healthz.HealthzOptions
  /** Runs once the app listens. */
  readonly prepare?: (app: FastifyInstance) => void
  /** Called with each line that the plugin writes. */
  readonly write?: (line: LogLine) => void
  /** The requested path. Default: `ready`. */
  readonly path?: string
  readonly status: number
  readonly title: string
  /** The next response, `closed` if the app is closed by then. Default: the same. */
  readonly again?: readonly [status: number, title: string] | 'closed'
  /** All log lines of the plugin, as level and message. */
  readonly log: ReadonlyArray<string | RegExp>
}

const NO_DETAILS = {
  path: 'ready/fine',
  status: 404,
  title: 'The ready/fine check endpoint is not setup',
  log: ['warn: probe details denied by the `details` option (logged once)']
}
const ready = { fine: () => {} }
const LISTENER_FAILED = 'error: healthz.onChange listener failed'
const FAILS = { options: { ready: () => false }, status: 503, title: 'The ready check failed' }

export const SURROUNDINGS: readonly Surrounding[] = [
  { kind: 'details that throw', options: { ready, details: oops }, ...NO_DETAILS },
  { kind: 'details that reject', options: { ready, details: async () => oops() }, ...NO_DETAILS },
  { kind: 'details that reject with undefined', options: { ready, details: () => Promise.reject() }, ...NO_DETAILS },
  { kind: 'details that hang', options: { ready, details: () => never as Promise<boolean>, timeout: 40 }, ...NO_DETAILS },
  { kind: 'details that give nearly true', options: { ready, details: () => 1 as never }, ...NO_DETAILS },
  {
    kind: 'details that give a thenable that throws',
    options: { ready, details: () => thenable(oops) as never },
    ...NO_DETAILS
  },
  { kind: 'details that are a revoked Proxy', options: { ready, details: revoked(() => true) }, ...NO_DETAILS },
  {
    kind: 'details that throw for ?verbose',
    options: { ready, details: oops },
    ...NO_DETAILS,
    path: 'ready?verbose',
    status: 200,
    title: 'OK'
  },
  {
    kind: 'details that hang for ?exclude',
    options: { ready: { a: () => false }, details: () => never as never, timeout: 40 },
    ...NO_DETAILS,
    path: 'ready?exclude=a',
    status: 503,
    title: 'a: failed',
    log: ['warn: ready check "a" failed', ...NO_DETAILS.log].reverse()
  },

  {
    kind: 'an onChange that throws',
    prepare: app => { app.healthz.onChange(oops) },
    ...FAILS,
    log: ['warn: ready check failed', LISTENER_FAILED, LISTENER_FAILED]
  },
  {
    kind: 'an onChange that rejects',
    prepare: app => { app.healthz.onChange(async () => oops()) },
    ...FAILS,
    log: ['warn: ready check failed', LISTENER_FAILED, LISTENER_FAILED]
  },
  {
    kind: 'an onChange that throws a revoked Proxy',
    prepare: app => { app.healthz.onChange(() => { throw revoked({}) }) },
    ...FAILS,
    log: ['warn: ready check failed', LISTENER_FAILED, LISTENER_FAILED]
  },
  {
    kind: 'an onChange that gives a revoked Proxy',
    prepare: app => { app.healthz.onChange(() => revoked({})) },
    ...FAILS,
    log: ['warn: ready check failed', LISTENER_FAILED, LISTENER_FAILED]
  },
  {
    kind: 'an onChange that asks the probe again',
    prepare: app => { app.healthz.onChange(() => app.healthz.run('ready')) },
    ...FAILS,
    log: ['warn: ready check failed']
  },
  {
    kind: 'an onChange that ends itself and listens anew',
    prepare: app => {
      const listen = () => {
        const end = app.healthz.onChange(() => { end(); listen() })
      }
      listen()
    },
    ...FAILS,
    log: ['warn: ready check failed']
  },
  { kind: 'a logger that throws', write: oops, ...FAILS, log: [] },
  {
    kind: 'a logger that throws for a check that throws',
    write: oops,
    options: { ready: oops },
    status: 500,
    title: 'The ready check failed unexpectedly',
    log: []
  },

  {
    kind: 'a check that drains',
    options: { ready: ({ app }) => { app.healthz.drain(0) } },
    status: 503,
    title: 'Shutting down',
    log: ['info: draining for 0 s, ready fails from now on', /^info: drained for 0(\.\d+)? s$/]
  },
  {
    kind: 'a check that drains and waits for it',
    options: { ready: ({ app }) => app.healthz.drain(60_000), timeout: 40 },
    status: 503,
    title: 'Shutting down',
    log: ['info: draining for 60 s, ready fails from now on', 'warn: ready check timed out']
  },
  {
    kind: 'a check that closes the app',
    options: { ready: ({ app }) => { app.close() } },
    status: 200,
    title: 'OK',
    again: 'closed',
    log: []
  },
  {
    kind: 'a check that closes the app and waits for it',
    options: { ready: ({ app }) => app.close(), timeout: 200 },
    status: 503,
    title: 'Shutting down',
    again: 'closed',
    log: []
  }
]

/** A module that a check can't be loaded from, and the error of the boot. */
export interface FaultyModule {
  readonly kind: string
  readonly name: string
  readonly source: string
  readonly code: healthz.HealthzErrorCode
  readonly says: RegExp
}

export const MODULES: readonly FaultyModule[] = [
  {
    kind: 'throws',
    name: 'throws.mjs',
    source: "throw new Error('broken at the top')",
    code: 'HEALTHZ_ERR_CHECK_LOAD',
    says: /: broken at the top$/
  },
  { kind: 'throws null', name: 'null.cjs', source: 'throw null', code: 'HEALTHZ_ERR_CHECK_LOAD', says: /: `null`$/ },
  {
    kind: 'throws a revoked Proxy',
    name: 'revoked.cjs',
    source: 'const { proxy, revoke } = Proxy.revocable({}, {}); revoke(); throw proxy',
    code: 'HEALTHZ_ERR_CHECK_LOAD',
    says: /revoked/i
  },
  {
    kind: 'throws an error that throws',
    name: 'stack.cjs',
    source: "throw Object.defineProperty(new Error(), 'message', { get () { throw new Error('oops') } })",
    code: 'HEALTHZ_ERR_CHECK_LOAD',
    says: /./
  },
  {
    kind: 'rejects',
    name: 'rejects.mjs',
    source: "await Promise.reject(new Error('not today'))",
    code: 'HEALTHZ_ERR_CHECK_LOAD',
    says: /: not today$/
  },
  {
    kind: 'hangs',
    name: 'hangs.mjs',
    source: 'await new Promise(() => {})',
    code: 'HEALTHZ_ERR_CHECK_LOAD_TIMEOUT',
    says: /within 900 ms$/
  },
  { kind: 'exports nothing', name: 'nothing.mjs', source: '', code: 'HEALTHZ_ERR_CHECK_EXPORT', says: /is `undefined`$/ },
  {
    kind: 'exports no function',
    name: 'five.mjs',
    source: 'export default 5',
    code: 'HEALTHZ_ERR_CHECK_EXPORT',
    says: /is `5` \(number\)$/
  },
  {
    kind: 'exports a getter that throws',
    name: 'getter.cjs',
    source: "module.exports = { get default () { throw new Error('oops') } }",
    code: 'HEALTHZ_ERR_CHECK_LOAD',
    says: /: oops$/
  },
  {
    kind: 'has a syntax error',
    name: 'syntax.mjs',
    source: 'export default (',
    code: 'HEALTHZ_ERR_CHECK_LOAD',
    says: /Unexpected/
  },
  {
    kind: 'has a syntax error in CommonJS',
    name: 'syntax.cjs',
    source: 'module.exports = {',
    code: 'HEALTHZ_ERR_CHECK_LOAD',
    says: /Unexpected/
  },
  {
    kind: 'imports what there is not',
    name: 'imports.mjs',
    source: "import './missing.js'",
    code: 'HEALTHZ_ERR_CHECK_LOAD',
    says: /Cannot find module/
  }
]
