// What the engine keeps of runs: nothing of one that is over, and little of those that never are.
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import t from 'tap'
import { runner } from '../../helpers/checks.js'
import { probeOf } from '../../helpers/probe.js'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

/** How many of them are still in memory. */
async function kept (refs: ReadonlyArray<WeakRef<object>>): Promise<number> {
  await setImmediate()
  gc()
  return refs.filter(ref => ref.deref() !== undefined).length
}

t.test('of the runs of a probe only the last result is kept', async t => {
  const { probe, add } = probeOf()
  add('a', async () => {})
  const results: Array<WeakRef<object>> = []
  for (let i = 0; i < 10; i++) results.push(new WeakRef((await probe.run()).checks[0]![1]))
  t.equal(await kept(results), 1)
})

t.test('of the runs that never settle the last three are kept', async t => {
  const runs: Array<WeakRef<object>> = []
  const { check, time } = runner(run => {
    runs.push(new WeakRef(run))
    return new Promise(() => {})
  })
  for (let minute = 0; minute < 10; minute++) {
    check.run()
    await time.advance(60_000)
  }
  t.equal(runs.length, 10)
  t.equal(await kept(runs), 3)
})
