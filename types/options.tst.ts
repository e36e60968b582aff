// Every option, and common mistakes with their messages.
import { readFileSync } from 'node:fs'
import '@fastify/swagger'
import Fastify, { type FastifyRequest } from 'fastify'
import { pino } from 'pino'
import { describe, expect, test } from 'tstyche'
import healthz, {
  type Check, type Checks, type HealthzOptions, type ListenOptions, type ShutdownOptions, type ThreadOptions
} from '../lib/index.js'

const app = Fastify()
declare const check: Check
declare const checks: Checks
declare function connect (): Promise<void>
declare function options (options: HealthzOptions): void

test('no option is needed', () => {
  expect(app.register).type.toBeCallableWith(healthz)
  expect(app.register).type.toBeCallableWith(healthz, {})
  expect<HealthzOptions>().type.toBeAssignableFrom({})
})

test('the plugin can be registered on any Fastify server and in a scope', () => {
  expect(Fastify({ http2: true }).register(healthz, { noLog: true })).type.not.toRaiseError()
  expect(Fastify({ https: { key: readFileSync('key') } }).register(healthz, { noLog: true })).type.not.toRaiseError()
  expect(Fastify({ http2: true, https: {} }).register(healthz, { noLog: true })).type.not.toRaiseError()
  expect(app.register(async scope => { await scope.register(healthz, { noLog: true }) }, { prefix: '/api' })).type.not.toRaiseError()
})

test("options of Fastify's `register` are allowed", () => {
  expect(app.register).type.toBeCallableWith(healthz, { noLog: true, logLevel: 'warn' as const })
})

test('an option may be `undefined`', () => {
  expect<Required<HealthzOptions>>().type.toBeAssignableTo<HealthzOptions>()
  expect(options).type.toBeCallableWith({ live: undefined, probes: undefined, timeout: undefined, shutdown: undefined, root: undefined })
})

test('a logger is Fastify\'s, pino or anything with its methods', () => {
  expect(options).type.toBeCallableWith({ logger: app.log })
  expect(options).type.toBeCallableWith({ logger: pino() })
  const write = (fields: object, message: string) => { process.stdout.write(message + JSON.stringify(fields)) }
  expect(options).type.toBeCallableWith({ logger: { fatal: write, error: write, warn: write, info: write, debug: write } })
  expect(options).type.not.toBeCallableWith({ logger: console })
  expect(options).type.not.toBeCallableWith({ logger: true })
})

test('`close` may be sync or async, and is passed the signal', () => {
  expect(options).type.toBeCallableWith({ shutdown: { close () {} } })
  expect(options).type.toBeCallableWith({ shutdown: { close: async (signal?: string) => { await app.close(); return signal } } })
  expect(options).type.not.toBeCallableWith({ shutdown: { close: true } })
  expect(options).type.not.toBeCallableWith({ listen: { port: 0, serving: 'ready' } })
})

test('options may be constant', () => {
  const constant = {
    probes: { deep: { a: './a.js', b: { check, critical: false } } }, paths: { deep: '/deep' }, shutdown: { signals: ['SIGTERM'] }
  } as const
  expect(options).type.toBeCallableWith(constant)
})

describe('a misspelt option', () => {
  test('is an error in `register`', () => {
    const register = app.register
    expect(register(healthz, { nolog: true })).type.toRaiseError("'nolog' does not exist in type 'FastifyRegisterOptions<HealthzOptions>'")
    expect(register(healthz, { liveness: check })).type.toRaiseError("'liveness' does not exist in type")
  })

  test('is an error with a suggestion where the type is declared', () => {
    expect(options({ nolog: true })).type.toRaiseError("'nolog' does not exist in type 'HealthzOptions'. Did you mean to write 'noLog'?")
    expect(options({ perfix: '/' })).type.toRaiseError("'perfix' does not exist in type 'HealthzOptions'. Did you mean to write 'prefix'?")
  })
})

test('prefix', () => {
  expect(options).type.toBeCallableWith({ prefix: '' })
  expect(options({ prefix: 5 })).type.toRaiseError("Type 'number' is not assignable to type 'string'")
})

test('live, ready, startup', () => {
  expect(options).type.toBeCallableWith({ live: false as const, ready: check, startup: './checks.js#startup' })
  expect(options).type.toBeCallableWith({ live: checks, ready: { a: check, b: './b.js', c: { check: './c.js', critical: false } } })
  expect(options({ live: true })).type.toRaiseError("Type 'true' is not assignable to type 'false | Checks | undefined'")
  expect(options({ ready: null })).type.toRaiseError("Type 'null' is not assignable to type 'false | Checks | undefined'")
  expect(options({ startup: 5 })).type.toRaiseError("Type 'number' is not assignable to type 'false | Checks | undefined'")
  expect(options({ ready: [check] })).type.toRaiseError('is not assignable to type')
})

test('a check that was called instead of passed', () => {
  expect(options({ ready: connect() })).type.toRaiseError("'Promise<void>' is not assignable to type 'false | Checks | undefined'")
  expect(options({ ready: { database: connect() } })).type.toRaiseError("'Promise<void>' is not assignable to type")
})

