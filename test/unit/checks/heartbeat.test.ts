import Fastify from 'fastify'
import t from 'tap'
import { heartbeat } from '../../../lib/checks/index.js'
import healthz from '../../../lib/index.js'

let now = 1000
Object.defineProperty(performance, 'now', { value: () => now, configurable: true })
t.teardown(() => { delete (performance as Partial<typeof performance>).now })

function run (check: (context: any) => unknown) {
  const context: { data?: unknown } = {}
  try {
    check(context)
    return ['OK', context.data]
  } catch (error) {
    t.equal((error as Error).name, 'HealthError')
    return [(error as Error).message, context.data]
  }
}

t.test('a limit that is no time in ms is an error', async t => {
  for (const max of [0, -1, 0.5, NaN, '60000', undefined]) {
    t.throws(() => heartbeat({ max } as any), {
      code: 'HEALTHZ_ERR_OPTION_INVALID', message: /^Expected `heartbeat\(\)\.max` to be an integer >= 1, got `/
    })
  }
})

t.test('it fails once its last beat is longer ago, and passes with the next one', async t => {
  const worker = heartbeat({ max: 60_000 })
  now += 60_000
  t.strictSame(run(worker), ['OK', { age: 60_000 }], 'before the first beat the time counts from its creation')
  now += 1
  t.strictSame(run(worker), ['no beat for 60 s', { age: 60_001 }])
  worker.beat()
  t.strictSame(run(worker), ['OK', { age: 0 }])
  now += 75_999
  t.strictSame(run(worker), ['no beat for 75 s', { age: 75_999 }])
  const { beat } = worker
  beat()
  t.strictSame(run(worker), ['OK', { age: 0 }], 'beat can be passed on alone')
})

t.test('the title has as many digits as matter', async t => {
  const title = (ms: number): unknown => {
    const worker = heartbeat({ max: 1 })
    now += ms
    return run(worker)[0]
  }
  t.strictSame([2.7, 999.9, 1000, 1549, 9999, 10_000, 3_600_000].map(title), [
    'no beat for 2 ms', 'no beat for 999 ms', 'no beat for 1 s', 'no beat for 1.5 s', 'no beat for 9.9 s', 'no beat for 10 s',
    'no beat for 3600 s'
  ])
})

t.test('several have nothing in common, and the clock of the day has no effect', async t => {
  const [a, b] = [heartbeat({ max: 1000 }), heartbeat({ max: 1000 })]
  now += 2000
  a.beat()
  const { now: date } = Date
  t.teardown(() => { Date.now = date })
  Date.now = () => date() + 86_400_000
  t.strictSame([run(a)[0], run(b)[0]], ['OK', 'no beat for 2 s'])
})

t.test('it is a check as any other', async t => {
  const worker = heartbeat({ max: 60_000 })
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(healthz, { live: { worker }, ready: worker, details: true })
  await app.ready()
  t.strictSame((await app.inject('/healthz/live')).json(), { status: 200, title: 'OK' })
  now += 75_000
  t.strictSame((await app.inject('/healthz/live')).json(), { status: 503, title: 'worker: no beat for 75 s' })
  t.strictSame((await app.inject('/healthz/ready')).json(), { status: 503, title: 'no beat for 75 s' })
  t.match((await app.inject('/healthz/live?verbose')).json(), { checks: { worker: { status: 'fail', data: { age: 75_000 } } } })
  worker.beat()
  t.strictSame((await app.inject('/healthz/live')).json(), { status: 200, title: 'OK' })
})
