import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { setImmediate } from 'node:timers/promises'
import t from 'tap'
import { eventLoopDelay, eventLoopUtilization } from '../../../lib/checks/index.js'
import { startService } from '../../helpers/service.js'

// It boots while the first tests run.
const service = startService(t, `
  const { eventLoopDelay, eventLoopUtilization } = require('./dist/lib/checks/index.js')
  const app = Fastify()
  await app.register(healthz, {
    live: { loop: eventLoopDelay({ max: 500 }) },
    ready: { load: eventLoopUtilization({ max: 0.8 }) }
  })
  app.get('/block', async () => {
    say('blocking')
    const until = performance.now() + 1100
    while (performance.now() < until);
    return { title: 'OK' }
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  say('listening', { port: app.server.address().port })
`)

function block (ms: number): void {
  const until = performance.now() + ms
  while (performance.now() < until);
}

/** Lets the loop be idle until a moment of `performance.now()`, when nothing else is to be waited for. */
function idleUntil (at: number): Promise<void> {
  return new Promise(resolve => { setTimeout(resolve, Math.max(0, at - performance.now())) })
}

/** What a run of the check throws. */
function run (check: (context: any) => unknown, context: { data?: any } = {}): string {
  try {
    check(context)
    return 'OK'
  } catch (error) {
    t.equal((error as Error).name, 'HealthError')
    return (error as Error).message
  }
}

const delayOf = (title: string): number => Number(/^event loop delayed by (\d+) ms, at most \d+ allowed$/.exec(title)?.[1])

t.test('a limit that could not be meant is refused', async t => {
  for (const max of [0, -1, 0.5, NaN, Infinity, '100', undefined]) {
    t.throws(() => eventLoopDelay({ max } as any), { message: /^Expected `eventLoopDelay\(\)\.max` to be an integer >= 1, got `/ })
  }
  for (const max of [0, 1, 90, -0.5, NaN, '0.9', undefined]) {
    t.throws(() => eventLoopUtilization({ max } as any), {
      message: /^Expected `eventLoopUtilization\(\)\.max` to be a fraction between 0 and 1, got `/
    })
  }
})

t.test('a block of the loop is told of by the next run, and then over', async t => {
  const delay = eventLoopDelay({ max: 300 })
  const utilization = eventLoopUtilization({ max: 0.905 })
  // Before its first turn Node has no figures of the loop.
  await setImmediate()
  block(400)
  t.equal(run(delay), 'OK', 'what was before the first run is not told of')
  t.equal(run(utilization), 'OK')

  block(1050)
  const title = run(delay)
  t.ok(delayOf(title) >= 1030, title)
  const context: { data?: any } = {}
  t.match(run(utilization, context), /^event loop busy for (9[1-9]|100) % of the time, at most 90\.5 % allowed$/)
  t.ok(context.data.utilization > 0.9 && context.data.utilization <= 1, String(context.data.utilization))
  const takenAt = performance.now()

  block(400)
  t.equal(run(delay), title, 'within a second the same is told')
  t.match(run(utilization), /^event loop busy/)
  await idleUntil(takenAt + 1010)
  const later = run(delay)
  t.ok(delayOf(later) >= 380 && delayOf(later) < 1000, 'straight after a run, and over by the next')
  t.equal(run(utilization), 'OK')

  await idleUntil(performance.now() + 1010)
  t.equal(run(delay), 'OK')
  block(1)
  t.equal(run(utilization), 'OK')
})

t.test('a busy moment is not a busy loop', async t => {
  const check = eventLoopUtilization({ max: 0.01 })
  const context = {}
  t.equal(run(check, context), 'OK')
  block(10)
  t.equal(run(check, context), 'OK')
  t.strictSame(context, {}, 'there is no figure yet')
})

t.test('nothing of it stays once nobody has the check', async t => {
  setFlagsFromString('--expose-gc')
  const gc = runInNewContext('gc')
  const { setInterval, clearInterval } = globalThis
  t.teardown(() => Object.assign(globalThis, { setInterval, clearInterval }))
  const running = new Set<unknown>()
  globalThis.setInterval = ((...args: Parameters<typeof setInterval>) => {
    const timer = setInterval(...args)
    running.add(timer)
    return timer
  }) as typeof setInterval
  globalThis.clearInterval = timer => {
    running.delete(timer)
    clearInterval(timer)
  }
  for (let i = 0; i < 10; i++) run(eventLoopDelay({ max: 1000 }))
  t.equal(running.size, 10)
  t.notOk([...running].some(timer => (timer as NodeJS.Timeout).hasRef()), 'none keeps the process alive')
  while (running.size > 0) {
    await setImmediate()
    gc()
  }
})

t.test('a process that blocks its loop fails the probes that wait for it, and recovers by itself', async t => {
  const { port } = await service.line('listening')
  const ask = async (path: string): Promise<string> => {
    const answer = await fetch(`http://127.0.0.1:${port}${path}`)
    return ((await answer.json()) as { title: string }).title
  }
  const recovers = async (path: string): Promise<string> => {
    const until = performance.now() + 5000
    for (;;) {
      const title = await ask(path)
      if (title === 'OK' || performance.now() > until) return title
    }
  }
  t.equal(await ask('/healthz/live'), 'OK')
  t.equal(await ask('/healthz/ready'), 'OK')
  const blocked = ask('/block')
  await service.line('blocking')
  const [live, ready] = await Promise.all([ask('/healthz/live'), ask('/healthz/ready'), blocked])
  t.ok(delayOf(live.replace('loop: ', '')) >= 1080, live)
  t.match(ready, /^load: event loop busy for \d+ % of the time, at most 80 % allowed$/)
  t.equal(await recovers('/healthz/live'), 'OK')
  t.equal(await recovers('/healthz/ready'), 'OK')
})