test('probes', () => {
  expect(options).type.toBeCallableWith({ probes: { deep: checks, other: './other.js' } })
  expect(options({ probes: check })).type.toRaiseError("Type 'Check' is not assignable to type '{ readonly [name: string]: Checks; }'")
  expect(options({ probes: { deep: false } })).type.toRaiseError("Type 'boolean' is not assignable to type 'Checks'")
})

test('paths', () => {
  expect(options).type.toBeCallableWith({ paths: { ready: '/readyz' } })
  expect(options({ paths: { ready: 5 } })).type.toRaiseError("Type 'number' is not assignable to type 'string'")
  expect(options({ paths: '/readyz' })).type.toRaiseError("Type 'string' is not assignable to type '{ readonly [probe: string]: string; }'")
})

test('noLog', () => {
  expect(options).type.toBeCallableWith({ noLog: true })
  expect(options({ noLog: 'yes' })).type.toRaiseError("Type 'string' is not assignable to type 'boolean | undefined'")
})

test('timeout', () => {
  expect(options).type.toBeCallableWith({ timeout: 500 })
  expect(options({ timeout: '5s' })).type.toRaiseError("Type 'string' is not assignable to type 'number'")
})

test('details', () => {
  expect(options).type.toBeCallableWith({ details: true })
  expect(options).type.toBeCallableWith({ details: (request: FastifyRequest) => request.ip === '127.0.0.1' })
  expect(options).type.toBeCallableWith({ details: async () => false })
  expect(options({ details: request => { expect(request).type.toBe<FastifyRequest>(); return true } })).type.not.toRaiseError()
  expect(options({ details: 'yes' })).type.toRaiseError("Type 'string' is not assignable to type 'boolean | ((request: FastifyRequest")
  expect(options({ details: () => 'yes' })).type.toRaiseError("Type 'string' is not assignable to type 'boolean | Promise<boolean>'")
})

test('shutdown', () => {
  expect(options).type.toBeCallableWith({ shutdown: true })
  expect(options).type.toBeCallableWith({ shutdown: {} })
  const all: ShutdownOptions = { signals: ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2'], delay: 0, timeout: 1 }
  expect(options).type.toBeCallableWith({ shutdown: all })
  expect(options({ shutdown: { signals: ['SIGKILL'] } })).type.toRaiseError("Type '\"SIGKILL\"' is not assignable to type 'ShutdownSignal'")
  expect(options({ shutdown: { signals: ['SIGTREM'] } })).type.toRaiseError("Did you mean '\"SIGTERM\"'?")
  expect(options({ shutdown: { signals: 'SIGTERM' } })).type.toRaiseError("'string' is not assignable to type 'readonly ShutdownSignal[]'")
  expect(options({ shutdown: { signal: ['SIGTERM'] } })).type.toRaiseError("Did you mean to write 'signals'?")
  expect(options).type.toBeCallableWith({ shutdown: { delay: { SIGTERM: 5000, SIGINT: 5000, SIGHUP: undefined } } })
  expect(options({ shutdown: { delay: '5s' } })).type.toRaiseError("Type 'string' is not assignable to type 'number |")
  expect(options({ shutdown: { delay: { SIGTREM: 5000 } } })).type.toRaiseError("Did you mean to write 'SIGTERM'?")
  expect(options({ shutdown: 5000 })).type.toRaiseError("Type 'number' is not assignable to type 'boolean | ShutdownOptions | undefined'")
})

test('listen', () => {
  const all: ListenOptions = { port: 9090, host: '::', alongside: true }
  expect(options).type.toBeCallableWith({ listen: all })
  expect(options({ listen: 9090 })).type.toRaiseError("Type 'number' is not assignable to type 'ListenOptions'")
  expect(options({ listen: {} })).type.toRaiseError("Property 'port' is missing in type '{}' but required in type 'ListenOptions'")
  expect(options({ listen: { prot: 9090 } })).type.toRaiseError("'prot' does not exist in type 'ListenOptions'")
  expect(options({ listen: { port: '9090' } })).type.toRaiseError("Type 'string' is not assignable to type 'number'")
  const thread: ThreadOptions = { maxBlocked: 10_000, stack: false }
  expect(options).type.toBeCallableWith({ listen: { port: 9090, thread } })
  expect(options).type.toBeCallableWith({ listen: { port: 9090, thread: true } })
  expect(options({ listen: { port: 9090, thread: 'yes' } })).type.toRaiseError(
    "'string' is not assignable to type 'boolean | ThreadOptions | undefined'"
  )
  expect(options({ listen: { port: 9090, thread: { maxBlock: 1 } } })).type.toRaiseError("'maxBlocked'")
})

test('root', () => {
  expect(options).type.toBeCallableWith({ root: __dirname })
  expect(options).type.toBeCallableWith({ root: new URL('file:///srv/app/') })
  expect(options({ root: 5 })).type.toRaiseError("Type 'number' is not assignable to type 'string | URL | undefined'")
})

test('routeOptions', () => {
  expect(options).type.toBeCallableWith({
    routeOptions: {
      schema: { hide: true, tags: ['internal'] },
      constraints: { host: 'internal.example' },
      config: { rateLimit: false, mine: 1 },
      logLevel: 'warn' as const
    }
  })
  expect(options({ routeOptions: { onRequest: check } })).type.toRaiseError("'onRequest' does not exist in type 'ProbeRouteOptions'")
  expect(options({ routeOptions: { logLevel: 5 } })).type.toRaiseError("Type 'number' is not assignable to type")
})
