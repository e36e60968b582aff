// A service whose checks fail randomly in every possible way, run in a separate process. It records what the engine does
// with them, and measures what remains allocated.
import { subscribe } from 'node:diagnostics_channel'
import Fastify from 'fastify'
import type Healthz from '../../../lib/index.js'

// Uses `dist/`, since the coverage data of `lib/` would look like a leak.
const healthz: typeof Healthz = require('../../../dist/lib/index.js')

export interface SoakSettings {
  readonly seed: number
  /** The factor by which the clock of this process is faster, so that an hour takes minutes. */
  readonly faster: number
}

export interface Measure {
  readonly heapUsed: number
  /** The number of resources that keep the process alive, by kind. */
  readonly resources: Readonly<Record<string, number>>
  /** The number of event listeners of the process and of the server. */
  readonly listeners: number
  /** By the clock of this process, in ms. */
  readonly uptime: number
  readonly figures: Readonly<Record<string, number>>
  /** Violations of the engine's guarantees. */
  readonly broken: readonly string[]
}

const { seed, faster } = JSON.parse(process.argv[2]!) as SoakSettings
const real = { setTimeout, now: performance.now.bind(performance) }
performance.now = () => real.now() * faster
const start = (callback: () => void, ms = 0) => real.setTimeout(callback, ms / faster)
globalThis.setTimeout = start as typeof setTimeout
/** Tolerance in ms of this clock. A timer may be 1 ms early, and so may the start of a run as recorded by the check. */
const SLACK = 2 * faster

let state = seed
function random (): number {
  state = (state + 0x6d2b79f5) | 0
  let x = Math.imul(state ^ (state >>> 15), state | 1)
  x ^= x + Math.imul(x ^ (x >>> 7), x | 61)
  return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32
}
const between = (min: number, max: number) => min + random() * (max - min)
const sleep = (ms: number) => new Promise<void>(resolve => { setTimeout(resolve, ms) })
const never = () => new Promise<never>(() => {})

const figures: Record<string, number> = {}
const count = (what: string) => (figures[what] = (figures[what] ?? 0) + 1)
const broken: string[] = []

/** The behaviors of a run, with their weights. */
type Ways = Readonly<Record<keyof typeof WAYS, number>>
const WAYS = {
  'passes at once': () => true,
  'gives back false': () => false,
  throws: () => { throw new Error('thrown') },
  'throws a HealthError': () => { throw new healthz.HealthError(`away ${Math.floor(random() * 5)}`) },
  'throws nothing': () => { throw undefined }, // eslint-disable-line no-throw-literal
  passes: () => sleep(between(0, 100)),
  rejects: async () => { await sleep(between(0, 100)); throw new Error('rejected') },
  'is late': () => sleep(between(900, 4000)),
  'is late and rejects': async () => { await sleep(between(900, 4000)); throw new Error('late') },
  'hangs for ever': never,
  'obeys its signal': ({ signal }: Healthz.CheckContext) => new Promise((_resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason))
  }),
  'is a thenable that throws': () => ({ then () { throw new Error('in then') } }),
  'calls back twice': () => ({
    then (done: () => void, fail: (error: Error) => void) { done(); fail(new Error('again')); done() }
  })
} satisfies Record<string, (context: Healthz.CheckContext) => unknown>

/** A check with a random behavior on each run. Records violations of the engine's guarantees. */
function checkOf (ways: Partial<Ways>, timeout = 800): Healthz.CheckOptions & { check: Healthz.Check } {
  const choices = Object.entries(ways) as Array<[keyof typeof WAYS, number]>
  const sum = choices.reduce((sum, [, weight]) => sum + weight, 0)
  let latest: { startedAt: number, over: boolean } | undefined
  const unsettled = new Set<object>()
  return {
    timeout,
    check (context) {
      count(context.probe === 'changing' ? 'runs of those that changed' : 'runs')
      const now = performance.now()
      if (latest?.over === false) {
        const after = now - latest.startedAt
        const under = `${unsettled.size} runs are pending, the last since ${after} ms`
        if (after < 60_000 - SLACK) broken.push(`${context.probe} ${context.check} ran while ${under}`)
        count('given up')
      }
      const run = { startedAt: now, over: false }
      latest = run
      let left = random() * sum
      const [way] = choices.find(([, weight]) => (left -= weight) < 0)!
      count(`a run that ${way}`)
      let answer
      try {
        answer = WAYS[way](context)
      } catch (error) {
        run.over = true
        throw error
      }
      if (!(answer instanceof Promise)) {
        run.over = true
        return answer as boolean
      }
      unsettled.add(run)
      const over = () => { run.over = true; unsettled.delete(run) }
      answer.then(over, over)
      return answer
    }
  }
}

