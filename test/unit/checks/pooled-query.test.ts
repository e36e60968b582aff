import { EventEmitter, getEventListeners } from 'node:events'
import t, { type Test } from 'tap'
import type { CheckContext } from '../../../types/check.js'
import { runPooled, type PooledQuery } from '../../../lib/checks/pooled-query.js'
import { deferred } from '../../helpers/checks.js'
import { FakeTime } from '../../helpers/time.js'

/** The error of a server that ended a query at its time limit. */
const OUT_OF_TIME = new Error('canceling statement due to statement timeout')

/** Runs a query on a fake clock. `calls` are the calls that it received. */
function start (t: Test, ask?: () => Promise<unknown>) {
  const time = new FakeTime()
  t.intercept(globalThis, 'setTimeout', {
    value: (callback: (...args: unknown[]) => void, ms: number, ...args: unknown[]) => time.start(() => callback(...args), ms)
  })
  t.intercept(globalThis, 'clearTimeout', { value: (timer: unknown) => time.cancel(timer) })
  const calls: string[] = []
  const answer = deferred()
  const events = new EventEmitter()
  const controller = new AbortController()
  const context = { signal: controller.signal, timeout: 800 } as CheckContext
  const query: PooledQuery = {
    run () {
      calls.push(`run, awaiting ${context.awaiting}`)
      return ask?.() ?? answer.promise
    },
    isTimeout: error => error === OUT_OF_TIME,
    release () { calls.push('release') },
    destroy () { calls.push('destroy') },
    events
  }
  return {
    answer,
    calls,
    context,
    time,
    timesOut: () => controller.abort(),
    /** The connection breaks. Without a listener that throws, as it does in a driver, where it ends the process. */
    breaks: () => events.emit('error', new Error('ECONNRESET')),
    /** Timers and listeners that are left. */
    left: () => ({
      timers: time.timers, onSignal: getEventListeners(controller.signal, 'abort').length, onConnection: events.listenerCount('error')
    }),
    asked: runPooled(query, context)
  }
}

const RUN = 'run, awaiting answer'
const NOTHING = { timers: 0, onSignal: 0, onConnection: 0 }

t.test('a connection that is acquired after the timeout is released without a query', async t => {
  const calls: string[] = []
  const unexpected = () => { throw new Error('used') }
  const context = { signal: AbortSignal.abort() } as CheckContext
  await runPooled({
    run: unexpected,
    isTimeout: unexpected,
    release () { calls.push('release') },
    destroy: unexpected,
    events: { on: unexpected, off: unexpected }
  }, context)
  t.strictSame(calls, ['release'])
  t.equal(context.awaiting, undefined, 'it waited for a connection until the end')
})

t.test('a connection is released after its response, and no timer or listener is left', async t => {
  const { answer, asked, calls, left } = start(t)
  t.strictSame(calls, [RUN])
  answer.resolve()
  await asked
  t.strictSame(calls, [RUN, 'release'])
  t.strictSame(left(), NOTHING)
})

t.test('a connection whose query fails is destroyed, and the check throws the error', async t => {
  const cause = new Error('relation "nothing" does not exist')
  const { answer, asked, calls, left } = start(t)
  answer.reject(cause)
  await t.rejects(asked, cause)
  t.strictSame(calls, [RUN, 'destroy'])
  t.match(left(), { timers: 0, onSignal: 0 })

  t.test('even if it throws synchronously', async t => {
    const { asked, calls } = start(t, () => { throw cause })
    await t.rejects(asked, cause)
    t.strictSame(calls, [RUN, 'destroy'])
  })
})

t.test('a connection may break during its query: the result of the query counts', async t => {
  const { answer, asked, breaks } = start(t)
  t.doesNotThrow(breaks)
  answer.resolve()
  await asked
  t.throws(breaks, { message: 'ECONNRESET' }, 'then its errors are the pool\'s again')

  t.test('or once it is destroyed and the pool does not listen', async t => {
    const { answer, asked, breaks } = start(t)
    answer.reject(new Error('no'))
    await t.rejects(asked)
    t.doesNotThrow(breaks)
  })
})

t.test('a connection is released if the server ends the query after the timeout', async t => {
  const { answer, asked, calls, timesOut, left } = start(t)
  timesOut()
  answer.reject(OUT_OF_TIME)
  await asked
  t.strictSame(calls, [RUN, 'release'])
  t.strictSame(left(), NOTHING)
})

t.test('a query that the server ends just before the timeout settles at the timeout', async t => {
  const { answer, asked, calls, time, timesOut, breaks, left } = start(t)
  answer.reject(OUT_OF_TIME)
  await time.advance(0)
  t.strictSame(calls, [RUN], 'not yet given back')
  t.doesNotThrow(breaks)
  timesOut()
  await asked
  t.strictSame(calls, [RUN, 'release'])
  t.strictSame(left(), NOTHING)
})

t.test('there is no other limit before the timeout', async t => {
  const { answer, asked, calls, time } = start(t)
  await time.advance(60_000)
  t.strictSame(calls, [RUN])
  answer.resolve()
  await asked
  t.strictSame(calls, [RUN, 'release'])
})

t.test('a response may arrive within 500 ms after the timeout', async t => {
  const { answer, asked, calls, time, timesOut, left } = start(t)
  await time.advance(800)
  timesOut()
  await time.advance(499)
  t.strictSame(calls, [RUN])
  answer.resolve()
  await asked
  t.strictSame(calls, [RUN, 'release'])
  t.strictSame(left(), NOTHING)
})

t.test('a connection without a response 500 ms after the timeout is destroyed', async t => {
  for (const late of ['resolve', 'reject'] as const) {
    const { answer, asked, calls, time, timesOut, left } = start(t)
    const rejected = t.rejects(asked, { name: 'HealthError', message: 'no answer' })
    await time.advance(800)
    timesOut()
    await time.advance(500)
    t.strictSame(calls, [RUN, 'destroy'])
    await rejected
    t.match(left(), { timers: 0, onSignal: 0 })
    answer[late](OUT_OF_TIME)
    await time.advance(500)
    t.strictSame(calls, [RUN, 'destroy'], `a late answer, to ${late}, changes nothing`)
  }
})

t.test('a connection that fails after the timeout is destroyed immediately', async t => {
  const cause = new Error('connection lost')
  const { answer, asked, calls, timesOut, left } = start(t)
  timesOut()
  answer.reject(cause)
  await t.rejects(asked, cause)
  t.strictSame(calls, [RUN, 'destroy'])
  t.match(left(), { timers: 0, onSignal: 0 })
})
