import t from 'tap'
import { Run } from '../lib/run.js'
import { HealthError } from '../lib/errors.js'
import { Turn } from '../lib/turn.js'
import { deferred, runner } from './helpers/checks.js'
import { FakeTime } from './helpers/time.js'

const passed = { outcome: 'pass' } as const

t.test('a check passes unless it throws, rejects or gives back exactly false', async t => {
  for (const answer of [undefined, null, true, 0, '', 'false', {}, () => {}, { then: 1 }]) {
    t.match(runner(() => answer).check.run(), passed, 'synchronously')
    t.match(await runner(async () => answer).check.run(), passed, 'asynchronously')
  }
  const failed = { outcome: 'fail', reason: 'failed', message: undefined }
  t.match(runner(() => false).check.run(), failed)
  t.match(await runner(async () => false).check.run(), failed)
})

t.test('a HealthError fails with its message, and is kept for the log', async t => {
  const error = new HealthError("Can't connect", { cause: new Error('ECONNREFUSED') })
  const expected = { outcome: 'fail', reason: 'failed', message: "Can't connect", error }
  t.match(runner(() => { throw error }).check.run(), expected)
  t.match(await runner(() => Promise.reject(error)).check.run(), expected)
})

t.test('whatever else is thrown fails unexpectedly', async t => {
  const revoked = Proxy.revocable({}, {})
  revoked.revoke()
  const frozen = Object.freeze(new Error('frozen'))
  for (const error of [new Error('boom'), new TypeError('typo'), undefined, null, 'text', 0, revoked.proxy, frozen]) {
    const sync = await runner(() => { throw error }).check.run()
    const async = await runner(() => Promise.reject(error)).check.run()
    for (const result of [sync, async]) {
      t.equal(result.outcome, 'fail')
      t.equal(result.reason, 'unexpected')
      t.ok(result.error === error)
    }
  }
})

t.test('a HealthError whose message throws when it is read fails unexpectedly', async t => {
  const error = Object.defineProperty(new HealthError('x'), 'message', { get () { throw new Error('no') } })
  t.match(runner(() => { throw error }).check.run(), { outcome: 'fail', reason: 'unexpected' })
})

t.test('a thenable that misbehaves fails unexpectedly', async t => {
  const revoked = Proxy.revocable({}, {})
  revoked.revoke()
  const overridden = Promise.resolve()
  overridden.then = () => { throw new Error('overridden') }
  for (const thenable of [
    { then () { throw new Error('in then') } },
    { get then () { throw new Error('in the getter') } },
    Object.assign(() => {}, { then: (_: unknown, reject: (error: Error) => void) => reject(new Error('a function')) }),
    revoked.proxy,
    overridden
  ]) {
    const { check, time } = runner(() => thenable)
    t.match(await check.run(), { outcome: 'fail', reason: 'unexpected' })
    t.equal(time.timers, 0)
  }
})

t.test('the first answer of a thenable that calls back twice counts', async t => {
  const twice = { then (resolve: (value: unknown) => void, reject: (error: Error) => void) { resolve(1); reject(new Error('late')) } }
  t.match(await runner(() => twice).check.run(), passed)
  const overridden = Promise.resolve()
  overridden.then = ((resolve: (value: unknown) => void, reject: (error: Error) => void) => { resolve(1); reject(new Error('late')) }) as any
  const { check, finished, time } = runner(() => overridden)
  t.match(await check.run(), passed)
  t.equal(finished.length, 1)
  t.equal(time.timers, 0)
})

t.test('a result tells when its run started and how long it took', async t => {
  const { check, time } = runner(() => gate.promise)
  const gate = deferred()
  t.match(check.last, { outcome: 'fail', reason: 'unchecked', checkedAt: null, durationMs: null })
  await time.advance(1000)
  const result = check.run()
  await time.advance(250)
  gate.resolve()
  t.match(await result, { ...passed, startedAt: 1000, checkedAt: Date.UTC(2026, 0, 1, 0, 0, 1), durationMs: 250 })
  t.equal(check.last, await result)
})

