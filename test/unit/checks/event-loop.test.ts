import t, { type Test } from 'tap'
import { eventLoopDelay } from '../../../lib/checks/index.js'

/** A check on a clock that stands still. `turn` lets its timer fire that late. */
function delayed (t: Test, max: number) {
  let now = 0
  let measure!: () => void
  const { setInterval } = globalThis
  t.teardown(() => { globalThis.setInterval = setInterval })
  globalThis.setInterval = ((callback: () => void, ms: number) => {
    measure = callback
    return setInterval(() => {}, ms)
  }) as typeof setInterval
  Object.defineProperty(performance, 'now', { value: () => now, configurable: true })
  t.teardown(() => { delete (performance as Partial<typeof performance>).now })
  const check = eventLoopDelay({ max })
  const run = () => {
    const context: { data?: any } = {}
    let title = 'OK'
    try { Reflect.apply(check, undefined, [context as any]) } catch (error) { title = (error as Error).message }
    return { title, data: context.data }
  }
  const wait = (lateBy: number) => { now += 20 + lateBy }
  const turn = (lateBy: number) => { wait(lateBy); measure() }
  return { run, turn, wait }
}

t.test('its data is the longest delay and the 99th percentile since the last reading', async t => {
  const { run, turn, wait } = delayed(t, 400)
  t.strictSame(run(), { title: 'OK', data: undefined }, 'the first run starts the measurement')
  for (let i = 0; i < 99; i++) turn(2)
  wait(500)
  const first = run()
  t.match(first, { title: 'event loop delayed by 500 ms, at most 400 allowed', data: { max: 500 } })
  t.ok(first.data.p99 >= 2 && first.data.p99 < 2.05, String(first.data.p99))
  t.strictSame(run(), first, 'within a second the same is told')

  for (let i = 0; i < 60; i++) turn(-0.5)
  t.strictSame(run(), { title: 'OK', data: { max: 0, p99: 0 } }, 'a timer that is early is no delay, and what was told is over')

  for (let i = 0; i < 60; i++) turn(12.345)
  t.strictSame(run(), { title: 'OK', data: { max: 12.345, p99: 12.345 } }, 'the percentile is never above the longest')
})
