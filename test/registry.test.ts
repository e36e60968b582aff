import t from 'tap'
import { CheckRunner } from '../lib/check.js'
import { Probe } from '../lib/registry.js'
import { PASS } from '../lib/verdict.js'

const silent = { failing () {}, recovered () {} }
const probe = (checks: Record<string, () => unknown>) => new Probe('ready', '/ready', new Map(
  Object.entries(checks).map(([name, call]) => [name, new CheckRunner('ready', name, call, silent, () => 0)])
))

t.test('a probe is synchronous while all of its checks are', async t => {
  t.equal(probe({}).run(), PASS)
  t.equal(probe({ a () {}, b () {} }).run(), PASS)
  t.strictSame(probe({ a () {}, b: () => false }).run(), { status: 503, title: 'b: failed' })
  const promise = probe({ a () {}, b: async () => {} }).run()
  t.type(promise, Promise)
  t.equal(await promise, PASS)
})

t.test('all checks of a probe run side by side, and each result counts', async t => {
  const running: string[] = []
  let open = () => {}
  const gate = new Promise<void>(resolve => { open = resolve })
  const wait = (name: string, answer: unknown) => async () => { running.push(name); await gate; return answer }
  const result = probe({ a: wait('a', false), b: wait('b', true), c: () => { throw new Error('x') }, d: wait('d', false) }).run()
  t.strictSame(running, ['a', 'b', 'd'], 'a check that throws keeps no other from running')
  open()
  t.strictSame(await result, { status: 500, title: 'a: failed; c: failed unexpectedly; d: failed' })
})