const app = Fastify({ logger: { stream: { write () { count('lines logged') } } } })
app.register(healthz, {
  noLog: true,
  details: true,
  shutdown: { delay: 0 },
  live: {
    a: checkOf({ 'passes at once': 950, 'gives back false': 20, throws: 10, 'throws a HealthError': 10, 'throws nothing': 5 })
  },
  ready: {
    database: checkOf({
      'passes at once': 500,
      passes: 440,
      rejects: 20,
      'throws a HealthError': 20,
      'is late': 5,
      'is late and rejects': 5,
      'obeys its signal': 10
    }),
    cache: { ...checkOf({ passes: 900, rejects: 100 }), critical: false, maxAge: 500 },
    disk: checkOf({ 'passes at once': 900, 'gives back false': 50, 'is a thenable that throws': 25, 'calls back twice': 25 })
  },
  probes: {
    hanging: {
      a: checkOf({ 'passes at once': 999, 'hangs for ever': 1 }),
      b: checkOf({ passes: 700, 'is late': 200, 'hangs for ever': 100 })
    },
    background: { a: { ...checkOf({ passes: 900, rejects: 50, 'is late': 40, 'hangs for ever': 10 }), interval: 1000 } },
    changing: {}
  }
})
app.get('/work', async () => ({ worked: true }))
app.addHook('onResponse', async (request, reply) => {
  if (request.routeOptions.config.healthz !== undefined) count(`answers with ${reply.statusCode}`)
})

// Adds and removes checks, also while they run.
const undo: Array<() => void> = []
let changing: NodeJS.Timeout | undefined
function change (): void {
  changing = setTimeout(change, 100)
  const nth = count('checks added')
  const { check, timeout } = checkOf({ 'hangs for ever': 1, 'is late': 1, 'obeys its signal': 1, passes: 2, throws: 1 })
  let removed = false
  const remove = app.healthz.add('changing', `check-${nth}`, {
    timeout,
    ...(nth % 3 === 0 && { interval: 200 }),
    check (context) {
      if (removed) broken.push(`check-${nth} ran after it was removed`)
      return check.call(app, context)
    }
  })
  undo.push(() => { removed = true; remove() })
  if (undo.length > 5) undo.shift()!()
}

const last = new Map<string, string>()
app.after(() => {
  app.healthz.onChange(change => {
    if (change.kind === 'state' || change.probe === 'changing') return
    const subject = `${change.kind} ${change.probe} ${change.kind === 'check' ? change.check : ''}`
    const before = last.get(subject) ?? 'unknown'
    if (change.from !== before || change.to === before) broken.push(`${subject} ${change.from} → ${change.to}, not ${before}`)
    last.set(subject, change.to)
    count('changes told')
  })
})
subscribe('fastify-healthz:check', message => { if ((message as Healthz.CheckRun).probe !== 'changing') count('finished') })
process.on('unhandledRejection', error => { broken.push(`unhandled: ${error}`) })

const countBy = (names: readonly string[]) => {
  const counts: Record<string, number> = {}
  for (const name of names.toSorted()) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

/** Measures when only runs that never settle are pending. Background checks have such moments. */
app.get('/measure', async (): Promise<Measure> => {
  clearTimeout(changing)
  for (const remove of undo.splice(0)) remove()
  await sleep(5000)
  const busy = () => process.getActiveResourcesInfo().includes('Timeout')
  for (let i = 0; i < 1000 && busy(); i++) await new Promise(resolve => { real.setTimeout(resolve, 1) })
  const resources = countBy(process.getActiveResourcesInfo())
  const sofar = { ...figures }
  for (let i = 0; i < 5; i++) {
    (globalThis as unknown as { gc: () => void }).gc()
    await new Promise(resolve => { setImmediate(resolve) })
  }
  const { heapUsed } = process.memoryUsage()
  const listeners = [process, app.server].flatMap(emitter =>
    emitter.eventNames().map(name => emitter.listenerCount(name as string)))
  const measure: Measure = {
    heapUsed,
    resources,
    listeners: listeners.reduce((sum, count) => sum + count, 0),
    uptime: performance.now(),
    figures: sofar,
    broken
  }
  change()
  return measure
})
app.listen({ port: 0, host: '127.0.0.1' }, (_error, address) => {
  change()
  console.log(address)
})
