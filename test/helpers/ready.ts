import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import type { Test } from 'tap'
import type { Check } from '../../types/check.js'
import healthz from '../../lib/index.js'
import { capture } from './log.js'

/** The number of hangs in tests of hanging checks. */
export const HANGS = Number(process.env.HEALTHZ_HANGS ?? 100)

/** A service with these checks in its ready probe. */
export async function readyWith (t: Test, ready: Record<string, Check>, timeout = 150) {
  const { lines, logger } = capture()
  const app = Fastify({ logger })
  await app.register(healthz, { ready, timeout })
  await app.ready()
  t.teardown(() => app.close())
  const ask = async (): Promise<string> => (await app.healthz.run('ready')).title
  /** Runs the probe until it passes, for `withinMs` at most. Resolves with the last title. */
  const recovers = async (withinMs = 5000): Promise<string> => {
    const until = Date.now() + withinMs
    for (;;) {
      const title = await ask()
      if (title === 'OK' || Date.now() > until) return title
      await sleep(5)
    }
  }
  return { app, lines, ask, recovers }
}

/**
 * Makes a check hang `HANGS` times, up to a hundred runs concurrently, each as a separate check. All are released before
 * the next hundred.
 * @returns the distinct titles
 */
export async function hangOften (t: Test, check: Check, hang: () => unknown, release: () => unknown): Promise<string[]> {
  const running = new Set<object>()
  const counted: Check = async function (context) {
    running.add(context)
    try {
      await check.call(this, context)
    } finally {
      running.delete(context)
    }
  }
  const width = Math.min(HANGS, 100)
  const { app } = await readyWith(t, Object.fromEntries(Array.from({ length: width }, (_, i) => [`c${i}`, counted])), 20)
  const titles = new Set<string>()
  let count = 0
  for (; count < HANGS; count += width) {
    await hang()
    const { checks } = await app.healthz.run('ready')
    for (const { title = 'OK' } of Object.values(checks)) titles.add(title)
    await release()
    while (running.size > 0) await sleep(1)
  }
  t.comment(`${count} hangs`)
  return [...titles]
}

/** Resolves on the next event of that name, regardless of `error` events before it. */
export function next (emitter: { once (event: any, listener: () => void): unknown }, event: string): Promise<void> {
  return new Promise<void>(resolve => { emitter.once(event, () => resolve()) })
}
