import { EventEmitter } from 'node:events'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { ServerResponse } from 'node:http'
import t, { type Test } from 'tap'
import type { ProbeAbort } from '../../../types/healthz.js'
import { Aborts } from '../../../lib/http/aborts.js'
import { deferred } from '../../helpers/checks.js'
import { probeOf } from '../../helpers/probe.js'
import { FakeTime } from '../../helpers/time.js'

/** A probe whose requests are watched on a fake clock, what was logged, and what was published. */
function watch (t: Test) {
  const parts = probeOf()
  const { probe, events, lifecycle, time } = parts
  const aborts = new Aborts(lifecycle, events, time)
  const published: ProbeAbort[] = []
  const listener = (message: unknown) => { published.push(message as ProbeAbort) }
  subscribe('fastify-healthz:abort', listener)
  t.teardown(() => unsubscribe('fastify-healthz:abort', listener))
  /** A request that waits. */
  const request = () => {
    const response = Object.assign(new EventEmitter(), { writableEnded: false, req: { socket: { answered: false } } })
    const answered = aborts.watch(probe, response as unknown as ServerResponse)
    return { response, answered, hangUp: () => { response.emit('close') } }
  }
  /** A request whose client hangs up after so long, and whose checks are over later. */
  const abortAfter = async (ms: number) => {
    const { hangUp, answered } = request()
    await time.advance(ms)
    hangUp()
    await time.advance(1)
    answered()
  }
  const answerAfter = async (ms: number) => {
    const { answered } = request()
    await time.advance(ms)
    answered()
  }
  const messages = () => parts.lines.splice(0).map(([level, message]) => `${level}: ${message}`)
  return { ...parts, aborts, published, request, abortAfter, answerAfter, messages }
}

const line = (ms: number) => `warn: ready probe aborted by the client after ${ms} ms`

t.test('a client that hangs up is reported with how long it waited, and for which checks', async t => {
  const { probe, add, time, request, published, messages } = watch(t)
  const gate = deferred()
  add('quick', async () => {})
  add('sync', () => {})
  add('database', () => gate.promise, { timeout: 5000 })
  add('cache', () => gate.promise, { timeout: 5000 })
  add('late', () => gate.promise, { timeout: 500 })
  add('background', () => gate.promise, { timeout: 5000, interval: 10_000 })
  probe.start()
  probe.run()
  const { hangUp } = request()
  await time.advance(1003.4)
  hangUp()
  t.strictSame(messages().at(-1), `${line(1003)}, waiting for database, cache`)
  t.match(published, [{ app: {}, probe: 'ready', checks: ['database', 'cache'] }])
  t.equal(Math.round(published[0]!.waitedMs * 10), 10034)
  gate.resolve()
})

t.test('one line an outage, which an answer ends; each is published', async t => {
  const { aborts, probe, abortAfter, answerAfter, messages, published } = watch(t)
  await abortAfter(1003)
  t.strictSame(messages(), [line(1003)])
  await abortAfter(1001)
  await abortAfter(5)
  t.strictSame(messages(), [], 'the same outage')
  await answerAfter(20)
  await abortAfter(1002)
  t.strictSame(messages(), [line(1002)], 'another one')
  aborts.answered(probe)
  await abortAfter(1000)
  t.strictSame(messages(), [line(1000)], 'an answer that needs no wait ends it as well')
  t.strictSame(published.map(({ waitedMs }) => waitedMs), [1003, 1001, 5, 1002, 1000])
})

t.test('an answer for which the prober that hung up would not have waited does not end the outage', async t => {
  const { abortAfter, answerAfter, messages } = watch(t)
  await abortAfter(1003)
  await answerAfter(2000)
  await abortAfter(1003)
  t.strictSame(messages(), [line(1003)])
  await abortAfter(3001)
  await answerAfter(2000)
  await abortAfter(1003)
  t.strictSame(messages(), [line(1003)], 'the one that waited longest decides')
})

t.test('after a client that hung up at once, answers that take longer than it waited end the outage', async t => {
  const { abortAfter, answerAfter, messages } = watch(t)
  await abortAfter(0)
  await answerAfter(20)
  await abortAfter(1003)
  t.strictSame(messages(), [line(0), line(1003)])
})

t.test('the outage of one probe is not that of another', async t => {
  const { aborts, abortAfter, messages } = watch(t)
  await abortAfter(1003)
  aborts.answered(probeOf('live').probe)
  await abortAfter(1003)
  t.strictSame(messages(), [line(1003)])
})

t.test('a starting app reports it, and nothing is reported from the drain on', async t => {
  for (const end of ['drain', 'close', 'closed'] as const) {
    const { lifecycle, time, request, abortAfter, published, messages } = watch(t)
    const { hangUp } = request()
    lifecycle[end](5000)
    await time.advance(500)
    hangUp()
    await abortAfter(1003)
    t.strictSame(messages(), [], end)
    t.strictSame(published, [])
  }
  const reported: string[] = []
  for (const state of ['starting', 'serving', 'draining', 'closing', 'closed'] as const) {
    const response = Object.assign(new EventEmitter(), { req: { socket: {} } })
    const observer = { probeAborted: () => { reported.push(state) } }
    new Aborts({ state }, observer, new FakeTime()).watch(probeOf().probe, response as unknown as ServerResponse)
    response.emit('close')
  }
  t.strictSame(reported, ['starting', 'serving'])
})

t.test('a connection that closes after the answer is none of it, nor is one that a hook of the app or the watchdog has answered', async t => {
  const { request, published, messages } = watch(t)
  const first = request()
  first.answered()
  first.hangUp()
  t.equal(first.response.listenerCount('close'), 0)
  const second = request()
  second.response.writableEnded = true
  second.hangUp()
  second.answered()
  const third = request()
  third.response.req.socket.answered = true
  third.hangUp()
  third.answered()
  t.strictSame(messages(), [])
  t.strictSame(published, [])
})
