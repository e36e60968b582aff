import t from 'tap'
import { Turn } from '../lib/turn.js'
import { FakeTime } from './helpers/time.js'

t.test('a turn reads the time of day once, and goes by the monotonic clock from there', async t => {
  const time = new FakeTime()
  const turn = new Turn(time)
  time.block(5)
  t.equal(turn.read(), 5)
  t.strictSame([turn.now, turn.date], [5, Date.UTC(2026, 0, 1) + 5])
  time.block(2)
  t.strictSame([turn.now, turn.date], [5, Date.UTC(2026, 0, 1) + 5])
  time.date = () => 0
  t.equal(turn.read(), 7)
  t.equal(turn.date, Date.UTC(2026, 0, 1) + 7)
})

t.test('what is started together with one timeout shares a timer, which goes with the last to end', async t => {
  const time = new FakeTime()
  const turn = new Turn(time)
  const [first, second] = [turn.deadline(800).add(() => t.fail()), turn.deadline(800).add(() => t.fail())]
  t.equal(time.timers, 1)
  const other = turn.deadline(500).add(() => t.fail())
  t.equal(time.timers, 2)
  first.end()
  other.end()
  t.equal(time.timers, 1)
  second.end()
  t.equal(time.timers, 0)
})

t.test('a deadline whose timer is gone is joined by none', async t => {
  const time = new FakeTime()
  const turn = new Turn(time)
  turn.deadline(800).add(() => t.fail()).end()
  t.equal(time.timers, 0)
  const out: number[] = []
  turn.deadline(800).add(() => out.push(time.now()))
  await time.advance(800)
  t.strictSame(out, [800])
})

t.test('each runs out after its own timeout, counted from its own start', async t => {
  const time = new FakeTime()
  const turn = new Turn(time)
  const out: string[] = []
  const start = (name: string, timeout: number) => {
    const deadline = turn.deadline(timeout).add(() => { out.push(`${name} at ${time.now()}`); deadline.end() })
  }
  start('a', 800)
  start('b', 800)
  time.block(300)
  turn.read()
  start('c', 800)
  start('d', 100)
  await time.advance(1000)
  t.strictSame(out, ['d at 400', 'a at 800', 'b at 800', 'c at 1100'])
  t.equal(time.timers, 0)
})
