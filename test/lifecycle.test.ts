import t from 'tap'
import { Lifecycle } from '../lib/lifecycle.js'
import { PASS } from '../lib/verdict.js'
import { FakeTime } from './helpers/time.js'

t.test('each state tells what probes answer whatever their checks say', async t => {
  const lifecycle = new Lifecycle(new FakeTime(), () => {})
  const titles = () => ['live', 'ready', 'startup', 'deep'].map(probe => lifecycle.answer(probe)?.title)
  t.strictSame(titles(), [undefined, 'Starting', 'Starting', undefined])
  lifecycle.to('serving')
  t.strictSame(titles(), [undefined, undefined, undefined, undefined])
  lifecycle.to('draining')
  t.strictSame(titles(), [undefined, 'Shutting down', undefined, undefined])
  lifecycle.to('closed')
  t.strictSame(titles(), ['OK', 'Shutting down', undefined, undefined])
  t.equal(lifecycle.answer('live'), PASS)
})

t.test('a change of the state is told once, with how long the one before had lasted', async t => {
  const time = new FakeTime()
  const told: unknown[] = []
  const lifecycle = new Lifecycle(time, (...change) => { told.push([...change, lifecycle.state]) })
  t.equal(lifecycle.state, 'starting')
  await time.advance(10)
  lifecycle.to('serving')
  lifecycle.to('serving')
  await time.advance(5)
  lifecycle.to('closed')
  t.strictSame(told, [['starting', 'serving', 10, 'serving'], ['serving', 'closed', 5, 'closed']])
})
