import t from 'tap'
import { Holds } from '../../../lib/engine/holds.js'
import { FakeTime } from '../../helpers/time.js'

function holdsOf (limit = 10_000) {
  const time = new FakeTime()
  const told: unknown[][] = []
  const holds = new Holds(time, limit, {
    waiting: names => { told.push(['waiting', ...names]) },
    abandoned: (names, afterMs) => { told.push(['abandoned', afterMs, ...names]) }
  })
  const released: number[] = []
  return { holds, time, told, released, wait: () => holds.whenReleased(() => { released.push(time.now()) }) }
}

t.test('nothing is waited for where nothing is held', async t => {
  const { released, told, time, wait } = holdsOf()
  wait()
  t.strictSame(released, [0], 'synchronously')
  t.strictSame([told, time.timers], [[], 0])
})

t.test('all that wait go on once the last hold is released, and what is held is reported once', async t => {
  const { holds, released, told, time, wait } = holdsOf()
  const one = holds.hold('job 1')
  await time.advance(5)
  const two = holds.hold('job 2')
  t.strictSame(holds.list, [{ name: 'job 1', heldMs: 5 }, { name: 'job 2', heldMs: 0 }])
  wait()
  wait()
  await time.advance(100)
  two()
  await time.advance(100)
  t.strictSame(released, [])
  t.strictSame(holds.names, ['job 1'])
  one()
  await time.advance(0)
  t.strictSame(released, [205, 205])
  t.strictSame(told, [['waiting', 'job 1', 'job 2']])
  t.equal(time.timers, 0)
  wait()
  t.equal(released.length, 3)
})

t.test('two holds of one name are two, and a release releases its own hold once', async t => {
  const { holds, released, time, wait } = holdsOf()
  const one = holds.hold('job')
  holds.hold('job')
  wait()
  one()
  one()
  await time.advance(1)
  t.strictSame(holds.names, ['job'])
  t.strictSame(released, [])
})

t.test('a job that ends may start the next one within the turn of the event loop', async t => {
  const { holds, released, time, wait } = holdsOf()
  const first = holds.hold('first')
  wait()
  first()
  const second = holds.hold('second')
  await time.advance(1)
  t.strictSame(released, [])
  second()
  await time.advance(0)
  t.strictSame(released, [1])
})

t.test('after the limit nothing waits any longer, for what is held or for what comes', async t => {
  const { holds, released, told, time, wait } = holdsOf(500)
  const stuck = holds.hold('stuck')
  await time.advance(1000)
  wait()
  await time.advance(499)
  t.strictSame(released, [])
  await time.advance(1)
  t.strictSame(released, [1500])
  t.strictSame(told, [['waiting', 'stuck'], ['abandoned', 500, 'stuck']])
  holds.hold('late')
  wait()
  t.strictSame(released, [1500, 1500])
  stuck()
  await time.advance(1)
  t.strictSame([holds.names, time.timers], [['late'], 0], 'what is late is still shown')
})

t.test('the limit is for all waiting together', async t => {
  const { holds, released, time, wait } = holdsOf(500)
  const first = holds.hold('first')
  wait()
  await time.advance(300)
  first()
  await time.advance(100)
  t.strictSame(released, [300])
  holds.hold('second')
  wait()
  await time.advance(99)
  t.strictSame(released, [300])
  await time.advance(1)
  t.strictSame(released, [300, 500])
})
