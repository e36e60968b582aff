import t from 'tap'
import { systemTime } from '../lib/time.js'

t.test('the system\'s clocks go on, and its timers call back once or not at all', async t => {
  const { now, date, start, cancel } = systemTime
  const [before, day] = [now(), date()]
  let calls = 0
  const cancelled = start(() => { calls++ }, 1)
  cancel(cancelled)
  cancel(undefined)
  await new Promise<void>(resolve => start(resolve, 5))
  t.equal(calls, 0)
  t.ok(now() > before && date() >= day)
  t.ok(Math.abs(date() - Date.now()) < 1000)
})

t.test('a background timer does not keep the process alive, and another does', async t => {
  const background = systemTime.start(() => {}, 1000, true) as NodeJS.Timeout
  const holding = systemTime.start(() => {}, 1000) as NodeJS.Timeout
  t.strictSame([background.hasRef(), holding.hasRef()], [false, true])
  systemTime.cancel(background)
  systemTime.cancel(holding)
})
