import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import type { Check } from '../../types/check.js'
import { HANGS, readyWith } from './ready.js'

/** For names of what a test makes on a shared server. */
export const ID = `healthz_test_${process.pid}`

/**
 * Makes a check hang `HANGS` times, so many at once, each on an engine of its own, and waits in between until all pass.
 * @param hang makes it so that it hangs, and gives back what makes it well again
 * @returns what was told of the hangs, each once, and of the recoveries
 */
export async function hangs (
  t: Test, check: Check, width: number, timeout: number, hang: () => Promise<() => unknown>
): Promise<string[]> {
  const names = Array.from({ length: width }, (_, i) => `c${i}`)
  const { app, recovers } = await readyWith(t, Object.fromEntries(names.map(name => [name, check])), timeout)
  const told = new Set<string>()
  let count = 0
  for (; count < HANGS; count += width) {
    const release = await hang()
    const { checks } = await app.healthz.run('ready')
    for (const { title = 'OK' } of Object.values(checks)) told.add(title)
    await release()
    told.add(await recovers())
  }
  t.comment(`${count} hangs`)
  return [...told]
}

/** Waits for what a server, or a driver, will show some day; gives back what it shows. */
export async function eventually<T> (look: () => T | Promise<T>, good: (seen: T) => boolean): Promise<T> {
  const until = Date.now() + 10_000
  for (;;) {
    const seen = await look()
    if (good(seen) || Date.now() > until) return seen
    await sleep(5)
  }
}
