import { AsyncLocalStorage } from 'node:async_hooks'
import t from 'tap'
import type { Result } from '../../../lib/engine/evaluate.js'
import type { Run } from '../../../lib/engine/run.js'
import { HealthError } from '../../../lib/errors.js'
import { deferred, runner } from '../../helpers/checks.js'
import { FakeTime } from '../../helpers/time.js'

const passed = { outcome: 'pass' } as const

t.test('a check passes unless it throws, rejects or gives back exactly false', async t => {
  for (const answer of [undefined, null, true, 0, '', 'false', {}, { then: 1 }]) {
    t.match(runner(() => answer).check.run(), passed, 'synchronously')
    t.match(await runner(async () => answer).check.run(), passed, 'asynchronously')
  }
  const failed = { outcome: 'fail', reason: 'failed', message: undefined }
  t.match(runner(() => false).check.run(), failed)
  t.match(await runner(async () => false).check.run(), failed)
})

t.test('a check that returns a function or a generator, which nobody runs, fails unexpectedly', async t => {
  for (const [answer, message] of [
    [() => true, 'The check returned a function, which was not called'],
    [(function * () { yield true })(), 'The check returned a generator, which was not run'],
    [(async function * () { yield true })(), 'The check returned a generator, which was not run']
  ] as const) {
    const failed = { outcome: 'fail', reason: 'unexpected', error: { name: 'TypeError', message } }
    t.match(runner(() => answer).check.run(), failed, 'synchronously')
    t.match(await runner(async () => answer).check.run(), failed, 'asynchronously')
  }
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
  const result = check.run() as Promise<Result>
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
  const quick = runner(async () => {}, {}, time)
  const hanging = runner(() => new Promise(() => {}), {}, time)
  const results = [quick.check.run(), hanging.check.run()]
  await null
  t.equal(time.timers, 1)
  await time.advance(800)
  t.match(await Promise.all(results), [passed, { outcome: 'fail', reason: 'timeout', durationMs: 800 }])
  t.match(quick.check.last, passed)
  t.strictSame(quick.told, [['changed', 'unknown', 'pass', 0]])
})

