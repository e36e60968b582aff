import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import type { Check } from '../../types/check.js'
import { HANGS, readyWith } from './ready.js'

/** A prefix for names on a shared server. */
export const ID = `healthz_test_${process.pid}`

/**
 * Makes a check hang `HANGS` times, `width` runs concurrently, each as a separate check. Waits in between until all pass.
 * @param hang makes the check hang, and returns a function that ends that
 * @returns the distinct titles of the hangs and the recoveries
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

/** Polls until the value is `good`, for up to 10 s. Resolves with the last value. */
export async function eventually<T> (look: () => T | Promise<T>, good: (seen: T) => boolean): Promise<T> {
  const until = Date.now() + 10_000
  for (;;) {
    const seen = await look()
    if (good(seen) || Date.now() > until) return seen
    await sleep(5)
  }
}
