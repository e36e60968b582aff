// Checks and their options, and common mistakes.
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { expect, test } from 'tstyche'
import { HealthError, type Check, type CheckContext, type Checks, type CheckWithOptions } from '../lib/index.js'

declare const check: Check
declare function ready (checks: Checks): void

test('a check is any function, sync or async, with or without the context', () => {
  expect<Check>().type.toBeAssignableFrom<() => void>()
  expect<Check>().type.toBeAssignableFrom<() => Promise<boolean>>()
  expect<Check>().type.toBeAssignableFrom<(context: CheckContext) => unknown>()
  expect<Check>().type.not.toBeAssignableFrom<(url: string) => void>()
})

test('a check has a context, and `this` unless it is an arrow function', () => {
  ready(context => { expect(context).type.toBe<CheckContext>() })
  ready(function () { expect(this).type.toBe<FastifyInstance>() })
  ready({ database (context) { expect(this).type.toBe(context.app) } })
  ready({ database: { check: ({ signal }) => { expect(signal).type.toBe<AbortSignal>() }, timeout: 300 } })
})

test('the context', () => {
  const context = {} as CheckContext
  expect(context.app).type.toBe<FastifyInstance>()
  expect(context.signal).type.toBe<AbortSignal>()
  expect(context.log).type.toBe<FastifyBaseLogger>()
  expect(context.probe).type.toBe<string>()
  expect(context.check).type.toBe<string>()
  expect(() => { context.probe = 'live' }).type.toRaiseError("Cannot assign to 'probe' because it is a read-only property")
  expect(context.data = { free: 0.42, name: 'x', full: false, since: null, idle: undefined }).type.not.toRaiseError()
  expect(context.data = undefined).type.not.toRaiseError()
  expect(() => { context.data = { rows: [] } }).type.toRaiseError("Type 'never[]' is not assignable to type")
  expect(() => { context.data = [1] }).type.toRaiseError()
  expect(() => { context.data = 5 }).type.toRaiseError("Type 'number' is not assignable to type")
  expect(() => context.sginal).type.toRaiseError("Property 'sginal' does not exist on type 'CheckContext'. Did you mean 'signal'?")
})

test('only a named check has options', () => {
  expect(ready).type.toBeCallableWith({ database: { check, timeout: 1, critical: false, maxAge: 1 } })
  expect(ready).type.toBeCallableWith({ database: { check: './checks.js#database', interval: 1, retryInterval: 1 } })
  expect(ready).type.toBeCallableWith({ database: { check, failureThreshold: 3, successThreshold: 2 } })
  expect(ready({ check, critical: false })).type.toRaiseError(/Type 'boolean' is not assignable to type '.*CheckWithOptions.*'/)
  expect(ready({ check, timeout: 300 })).type.toRaiseError(/Type 'number' is not assignable to type '.*CheckWithOptions.*'/)
})

test('the options of a check', () => {
  const options: CheckWithOptions = { check }
  options.timeout = options.critical = options.maxAge = options.interval = undefined
  options.retryInterval = options.failureThreshold = options.successThreshold = undefined
  expect(ready({ a: { critical: false } })).type.toRaiseError(
    "Property 'check' is missing in type '{ critical: false; }' but required in type 'CheckWithOptions'")
  expect(ready({ a: { check, critcal: false } })).type.toRaiseError(/'critcal' does not exist in type '.*CheckWithOptions.*'/)
  expect(ready({ a: { check: 5 } })).type.toRaiseError("Type 'number' is not assignable to type 'string | Check'")
  expect(ready({ a: { check, critical: 'no' } })).type.toRaiseError("Type 'string' is not assignable to type 'boolean | undefined'")
  expect(ready({ a: { check, timeout: '1s' } })).type.toRaiseError("Type 'string' is not assignable to type 'number'")
  expect(ready({ a: { check, maxAge: '1s' } })).type.toRaiseError("Type 'string' is not assignable to type 'number'")
  expect(ready({ a: { check, interval: '1s' } })).type.toRaiseError("Type 'string' is not assignable to type 'number'")
  expect(ready({ a: { check, failureThreshold: '3' } })).type.toRaiseError("Type 'string' is not assignable to type 'number'")
})

test('a check is a function or a specifier', () => {
  expect(ready({ database: 5 })).type.toRaiseError(/Type 'number' is not assignable to type '.*CheckWithOptions.*'/)
  expect(ready({ database: undefined })).type.toRaiseError(/Type 'undefined' is not assignable to type '.*CheckWithOptions.*'/)
})

test('checks may come from a record with unknown names', () => {
  expect<Checks>().type.toBeAssignableFrom<Record<string, Check>>()
  expect<Checks>().type.toBeAssignableFrom<Record<string, CheckWithOptions>>()
})

test('HealthError', () => {
  expect(HealthError).type.toBeConstructableWith('Away')
  expect(HealthError).type.toBeConstructableWith('Away', { cause: new Error('secret') })
  expect<HealthError>().type.toBeAssignableTo<Error>()
  expect(new HealthError(5)).type.toRaiseError("Argument of type 'number' is not assignable to parameter of type 'string'")
})