t.test('a promise that is over while it is subscribed to leaves the next check its timeout', async t => {
  for (const then of [() => { throw new Error('odd') }, (resolve: () => void) => resolve()]) {
    const time = new FakeTime()
    runner(() => Object.assign(Promise.resolve(), { then }), {}, time).check.run()
    const hanging = runner(() => new Promise(() => {}), {}, time)
    const result = hanging.check.run()
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

t.test('while a run that timed out is pending, its timeout is reported at once and one run a minute starts', async t => {
  let calls = 0
  const { check, time, told } = runner(() => { calls++; return new Promise(() => {}) })
  check.run()
  for (let minute = 1; minute <= 60; minute++) {
    await time.advance(800)
    for (const ms of [0, 1, 10_000, 49_198]) {
      await time.advance(ms)
      t.match(check.run(), { outcome: 'fail', reason: 'timeout', startedAt: (minute - 1) * 60_000 })
    }
    t.equal(calls, minute, `1 ms before minute ${minute}`)
    await time.advance(1)
    t.type(check.run(), Promise)
    t.equal(calls, minute + 1, `at minute ${minute}`)
  }
  await time.advance(800)
  t.strictSame(told, [['changed', 'unknown', 'fail', 800], ['stuck', 3]], 'it is stuck once')
  t.equal(time.timers, 0)
})

t.test('a check recovers within a minute after an outage of whatever length, with at most one run a minute', async t => {
  // What runs do that start while the dependency is down.
  const hanging: Record<string, (left: number, time: FakeTime) => unknown> = {
    'never settle': () => new Promise(() => {}),
    'settle when it is back': (left, time) => new Promise(resolve => { time.start(() => resolve(true), left) }),
    'reject after 10 s': (_left, time) => new Promise((_resolve, reject) => { time.start(() => reject(new Error('late')), 10_000) }),
    'settle after 100 s': (_left, time) => new Promise(resolve => { time.start(() => resolve(false), 100_000) })
  }
  for (const seconds of [1, 2, 30, 59, 60, 61, 90, 110, 150, 300, 601, 1800, 3600]) {
    for (const [kind, hang] of Object.entries(hanging)) {
      for (const plan of [{}, { maxAge: 3000 }, { interval: 1000 }, { interval: 45_000 }, { timeout: 5000 }]) {
        const down = seconds * 1000
        const starts: number[] = []
        const { check, time } = runner(() => {
          starts.push(time.now())
          return time.now() < down ? hang(down - time.now(), time) : Promise.resolve()
        }, plan)
        const period = 'interval' in plan ? 0 : 5000
        check.start()
        let passedAt = 0
        for (; time.now() < down + 120_000; await time.advance(1000)) {
          if (time.now() % 5000 === 0) check.run()
          if (check.last.outcome !== 'pass') passedAt = time.now() + 1000
        }
        check.stop()
        const what = `${JSON.stringify(plan)}, ${seconds} s, runs that ${kind}`
        // A second more, since that is how often we look.
        if (passedAt > down + 60_000 + period + 1000) t.fail(`${what}: passes after ${passedAt - down} ms`)
        const early = starts.find((at, i) => at < down && i > 0 && at - starts[i - 1]! < 60_000)
        if (early !== undefined && kind === 'never settle') t.fail(`${what}: a run at ${early}`)
      }
    }
  }
  t.end()
})

t.test('when the last run settles late, the next one may start at once', async t => {
  const gates: Array<ReturnType<typeof deferred>> = []
  const { check, time, told } = runner(() => { const gate = deferred(); gates.push(gate); return gate.promise })
  check.run()
  await time.advance(1000)
  gates[0]!.resolve()
  await time.advance(0)
  t.match(check.last, { reason: 'timeout' }, 'a late pass is no pass')
  check.run()
  t.equal(gates.length, 2)
  await time.advance(1000)
  gates[1]!.reject(new Error('late'))
  await time.advance(0)
  t.match(check.last, { reason: 'timeout' })
  t.strictSame(told, [['changed', 'unknown', 'fail', 800]])
})

t.test('when a run before the last settles late, the last one still has its minute', async t => {
  const gates: Array<ReturnType<typeof deferred>> = []
  const { check, time, told } = runner(() => { const gate = deferred(); gates.push(gate); return gate.promise })
  check.run()
  await time.advance(60_000)
  check.run()
  await time.advance(1000)
  gates[0]!.resolve()
  await time.advance(58_999)
  check.run()
  t.equal(gates.length, 2)
  await time.advance(1)
  check.run()
  t.equal(gates.length, 3)
  await time.advance(1000)
  t.notMatch(told, [['changed'], ['stuck']], 'of three runs two are pending')
  await time.advance(59_000)
  check.run()
  await time.advance(1000)
  t.match(told, [['changed'], ['stuck', 3]])
})

t.test('a check that was stuck is stuck anew only with three runs since it answered in time', async t => {
  let answer: unknown = new Promise(() => {})
  const { check, time, told } = runner(() => answer)
  const stuck = () => told.filter(([what]) => what === 'stuck').length
  for (let i = 0; i < 4; i++) {
    check.run()
    await time.advance(60_000)
  }
  t.equal(stuck(), 1)
  answer = Promise.resolve()
  t.match(await check.run(), passed)
  answer = new Promise(() => {})
  for (const times of [1, 1, 2]) {
    check.run()
    await time.advance(60_000)
    t.equal(stuck(), times)
  }
})

t.test('in the background the result of a run that timed out replaces the timeout when it comes', async t => {
  const gates: Array<ReturnType<typeof deferred>> = []
  const { check, time, told, finished } = runner(() => { const gate = deferred(); gates.push(gate); return gate.promise }, { interval: 30_000 })
  check.start()
  await time.advance(1000)
  t.match(check.run(), { outcome: 'fail', reason: 'timeout' })
  gates[0]!.resolve()
  await time.advance(0)
  t.match(check.run(), { ...passed, startedAt: 0, durationMs: 1000 })
  await time.advance(30_000)
  t.match(check.run(), { outcome: 'fail', reason: 'timeout' })
  gates[1]!.reject(new HealthError("Can't connect"))
  await time.advance(0)
  t.match(check.run(), { outcome: 'fail', reason: 'failed', message: "Can't connect", durationMs: 1000 })
  t.strictSame(told, [['changed', 'unknown', 'fail', 800], ['changed', 'fail', 'pass', 200], ['changed', 'pass', 'fail', 29_800]])
  t.equal(finished.length, 2, 'a run is finished once')
  check.stop()
})

t.test('a late result does not count once a later run has one', async t => {
  const gates: Array<ReturnType<typeof deferred>> = []
  const { check, time } = runner(() => { const gate = deferred(); gates.push(gate); return gate.promise }, { interval: 60_000 })
  check.start()
  await time.advance(60_000)
  t.equal(gates.length, 2)
  gates[1]!.reject(new HealthError('of the second run'))
  await time.advance(0)
  gates[0]!.resolve()
  await time.advance(0)
  t.match(check.run(), { message: 'of the second run' })
  check.stop()
})

t.test('a late result does not count if the check has its signal, which may be why it settled', async t => {
  const answers: Array<(run: Run) => unknown> = [
    run => new Promise<void>(resolve => run.signal.addEventListener('abort', () => resolve())),
    run => new Promise((_resolve, reject) => run.signal.addEventListener('abort', () => reject(new Error('aborted')))),
    async run => { await gate.promise; if (run.signal.aborted) return true }
  ]
  let gate = deferred()
  for (const answer of answers) {
    gate = deferred()
    const { check, time } = runner(answer, { interval: 60_000 })
    check.start()
    await time.advance(1000)
    gate.resolve()
    await time.advance(0)
    t.match(check.run(), { outcome: 'fail', reason: 'timeout' })
    check.stop()
  }
})

t.test('an answer that is there when a late timeout is judged counts', async t => {
  for (const plan of [{}, { interval: 60_000 }]) {
    const { check, time } = runner(() => new Promise(resolve => { time.start(() => resolve(true), 820) }), plan)
    check.start()
    check.run()
    await time.advance(700)
    time.block(200)
    await time.advance(0)
    t.match(check.last, { ...passed, durationMs: 900 })
    check.stop()
    t.equal(time.timers, 0)
  }
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

t.test('the timeout of each check is counted from its own start', async t => {
  const time = new FakeTime()
  const start = (blocks: number) => runner(() => { time.block(blocks); return new Promise(() => {}) }, {}, time).check.run() as Promise<Result>
  const results = [start(0.25), start(0.25), start(500)]
  t.equal(time.timers, 3)
  await time.advance(1000)
  t.strictSame((await Promise.all(results)).map(({ durationMs }) => durationMs), [800.25, 800.25, 800])
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
  t.equal(time.holding, 0, 'the process may end')
  await time.advance(0)
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

t.test('a check in the background that hangs has failed from its timeout on, and runs again after a minute', async t => {
  for (const [interval, runsAgainAt] of [[1000, 61_000], [45_000, 105_000], [60_000, 120_000], [100_000, 160_000]] as const) {
    let calls = 0
    const { check, time } = runner(() => { if (++calls === 2) return new Promise(() => {}) }, { interval })
    check.start()
    t.match(check.run(), passed)
    await time.advance(interval + 799)
    t.match(check.run(), passed)
    await time.advance(1)
    t.match(check.run(), { outcome: 'fail', reason: 'timeout' })
    await time.advance(runsAgainAt - time.now() - 1)
    t.equal(calls, 2)
    t.match(check.run(), { reason: 'timeout' })
    await time.advance(1)
    t.equal(calls, 3)
    t.match(check.run(), passed)
    await time.advance(interval)
    t.equal(calls, 4, 'at its interval again')
    check.stop()
  }
})

t.test('a run in the background does not keep the process alive, and is aborted when its check is stopped', async t => {
  const signals: AbortSignal[] = []
  const { check, time, told } = runner(run => { signals.push(run.signal); return new Promise(() => {}) }, { interval: 5000 })
  check.start()
  t.strictSame([time.timers, time.holding], [1, 0])
  check.stop()
  t.equal(time.timers, 0)
  t.match(signals, [{ aborted: true, reason: { name: 'AbortError', message: 'The ready check "database" was stopped' } }])
  t.match(check.last, { reason: 'unchecked' })
  const late = runner(run => { signals.push(run.signal); return new Promise(() => {}) }, { interval: 5000 })
  late.check.start()
  await late.time.advance(1000)
  late.check.stop()
  t.match(signals[1]!.reason, { name: 'TimeoutError' }, 'not again if it has timed out')
  const within = runner(run => { signals.push(run.signal); within.check.stop(); return new Promise(() => {}) }, { interval: 5000 })
  within.check.start()
  t.equal(within.time.timers, 0)
  t.match(signals[2], { aborted: true }, 'nor one that is stopped while it is called')
  const sync = runner(() => { sync.check.stop() }, { interval: 5000 })
  sync.check.start()
  t.match(sync.check.last, passed)
  t.equal(sync.time.timers, 0)
  t.strictSame(told, [])
})

t.test('a check in the background sees no context of the request that added it', async t => {
  const storage = new AsyncLocalStorage<string>()
  const seen: unknown[] = []
  const { check, time } = runner(async () => {
    seen.push(storage.getStore())
    await null
    seen.push(storage.getStore())
  }, { interval: 1000 })
  storage.run('a request', () => check.start())
  await time.advance(2000)
  check.stop()
  t.strictSame(seen, Array(6).fill(undefined))
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

t.test('failures are tolerated up to the threshold, one for each run, however many callers share it', async t => {
  const answers = [deferred(), deferred(), deferred(), deferred()]
  let calls = 0
  const { check, told } = runner(() => answers[calls++]!.promise, { failureThreshold: 2 })
  const outcomes = async (settle: () => void) => {
    const runs = Promise.all([check.run(), check.run(), check.run()])
    settle()
    return (await runs).map(({ outcome }) => outcome)
  }
  t.strictSame(await outcomes(() => answers[0]!.resolve()), ['pass', 'pass', 'pass'])
  t.strictSame(await outcomes(() => answers[1]!.reject(new Error('boom'))), ['warn', 'warn', 'warn'])
  t.strictSame(await outcomes(() => answers[2]!.reject(new Error('boom'))), ['fail', 'fail', 'fail'])
  t.strictSame(await outcomes(() => answers[3]!.resolve()), ['pass', 'pass', 'pass'])
  t.equal(calls, 4)
  t.strictSame(told, [
    ['changed', 'unknown', 'pass', 0], ['tolerated', 1], ['changed', 'pass', 'warn', 0], ['changed', 'warn', 'fail', 0], ['changed', 'fail', 'pass', 0]
  ])
})

t.test('a pass that is reused is not counted, and neither a tolerated failure nor a recovering check is reused', async t => {
  let answer = true
  let calls = 0
  const { check, time } = runner(() => { calls++; return answer }, { maxAge: 1000, failureThreshold: 2, successThreshold: 2 })
  const outcomes = (n: number) => Array.from({ length: n }, () => (check.run() as Result).outcome)
  t.strictSame(outcomes(3), ['pass', 'pass', 'pass'])
  t.equal(calls, 1)
  await time.advance(1000)
  answer = false
  t.strictSame(outcomes(2), ['warn', 'fail'])
  answer = true
  t.match(check.run(), { outcome: 'fail', message: 'recovering, passed 1 of 2 times' })
  t.strictSame(outcomes(3), ['pass', 'pass', 'pass'])
  t.equal(calls, 5)
})

t.test('a run that hangs counts again whenever the check is due, at most once per timeout', async t => {
  let hangs = false
  const { check, time, finished } = runner(() => hangs ? new Promise(() => {}) : true, { failureThreshold: 3 })
  check.run()
  hangs = true
  const late = check.run()
  await time.advance(800)
  t.match(await late, { outcome: 'warn', reason: 'timeout', failures: 1 })
  t.match(check.run(), { outcome: 'warn', failures: 1 }, 'not before another timeout has passed')
  await time.advance(799)
  t.match(check.run(), { outcome: 'warn', failures: 1 })
  await time.advance(1)
  t.match([check.run(), check.run()], [{ outcome: 'warn', failures: 2 }, { outcome: 'warn', failures: 2 }])
  await time.advance(10_000)
  t.match(check.run(), { outcome: 'fail', reason: 'timeout', failures: 3, startedAt: 0 })
  await time.advance(10_000)
  t.match(check.run(), { failures: 3 }, 'a failed check fails whatever the number is')
  t.equal(finished.length, 2, 'it is one run all the same')
})

t.test('a run that counts again while a listener blocks the event loop is still one run', async t => {
  let calls = 0
  const { check, observer, told, finished, time } = runner(() => ++calls === 1 || new Promise(() => {}), { failureThreshold: 3 })
  check.run()
  const waiting = check.run()
  const { changed } = observer
  observer.changed = (...change) => {
    changed(...change)
    time.block(800)
    check.run()
  }
  await time.advance(800)
  t.match(await waiting, { outcome: 'warn', failures: 1 })
  t.match(check.run(), { outcome: 'warn', failures: 2 })
  t.strictSame(told.filter(([what]) => what === 'tolerated'), [['tolerated', 1], ['tolerated', 2]])
  t.equal(finished.length, 2)
})

t.test('a check in the background that hangs fails when it was due as often as the threshold says', async t => {
  let hangs = false
  const { check, time } = runner(() => hangs ? new Promise(() => {}) : true, { interval: 10_000, retryInterval: 2000, failureThreshold: 3 })
  check.start()
  hangs = true
  await time.advance(10_800)
  t.match(check.run(), { outcome: 'warn', failures: 1 })
  await time.advance(1200)
  t.match(check.run(), { outcome: 'warn', failures: 2 }, 'at 12 s')
  await time.advance(2000)
  t.match(check.run(), { outcome: 'fail', failures: 3 }, 'at 14 s')
  check.stop()
  t.equal(time.timers, 0)
})

t.test('a late result of a run that timed out is counted once', async t => {
  const late = deferred()
  let calls = 0
  const { check, time } = runner(() => ++calls === 2 ? late.promise : true, { interval: 10_000, failureThreshold: 2 })
  check.start()
  await time.advance(10_800)
  t.match(check.run(), { outcome: 'warn', reason: 'timeout', failures: 1 })
  late.reject(new HealthError('away'))
  await time.advance(0)
  t.match(check.run(), { outcome: 'warn', reason: 'failed', failures: 1 })
  await time.advance(9200)
  t.match(check.run(), passed)
  check.stop()
})

t.test('a check in the background runs at its retry interval until it passes', async t => {
  const starts: number[] = []
  const { check, time } = runner(() => { starts.push(time.now()); return time.now() < 10_000 || time.now() >= 14_000 }, {
    interval: 10_000, retryInterval: 1000, failureThreshold: 2, successThreshold: 2
  })
  check.start()
  await time.advance(40_000)
  t.strictSame(starts, [0, 10_000, 11_000, 12_000, 13_000, 14_000, 15_000, 25_000, 35_000])
  check.stop()
})

t.test('a failed check in the background is retried from the start of its last run, and not before that has ended', async t => {
  const starts: number[] = []
  const { check, time } = runner(run => {
    starts.push(time.now())
    return new Promise((_resolve, reject) => run.signal.addEventListener('abort', () => reject(run.signal.reason)))
  }, { interval: 10_000, retryInterval: 1000 })
  check.start()
  await time.advance(3000)
  t.strictSame(starts, [0, 1000, 2000, 3000])
  check.stop()
  starts.length = 0
  const slow = runner(run => {
    starts.push(slow.time.now())
    return new Promise((_resolve, reject) => run.signal.addEventListener('abort', () => reject(run.signal.reason)))
  }, { interval: 10_000, retryInterval: 500 })
  slow.check.start()
  await slow.time.advance(1700)
  t.strictSame(starts, [0, 801, 1602])
  slow.check.stop()
})

t.test('an interval varies by a tenth in both directions, and the first run is immediate', async t => {
  const time = new FakeTime()
  const numbers = [0, 0.5, 0.999_999, 0.25]
  time.random = () => numbers.shift() ?? 0.5
  const starts: number[] = []
  const { check } = runner(() => { starts.push(time.now()); return starts.length !== 4 }, { interval: 10_000, retryInterval: 1000 }, time)
  check.start()
  await time.advance(41_000)
  t.strictSame(starts, [0, 9000, 19_000, 30_000, 30_950, 40_950])
  check.stop()
})

t.test('a result has the data of its run, whether it passes, fails or times out', async t => {
  const answers: Record<string, (run: Run) => unknown> = {
    pass: () => {},
    false: () => false,
    throws: () => { throw new HealthError('full') },
    rejects: async () => { throw new Error('boom') }
  }
  for (const [name, answer] of Object.entries(answers)) {
    const { check, finished } = runner(run => { run.data = { free: 0.42 }; return answer(run) })
    t.strictSame((await check.run()).data, { free: 0.42 }, name)
    t.equal(finished[0], check.last)
  }
  const { check, time } = runner(run => { run.data = { step: 1 }; return new Promise(() => {}) })
  const result = check.run()
  await time.advance(800)
  t.match(await result, { reason: 'timeout', data: { step: 1 } })
})

t.test('a result without data has no such property', async t => {
  let data: unknown
  const { check } = runner(run => { run.data = data })
  for (data of [undefined, {}, { free: undefined }]) t.notOk('data' in await check.run())
  data = { free: 1 }
  t.match(check.run(), { data })
  data = undefined
  t.notOk('data' in await check.run(), 'that of another run is not kept')
})

t.test('data is read when the run ends, and copied', async t => {
  const data = { step: 1 }
  const { check } = runner(async run => {
    run.data = data
    await null
    data.step = 2
  })
  t.strictSame((await check.run()).data, { step: 2 })
  data.step = 3
  t.strictSame(check.last.data, { step: 2 })
})

t.test('a late result has its own data, and that of a timeout stays as it was', async t => {
  const gate = deferred()
  const data = { step: 1 }
  const { check, finished, time } = runner(async run => {
    run.data = data
    await gate.promise
    data.step = 2
  }, { interval: 1000 })
  check.start()
  await time.advance(800)
  const late = check.last
  t.match(late, { reason: 'timeout', data: { step: 1 } })
  gate.resolve()
  await time.advance(0)
  t.match(check.last, { outcome: 'pass', data: { step: 2 } })
  t.strictSame([late.data, finished.map(({ data }) => data)], [{ step: 1 }, [{ step: 1 }]], 'a run is finished once')
  check.stop()
})

t.test('data that is dropped is reported once, and fails no run', async t => {
  const { check, told } = runner(run => { run.data = { rows: [], free: 1 } })
  for (let i = 0; i < 3; i++) t.match(check.run(), { ...passed, data: { free: 1 } })
  t.strictSame(told.filter(([what]) => what === 'dataDropped'), [['dataDropped', 'rows (object)']])
  const stopped = runner(run => { run.data = 5; return gate.promise })
  const gate = deferred()
  const result = stopped.check.run()
  stopped.check.stop()
  gate.resolve()
  t.match(await result, passed)
  t.strictSame(stopped.told, [], 'not by a check that was removed')
})
