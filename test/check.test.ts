import t from 'tap'
import { CheckRunner, type Failure, type Observer } from '../lib/check.js'
import { HealthError } from '../lib/errors.js'

type Told = ['failing', Failure] | ['recovered', number]

function runner (call: () => unknown, now = () => 0, observer: Partial<Observer> = {}) {
  const told: Told[] = []
  const check = new CheckRunner('ready', 'database', call, {
    failing: (_probe, _check, failure) => { told.push(['failing', failure]) },
    recovered: (_probe, _check, lastedMs) => { told.push(['recovered', lastedMs]) },
    ...observer
  }, now)
  return { check, told }
}

const passed = { outcome: 'pass' } as const

t.test('a check passes unless it throws, rejects or gives back exactly false', async t => {
  for (const answer of [undefined, null, true, 0, '', 'false', {}, () => {}, { then: 1 }]) {
    t.same(runner(() => answer).check.run(), passed, 'synchronously')
    t.same(await runner(async () => answer).check.run(), passed, 'asynchronously')
  }
  const failed = { outcome: 'fail', reason: 'failed' } as const
  t.same(runner(() => false).check.run(), failed)
  t.same(await runner(async () => false).check.run(), failed)
})

t.test('a HealthError fails with its message, and is kept for the log', async t => {
  const error = new HealthError("Can't connect", { cause: new Error('ECONNREFUSED') })
  const expected: Failure = { outcome: 'fail', reason: 'failed', message: "Can't connect", error }
  t.strictSame(runner(() => { throw error }).check.run(), expected)
  t.strictSame(await runner(() => Promise.reject(error)).check.run(), expected)
})

t.test('whatever else is thrown fails unexpectedly', async t => {
  const revoked = Proxy.revocable({}, {})
  revoked.revoke()
  const frozen = Object.freeze(new Error('frozen'))
  for (const error of [new Error('boom'), new TypeError('typo'), undefined, null, 'text', 0, revoked.proxy, frozen]) {
    const sync = await runner(() => { throw error }).check.run()
    const async = await runner(() => Promise.reject(error)).check.run()
    for (const result of [sync, async] as Failure[]) {
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
  for (const thenable of [
    { then () { throw new Error('in then') } },
    { get then () { throw new Error('in the getter') } },
    Object.assign(() => {}, { then: (_: unknown, reject: (error: Error) => void) => reject(new Error('a function')) }),
    revoked.proxy
  ]) {
    t.match(await runner(() => thenable).check.run(), { outcome: 'fail', reason: 'unexpected' })
  }
})

t.test('the first answer of a thenable that calls back twice counts', async t => {
  const twice = { then (resolve: (value: unknown) => void, reject: (error: Error) => void) { resolve(1); reject(new Error('late')) } }
  t.same(await runner(() => twice).check.run(), passed)
})

t.test('a change is told once: when the check begins to fail and when it recovers, with the time between', async t => {
  let now = 0
  let answer: unknown
  const { check, told } = runner(() => answer, () => now)
  const run = async (value: unknown) => { answer = value; await check.run() }
  await run(true)
  t.same(told, [])
  now = 1000
  await run(false)
  now = 2000
  await run(Promise.reject(new Error('another cause')))
  t.match(told, [['failing', { reason: 'failed' }]])
  now = 4500
  await run(Promise.resolve())
  await run(true)
  t.strictSame(told.slice(1), [['recovered', 3500]])
  await run(false)
  t.match(told.slice(2), [['failing', {}]])
})

t.test('a log that throws does not decide what a probe answers', async t => {
  let answer = false
  const fail = () => { throw new Error('the disk of the log is full') }
  const { check } = runner(() => answer, undefined, { failing: fail, recovered: fail })
  t.match(check.run(), { outcome: 'fail', reason: 'failed' })
  answer = true
  t.same(check.run(), passed)
})