t.test('a synchronous check starts no timer and makes no AbortController', async t => {
  const original = globalThis.AbortController
  t.teardown(() => { globalThis.AbortController = original })
  globalThis.AbortController = class { constructor () { throw new Error('an AbortController was made') } } as any
  const { check, time } = runner(() => {})
  time.start = () => { throw new Error('a timer was started') }
  for (let i = 0; i < 3; i++) t.match(check.run(), passed)
  t.match(await runner(async () => {}).check.run(), passed)
})

t.test('runs that are asked for at once are one run', async t => {
  let calls = 0
  const gate = deferred()
  const { check } = runner(() => { calls++; return gate.promise })
  const results = Array.from({ length: 10_000 }, () => check.run())
  gate.resolve()
  t.equal(new Set(await Promise.all(results)).size, 1)
  t.equal(calls, 1)
  await check.run()
  t.equal(calls, 2, 'the next one is another')
})

t.test('a check that asks for itself waits for itself, until its timeout', async t => {
  const { check, time } = runner(async () => { await check.run() })
  const result = check.run()
  await time.advance(800)
  t.match(await result, { outcome: 'fail', reason: 'timeout' })
  let inner: unknown
  const sync = runner(() => { inner = sync.check.run() })
  const outer = sync.check.run()
  t.match(outer, passed)
  t.equal(await inner, outer)
})

t.test('at its timeout, and not before, a check has failed, and its signal is aborted after that', async t => {
  const order: unknown[] = []
  const { check, time, told } = runner(run => new Promise((_resolve, reject) => {
    run.signal.addEventListener('abort', () => {
      order.push(check.last.reason)
      reject(run.signal.reason)
    })
  }))
  const result = check.run() as Run
  result.then(({ reason }) => order.push(reason))
  await time.advance(799)
  t.strictSame(order, [])
  await time.advance(1)
  t.strictSame(order, ['timeout', 'timeout'], 'a check that obeys its signal still counts as timed out')
  t.match(await result, { outcome: 'fail', reason: 'timeout', durationMs: 800 })
  t.strictSame(told, [['changed', 'unknown', 'fail', 800]])
  t.equal(time.timers, 0)
})

t.test('of checks that were started together, the timeout of one is nothing to those that have answered', async t => {
  const time = new FakeTime()
  const turn = new Turn(time)
  const quick = runner(async () => {}, {}, time)
  const hanging = runner(() => new Promise(() => {}), {}, time)
  const results = [quick.check.run(turn), hanging.check.run(turn)]
  t.equal(time.timers, 1)
  await time.advance(800)
  t.match(await Promise.all(results), [passed, { outcome: 'fail', reason: 'timeout', durationMs: 800 }])
  t.match(quick.check.last, passed)
  t.strictSame(quick.told, [['changed', 'unknown', 'pass', 0]])
})

t.test('a promise that is over while it is subscribed to leaves the next check its timeout', async t => {
  for (const then of [() => { throw new Error('odd') }, (resolve: () => void) => resolve()]) {
    const time = new FakeTime()
    const turn = new Turn(time)
    runner(() => Object.assign(Promise.resolve(), { then }), {}, time).check.run(turn)
    const hanging = runner(() => new Promise(() => {}), {}, time)
    const result = hanging.check.run(turn)
    await time.advance(800)
    t.match(await result, { outcome: 'fail', reason: 'timeout' })
  }
})

t.test('a signal is the same however often it is read, and aborted if it is read too late', async t => {
  const gate = deferred()
  let late: AbortSignal | undefined
  const { check, time } = runner(async run => {
    t.equal(run.signal, run.signal)
    t.notOk(run.signal.aborted)
  })
  await check.run()
  const second = runner(async run => { await gate.promise; late = run.signal }, {}, time)
  second.check.run()
  await time.advance(800)
  gate.resolve()
  await time.advance(0)
  t.equal(late!.aborted, true)
  t.match(late!.reason, { name: 'TimeoutError', message: 'The ready check "database" timed out after 800 ms' })
})

