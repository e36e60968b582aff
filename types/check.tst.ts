// Checks and their options, and the mistakes that are made with them.
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { expect, test } from 'tstyche'
import { HealthError, type Check, type CheckContext, type Checks, type CheckWithOptions } from '../lib/index.js'

declare const check: Check
declare function ready (checks: Checks): void

test('a check is any function, sync or async, of the context or of nothing', () => {
  expect<Check>().type.toBeAssignableFrom<() => void>()
  expect<Check>().type.toBeAssignableFrom<() => Promise<boolean>>()
  expect<Check>().type.toBeAssignableFrom<(context: CheckContext) => unknown>()
  expect<Check>().type.not.toBeAssignableFrom<(url: string) => void>()
})

test('a check knows its context, and `this` where it is no arrow', () => {
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
  expect(() => context.sginal).type.toRaiseError("Property 'sginal' does not exist on type 'CheckContext'. Did you mean 'signal'?")
})

test('a check has options only where it has a name', () => {
  expect(ready).type.toBeCallableWith({ database: { check, timeout: 1, critical: false, maxAge: 1 } })
  expect(ready).type.toBeCallableWith({ database: { check: './checks.js#database', interval: 1 } })
  expect(ready({ check, critical: false })).type.toRaiseError(/Type 'boolean' is not assignable to type '.*CheckWithOptions.*'/)
  expect(ready({ check, timeout: 300 })).type.toRaiseError(/Type 'number' is not assignable to type '.*CheckWithOptions.*'/)
})

test('the options of a check', () => {
  const options: CheckWithOptions = { check }
  options.timeout = options.critical = options.maxAge = options.interval = undefined
  expect(ready({ a: { critical: false } })).type.toRaiseError(
    "Property 'check' is missing in type '{ critical: false; }' but required in type 'CheckWithOptions'")
  expect(ready({ a: { check, critcal: false } })).type.toRaiseError(/'critcal' does not exist in type '.*CheckWithOptions.*'/)
  expect(ready({ a: { check: 5 } })).type.toRaiseError("Type 'number' is not assignable to type 'string | Check'")
  expect(ready({ a: { check, critical: 'no' } })).type.toRaiseError("Type 'string' is not assignable to type 'boolean | undefined'")
  expect(ready({ a: { check, timeout: '1s' } })).type.toRaiseError("Type 'string' is not assignable to type 'number'")
  expect(ready({ a: { check, maxAge: '1s' } })).type.toRaiseError("Type 'string' is not assignable to type 'number'")
  expect(ready({ a: { check, interval: '1s' } })).type.toRaiseError("Type 'string' is not assignable to type 'number'")
})

test('what is no function and no specifier is no check', () => {
  expect(ready({ database: 5 })).type.toRaiseError(/Type 'number' is not assignable to type '.*CheckWithOptions.*'/)
  expect(ready({ database: undefined })).type.toRaiseError(/Type 'undefined' is not assignable to type '.*CheckWithOptions.*'/)
})

test('checks may come from a record whose names are not known', () => {
  expect<Checks>().type.toBeAssignableFrom<Record<string, Check>>()
  expect<Checks>().type.toBeAssignableFrom<Record<string, CheckWithOptions>>()
})

test('HealthError', () => {
  expect(HealthError).type.toBeConstructableWith('Away')
  expect(HealthError).type.toBeConstructableWith('Away', { cause: new Error('secret') })
  expect<HealthError>().type.toBeAssignableTo<Error>()
  expect(new HealthError(5)).type.toRaiseError("Argument of type 'number' is not assignable to parameter of type 'string'")
})
