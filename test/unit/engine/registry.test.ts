import t from 'tap'
import { Registry } from '../../../lib/engine/registry.js'
import { probeOf } from '../../helpers/probe.js'

t.test('a probe is found by its name, and nothing is found on a prototype', async t => {
  const { probe } = probeOf()
  const registry = new Registry([probe], ['live'])
  t.equal(registry.get('ready'), probe)
  t.throws(() => registry.get('live'), { code: 'HEALTHZ_ERR_PROBE_OFF', message: 'The probe `live` is disabled' })
  for (const name of ['redy', 'toString', '__proto__', 'constructor']) {
    t.throws(() => registry.get(name), { code: 'HEALTHZ_ERR_PROBE_UNKNOWN', message: `Unknown probe \`${name}\`: expected one of \`ready\`` })
  }
})

t.test('a check is added once, and its undo takes away this one only', async t => {
  const { probe, runner } = probeOf()
  const undo = probe.add(runner('a', () => false))
  t.throws(() => probe.add(runner('a', () => {})), {
    code: 'HEALTHZ_ERR_CHECK_EXISTS', message: 'The probe `ready` already has a check `a`'
  })
  t.match(probe.run(), { problem: { title: 'a: failed' } })
  undo()
  t.match(probe.run(), { problem: { status: 200 } })
  const second = probe.add(runner('a', () => {}))
  undo()
  t.match(probe.run(), { checks: [[{ name: 'a' }, { outcome: 'pass' }]] }, 'a second call does nothing')
  second()
})

t.test('a startup probe that has passed takes no check', async t => {
  const { probe, runner } = probeOf('startup')
  probe.run()
  t.throws(() => probe.add(runner('a', () => {})), {
    code: 'HEALTHZ_ERR_STARTUP_PASSED', message: 'The startup probe has already passed: the check `a` would never run'
  })
})

t.test('checks in the background begin with the registry, or at once when it runs already, and end with it', async t => {
  const { probe, runner, time } = probeOf()
  const registry = new Registry([probe], [])
  const calls = { a: 0, b: 0, c: 0 }
  probe.add(runner('a', () => { calls.a++ }, { interval: 10 }))
  await time.advance(100)
  t.strictSame(calls, { a: 0, b: 0, c: 0 })
  registry.start()
  const undo = probe.add(runner('b', () => { calls.b++ }, { interval: 10 }))
  t.strictSame(calls, { a: 1, b: 1, c: 0 })
  undo()
  await time.advance(10)
  t.strictSame(calls, { a: 2, b: 1, c: 0 })
  registry.stop()
  probe.add(runner('c', () => { calls.c++ }, { interval: 10 }))
  await time.advance(100)
  t.strictSame(calls, { a: 2, b: 1, c: 0 })
  t.equal(time.timers, 0)
})

t.test('a check that is added when all has ended runs for nobody', async t => {
  const { probe, runner } = probeOf()
  const registry = new Registry([probe], [])
  registry.stop()
  probe.add(runner('a', () => t.fail('ran')))
  t.match(probe.run(), { problem: { status: 503, title: 'a: not checked yet' } })
})

t.test('a snapshot has every probe by name', async t => {
  const { probe } = probeOf('__proto__')
  t.strictSame(Object.entries(new Registry([probe], []).snapshot()), [['__proto__', { outcome: 'unknown', checks: {} }]])
})