t.test('a timeout tells what the check waited for at that moment', async t => {
  const { check, time } = runner(async run => {
    run.awaiting = 'free connection'
    await null
    run.awaiting = 'answer'
    return deferred().promise
  })
  const result = check.run()
  await null
  time.advance(800)
  t.match(await result, { outcome: 'fail', reason: 'timeout', message: 'no answer within 800 ms' })
})

t.test('while a run that took too long has not settled, its timeout is told at once and no other starts', async t => {
  let calls = 0
  const { check, time } = runner(() => { calls++; return new Promise(() => {}) })
  check.run()
  await time.advance(800)
  for (const ms of [0, 1, 10_000, 19_998]) {
    await time.advance(ms)
    t.match(check.run(), { outcome: 'fail', reason: 'timeout', startedAt: 0 })
  }
  t.equal(calls, 1, '1 ms before')
  await time.advance(1)
  check.run()
  t.equal(calls, 2, 'at 30 s')
})

t.test('the wait for a run that hangs doubles with each one given up, and with three it is ten minutes', async t => {
  let calls = 0
  const { check, time, told } = runner(() => { calls++; return new Promise(() => {}) })
  check.run()
  for (const wait of [30_000, 60_000, 600_000, 600_000]) {
    await time.advance(800)
    const before = calls
    await time.advance(wait - 1)
    t.match(check.run(), { reason: 'timeout' })
    t.equal(calls, before, `1 ms before ${wait}`)
    await time.advance(1)
    t.type(check.run(), Run)
    t.equal(calls, before + 1, `at ${wait}`)
    await time.advance(1)
    t.type(check.run(), Run, `1 ms after ${wait}`)
    t.equal(calls, before + 1)
    time.block(-1)
  }
  await time.advance(800)
  t.strictSame(told.filter(([what]) => what === 'stuck'), [['stuck', 3, 600_000]], 'which is told once')
  t.equal(time.timers, 0)
})

t.test('a run that settles late gives its place back, and what it came to is swallowed', async t => {
  const gates: Array<ReturnType<typeof deferred>> = []
  const { check, time, told } = runner(() => { const gate = deferred(); gates.push(gate); return gate.promise })
  check.run()
  await time.advance(1000)
  gates[0]!.resolve()
  await time.advance(0)
  t.match(check.last, { reason: 'timeout' }, 'a late pass is no pass')
  check.run()
  t.equal(gates.length, 2, 'a new run may start at once')
  await time.advance(1000)
  gates[1]!.reject(new Error('late'))
  await time.advance(0)
  t.match(check.last, { reason: 'timeout' })
  t.strictSame(told, [['changed', 'unknown', 'fail', 800]])
})

t.test('runs that were given up and settle after all make room for others', async t => {
  const gates: Array<ReturnType<typeof deferred>> = []
  const { check, time } = runner(() => { const gate = deferred(); gates.push(gate); return gate.promise })
  check.run()
  await time.advance(30_800)
  check.run()
  await time.advance(60_800)
  check.run()
  await time.advance(800)
  gates[0]!.reject(new Error('late'))
  gates[1]!.resolve()
  await time.advance(119_999)
  check.run()
  t.equal(gates.length, 3)
  await time.advance(1)
  check.run()
  t.equal(gates.length, 4, 'two minutes after the third, as one alone is outstanding')
})

