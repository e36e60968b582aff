// `app.healthz`, and the route config for hooks of the app.
import type { AddressInfo } from 'node:net'
import Fastify from 'fastify'
import { expect, test } from 'tstyche'
import type {
  Check, CheckChange, CheckData, CheckRun, DrainEnd, Healthz, HealthzChange, HealthzErrorCode, Hold, LoopBlock, ProbeChange, ProbeResult,
  ProbeRouteConfig, ProbeSnapshot, Problem, Release, State, StateChange
} from '../lib/index.js'

const app = Fastify()
declare const check: Check

test('every instance has `healthz`', () => {
  expect(app.healthz).type.toBe<Healthz>()
  expect(Fastify({ http2: true }).healthz).type.toBe<Healthz>()
})

test('add', () => {
  expect(app.healthz.add('ready', 'database', check)).type.toBe<() => void>()
  expect(app.healthz.add).type.toBeCallableWith('ready', 'database', { check, critical: false })
  expect(app.healthz.add('ready', check)).type.toRaiseError('Expected 3 arguments, but got 2')
  expect(app.healthz.add('ready', 'database', './database.js')).type.toRaiseError("Argument of type 'string' is not assignable")
  expect(app.healthz.add('ready', 'database', { check, critcal: false })).type.toRaiseError("'critcal' does not exist in type")
})

test('run and snapshot', () => {
  expect(app.healthz.run('ready')).type.toBe<Promise<ProbeResult>>()
  expect<ProbeResult['checks'][string]['status']>().type.toBe<'pass' | 'warn' | 'fail'>()
  expect<ProbeResult['checks'][string]['data']>().type.toBe<CheckData | undefined>()
  expect<CheckRun['data']>().type.toBe<CheckData | undefined>()
  expect<CheckData[string]>().type.toBe<number | string | boolean | null>()
  expect(app.healthz.run()).type.toRaiseError('Expected 1 arguments, but got 0')
  expect(app.healthz.snapshot()).type.toBe<{ readonly [probe: string]: ProbeSnapshot }>()
})

test('a hold is released by a call or at the end of a block', () => {
  expect(app.healthz.hold('job')).type.toBe<Release>()
  expect(app.healthz.hold('job')()).type.toBe<void>()
  expect(app.healthz.hold('job')).type.toBeAssignableTo<Disposable>()
  expect(app.healthz.hold()).type.toRaiseError('Expected 1 arguments, but got 0')
  expect(app.healthz.holds).type.toBe<readonly Hold[]>()
  expect(app.healthz.drainSignal).type.toBe<AbortSignal>()
  expect(app.healthz.bootMs).type.toBe<number | null>()
  expect<DrainEnd['newConnections']>().type.toBe<number>()
  expect<LoopBlock['blockedMs']>().type.toBe<number>()
  expect<LoopBlock['stack']>().type.toBe<string | undefined>()
})

test('state and address are read-only', () => {
  expect(app.healthz.state).type.toBe<State>()
  expect(app.healthz.address).type.toBe<AddressInfo | null>()
  expect(() => { app.healthz.state = 'closed' }).type.toRaiseError("Cannot assign to 'state' because it is a read-only property")
  expect(app.healthz.state === 'ready').type.toRaiseError("the types 'State' and '\"ready\"' have no overlap")
})

test('drain', () => {
  expect(app.healthz.drain()).type.toBe<Promise<void>>()
  expect(app.healthz.drain(10_000)).type.toBe<Promise<void>>()
  expect(app.healthz.drain('5s')).type.toRaiseError("Argument of type 'string' is not assignable to parameter of type 'number'")
})

test('changes are discriminated by kind', () => {
  expect(app.healthz.onChange(() => {})).type.toBe<() => void>()
  app.healthz.onChange(change => {
    expect(change).type.toBe<HealthzChange>()
    if (change.kind === 'check') expect(change).type.toBe<CheckChange>()
    if (change.kind === 'probe') expect(change).type.toBe<ProbeChange>()
    if (change.kind === 'state') expect(change).type.toBe<StateChange>()
  })
  expect(app.healthz.onChange('draining')).type.toRaiseError("Argument of type 'string' is not assignable to parameter of type")
  expect(app.healthz.onChange(change => change.probe)).type.toRaiseError("Property 'probe' does not exist on type 'StateChange'")
})

test('a route has its probe in its config', () => {
  app.addHook('onRequest', async request => {
    expect(request.routeOptions.config.healthz).type.toBe<ProbeRouteConfig | undefined>()
    expect(request.routeOptions.config.healthz?.probe).type.toBe<string | undefined>()
    expect(request.routeOptions.config.healthz.probe).type.toRaiseError("'request.routeOptions.config.healthz' is possibly 'undefined'")
  })
})

test('a response', () => {
  expect<Problem>().type.toBeAssignableFrom<{ status: number, title: string }>()
  expect<Problem>().type.not.toBeAssignableFrom<{ status: number }>()
  expect<Problem>().type.not.toBeAssignableFrom<{ status: string, title: string }>()
})

test('error codes', () => {
  expect<HealthzErrorCode>().type.toBeAssignableFrom<'HEALTHZ_ERR_OPTION_INVALID'>()
  expect<HealthzErrorCode>().type.not.toBeAssignableFrom<string>()
})
