import { EventEmitter, getEventListeners } from 'node:events'
import t, { type Test } from 'tap'
import type { CheckContext } from '../../types/check.js'
import { askOn, type Loan } from '../../lib/checks/loan.js'
import { deferred } from '../helpers/checks.js'
import { FakeTime } from '../helpers/time.js'

/** What a server says when it has ended a query at the timeout. */
const OUT_OF_TIME = new Error('canceling statement due to statement timeout')

/** A connection that is lent to a check, on a clock that stands still; `told` is what was done with it. */
function lend (t: Test, ask?: () => Promise<unknown>) {
  const time = new FakeTime()
  t.intercept(globalThis, 'setTimeout', {
    value: (callback: (...args: unknown[]) => void, ms: number, ...args: unknown[]) => time.start(() => callback(...args), ms)
  })
  t.intercept(globalThis, 'clearTimeout', { value: (timer: unknown) => time.cancel(timer) })
  const told: string[] = []
  const answer = deferred()
  const events = new EventEmitter()
  const controller = new AbortController()
  const context = { signal: controller.signal, timeout: 800 } as CheckContext
  const loan: Loan = {
    ask () {
      told.push(`ask, awaiting ${context.awaiting}`)
      return ask?.() ?? answer.promise
    },
    isOutOfTime: error => error === OUT_OF_TIME,
    giveBack () { told.push('give back') },
    destroy () { told.push('destroy') },
    events
  }
  return {
    answer,
    told,
    context,
    time,
    timesOut: () => controller.abort(),
    /** The connection breaks. Without a listener that throws, as it does in a driver, where it ends the process. */
    breaks: () => events.emit('error', new Error('ECONNRESET')),
    /** What the check has left behind. */
    left: () => ({
      timers: time.timers, onSignal: getEventListeners(controller.signal, 'abort').length, onConnection: events.listenerCount('error')
    }),
    asked: askOn(loan, context)
  }
}

const ASKED = 'ask, awaiting answer'
const NOTHING = { timers: 0, onSignal: 0, onConnection: 0 }

t.test('a connection that comes after the timeout is given back without a question', async t => {
  const told: string[] = []
  const unexpected = () => { throw new Error('used') }
  const context = { signal: AbortSignal.abort() } as CheckContext
  await askOn({
    ask: unexpected,
    isOutOfTime: unexpected,
    giveBack () { told.push('give back') },
    destroy: unexpected,
    events: { on: unexpected, off: unexpected }
  }, context)
  t.strictSame(told, ['give back'])
  t.equal(context.awaiting, undefined, 'it waited for a connection until the end')
})

t.test('a connection that answers is given back, and nothing of the check is left', async t => {
  const { answer, asked, told, left } = lend(t)
  t.strictSame(told, [ASKED])
  answer.resolve()
  await asked
  t.strictSame(told, [ASKED, 'give back'])
  t.strictSame(left(), NOTHING)
})

t.test('a connection whose query fails is destroyed, and the error is the check\'s', async t => {
  const cause = new Error('relation "nothing" does not exist')
  const { answer, asked, told, left } = lend(t)
  answer.reject(cause)
  await t.rejects(asked, cause)
  t.strictSame(told, [ASKED, 'destroy'])
  t.match(left(), { timers: 0, onSignal: 0 })

  t.test('even if it throws at once', async t => {
    const { asked, told } = lend(t, () => { throw cause })
    await t.rejects(asked, cause)
    t.strictSame(told, [ASKED, 'destroy'])
  })
})

t.test('a connection may break while it is out: what the query comes to counts', async t => {
  const { answer, asked, breaks } = lend(t)
  t.doesNotThrow(breaks)
  answer.resolve()
  await asked
  t.throws(breaks, { message: 'ECONNRESET' }, 'then its errors are the pool\'s again')

  t.test('or once it is destroyed, when no pool listens any more', async t => {
    const { answer, asked, breaks } = lend(t)
    answer.reject(new Error('no'))
    await t.rejects(asked)
    t.doesNotThrow(breaks)
  })
})

t.test('a query that the server ends after the timeout leaves the connection in good order', async t => {
  const { answer, asked, told, timesOut, left } = lend(t)
  timesOut()
  answer.reject(OUT_OF_TIME)
  await asked
  t.strictSame(told, [ASKED, 'give back'])
  t.strictSame(left(), NOTHING)
})

t.test('a query that the server ends a moment before the timeout is told at the timeout', async t => {
  const { answer, asked, told, time, timesOut, breaks, left } = lend(t)
  answer.reject(OUT_OF_TIME)
  await time.advance(0)
  t.strictSame(told, [ASKED], 'not yet given back')
  t.doesNotThrow(breaks)
  timesOut()
  await asked
  t.strictSame(told, [ASKED, 'give back'])
  t.strictSame(left(), NOTHING)
})

t.test('before the timeout an answer may take as long as it likes', async t => {
  const { answer, asked, told, time } = lend(t)
  await time.advance(60_000)
  t.strictSame(told, [ASKED])
  answer.resolve()
  await asked
  t.strictSame(told, [ASKED, 'give back'])
})

t.test('an answer may come within 500 ms after the timeout', async t => {
  const { answer, asked, told, time, timesOut, left } = lend(t)
  await time.advance(800)
  timesOut()
  await time.advance(499)
  t.strictSame(told, [ASKED])
  answer.resolve()
  await asked
  t.strictSame(told, [ASKED, 'give back'])
  t.strictSame(left(), NOTHING)
})

t.test('a connection without an answer 500 ms after the timeout is destroyed', async t => {
  for (const late of ['resolve', 'reject'] as const) {
    const { answer, asked, told, time, timesOut, left } = lend(t)
    const rejected = t.rejects(asked, { name: 'HealthError', message: 'no answer' })
    await time.advance(800)
    timesOut()
    await time.advance(500)
    t.strictSame(told, [ASKED, 'destroy'])
    await rejected
    t.match(left(), { timers: 0, onSignal: 0 })
    answer[late](OUT_OF_TIME)
    await time.advance(500)
    t.strictSame(told, [ASKED, 'destroy'], `a late answer, to ${late}, changes nothing`)
  }
})

t.test('a connection that fails after the timeout is destroyed at once', async t => {
  const cause = new Error('connection lost')
  const { answer, asked, told, timesOut, left } = lend(t)
  timesOut()
  answer.reject(cause)
  await t.rejects(asked, cause)
  t.strictSame(told, [ASKED, 'destroy'])
  t.match(left(), { timers: 0, onSignal: 0 })
})