t.test('once it answers in time again, a check is as patient as at first', async t => {
  let answer: unknown = new Promise(() => {})
  let calls = 0
  const { check, time, told } = runner(() => { calls++; return answer })
  check.run()
  for (const wait of [30_800, 60_800, 800]) {
    await time.advance(wait)
    check.run()
  }
  t.equal(calls, 3)
  answer = Promise.resolve()
  await time.advance(600_000)
  t.match(await check.run(), passed)
  answer = new Promise(() => {})
  check.run()
  await time.advance(800)
  t.strictSame(told.filter(([what]) => what === 'stuck').length, 2, 'stuck is told once more')
  await time.advance(600_000)
  const before = calls
  check.run()
  t.equal(calls, before + 1, 'with the three of before still out, it takes ten minutes')
})

t.test('a synchronous check that outlasts its timeout counts as it answers, and is told about', async t => {
  const { check, time, told } = runner(() => { time.block(801) })
  t.match(check.run(), { ...passed, durationMs: 801 })
  t.strictSame(told, [['changed', 'unknown', 'pass', 801], ['overran', 801]])
  const exact = runner(() => { exact.time.block(800) })
  exact.check.run()
  t.strictSame(exact.told, [['changed', 'unknown', 'pass', 800]], 'not one that takes as long as it may')
})

t.test('an asynchronous check that blocks past its timeout is told about too', async t => {
  const { check, time, told } = runner(async () => { time.block(2000) })
  t.match(await check.run(), passed)
  t.match(told, [['overran', 2000], ['changed']])
})

t.test('what a check blocks before it gives its promise counts towards its timeout', async t => {
  for (const [blocks, runsOutAt] of [[0, 800], [0.9, 800.9], [1, 800], [500, 800], [500.5, 800.5], [799, 800], [800, 801], [2000, 2001]] as const) {
    const { check, time } = runner(() => { time.block(blocks); return new Promise(() => {}) })
    const result = check.run()
    await time.advance(runsOutAt - blocks - 0.25)
    t.equal(check.last.reason, 'unchecked', `blocks ${blocks} ms`)
    await time.advance(0.25)
    t.match(await result, { reason: 'timeout', startedAt: 0, durationMs: runsOutAt })
    t.equal(time.timers, 0)
  }
})

t.test('a check that blocks past its timeout is answered for by its promise, if that is settled by then', async t => {
  for (const answer of [async () => {}, async () => { await null; await null }, () => ({ then (resolve: () => void) { resolve() } })]) {
    const { check, time } = runner(() => { time.block(2000); return answer() })
    const result = check.run()
    await time.advance(1)
    t.match(await result, { ...passed, durationMs: 2000 })
    t.equal(time.timers, 0)
  }
})

t.test('checks that are started together share a timer unless one of them blocks', async t => {
  const time = new FakeTime()
  const turn = new Turn(time)
  const start = (blocks: number) => runner(() => { time.block(blocks); return new Promise(() => {}) }, {}, time).check.run(turn) as Run
  const results = [start(0.25), start(0.25), start(500)]
  t.equal(time.timers, 2)
  await time.advance(1000)
  t.strictSame((await Promise.all(results)).map(({ durationMs }) => durationMs), [800.25, 800, 800])
})

t.test('a pass is used again until maxAge after the start of its run; a failure never is', async t => {
  let calls = 0
  let answer: unknown
  const { check, time } = runner(async () => { calls++; time.block(100); return answer }, { maxAge: 1000 })
  const first = await check.run()
  await time.advance(899)
  t.equal(check.run(), first)
  await time.advance(1)
  t.not(await check.run(), first)
  t.equal(calls, 2)
  answer = false
  await time.advance(1000)
  t.match(await check.run(), { outcome: 'fail' })
  answer = true
  t.match(await check.run(), passed)
  t.equal(calls, 4)
})

t.test('a check in the background runs at its interval, and asking reads the last result', async t => {
  let calls = 0
  const { check, time } = runner(async () => { calls++ }, { interval: 5000 })
  t.match(check.run(), { outcome: 'fail', reason: 'unchecked' })
  t.equal(calls, 0, 'asking runs nothing')
  check.start()
  t.equal(calls, 1)
  t.equal(time.holding, 1, 'only the run itself keeps the process alive')
  await time.advance(0)
  t.equal(time.holding, 0)
  t.match(check.run(), { ...passed, startedAt: 0 })
  await time.advance(4999)
  t.equal(calls, 1)
  await time.advance(1)
  t.equal(calls, 2)
  t.match(check.run(), { ...passed, startedAt: 5000 })
  check.stop()
  await time.advance(50_000)
  t.equal(calls, 2)
  t.equal(time.timers, 0)
})

t.test('a check in the background that is started twice runs as often as one', async t => {
  let calls = 0
  const { check, time } = runner(() => { calls++ }, { interval: 1000 })
  check.start()
  check.start()
  await time.advance(5000)
  t.equal(calls, 6)
  check.stop()
  t.equal(time.timers, 0)
})

t.test('a check in the background that hangs has failed from its timeout on, and is given up like any other', async t => {
  let calls = 0
  const { check, time } = runner(() => { if (++calls === 2) return new Promise(() => {}) }, { interval: 1000 })
  check.start()
  t.match(check.run(), passed)
  await time.advance(1799)
  t.match(check.run(), passed)
  await time.advance(1)
  t.match(check.run(), { outcome: 'fail', reason: 'timeout' })
  await time.advance(29_999)
  t.equal(calls, 2)
  t.match(check.run(), { reason: 'timeout' })
  await time.advance(1000)
  t.equal(calls, 3)
  t.match(check.run(), passed)
})

t.test('a check in the background that is slower than its interval runs once at a time', async t => {
  const gates: Array<ReturnType<typeof deferred>> = []
  const { check, time } = runner(() => { const gate = deferred(); gates.push(gate); return gate.promise }, { interval: 100, timeout: 1000 })
  check.start()
  await time.advance(350)
  t.equal(gates.length, 1)
  gates[0]!.resolve()
  await time.advance(50)
  t.equal(gates.length, 2)
  t.match(check.run(), { ...passed, durationMs: 350 })
})

t.test('a check in the background that throws fails, and goes on', async t => {
  let calls = 0
  const { check, time } = runner(() => { if (++calls === 1) throw new Error('boom') }, { interval: 100 })
  check.start()
  t.match(check.run(), { outcome: 'fail', reason: 'unexpected' })
  await time.advance(100)
  t.match(check.run(), passed)
})

t.test('a check that is stopped while it runs still answers those who wait, tells nothing, and runs no more', async t => {
  const gate = deferred()
  let calls = 0
  const { check, told, finished } = runner(() => { calls++; return gate.promise })
  const result = check.run()
  check.stop()
  gate.resolve()
  t.match(await result, passed)
  t.strictSame([told, finished], [[], []])
  t.equal(check.run(), await result)
  check.start()
  t.equal(calls, 1)
  const background = runner(() => { calls++ }, { interval: 1 })
  background.check.stop()
  background.check.start()
  t.equal(calls, 1)
})

t.test('a change is told once, with how long it had been as before', async t => {
  let answer: () => unknown
  const { check, told, finished, time } = runner(() => answer())
  const run = async (value: () => unknown, at: number) => { await time.advance(at - time.now()); answer = value; await check.run() }
  await run(() => {}, 10)
  await run(() => {}, 20)
  await run(() => false, 1000)
  await run(async () => { throw new Error('another cause') }, 2000)
  await run(async () => {}, 4500)
  await run(() => {}, 5000)
  await run(() => false, 6000)
  t.strictSame(told, [
    ['changed', 'unknown', 'pass', 10], ['changed', 'pass', 'fail', 990], ['changed', 'fail', 'pass', 3500], ['changed', 'pass', 'fail', 1500]
  ])
  t.equal(finished.length, 7, 'each run is told as finished')
})
