// A rolling update, end to end: processes behind a balancer, each ended by SIGTERM while clients go on asking. No client
// tries again. `npm run test:rolling` is the long version: the real delays, and as much load as 20 replacements take.
import { Agent } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { Balancer } from '../helpers/rolling/balancer.js'
import { Fleet, type Service, type ServiceSettings } from '../helpers/rolling/fleet.js'
import { type Answered, type Failure, type Kind, Load } from '../helpers/rolling/load.js'

const LONG = process.env.HEALTHZ_ROLLING === 'long'
/** By what all times of the long version are divided. */
const SCALE = LONG ? 1 : 3
const scaled = (ms: number) => Math.round(ms / SCALE)

/** What `shutdown: true` drains for. */
const DELAY = scaled(5000)
const NEWS = scaled(LONG ? 1500 : 500)
const REPLACEMENTS = LONG ? 21 : 3
const REQUESTS = LONG ? 100_000 : 0
/** Between two replacements, so that connections spread over the processes again. */
const PAUSE = LONG ? 5000 : 0
const SHUTDOWN = LONG ? true : { delay: DELAY }

/** Gaps of up to 8 s are longer than the drain, on purpose. Busy clients are never idle. */
const KINDS: readonly Kind[] = [
  { name: 'keep-alive', clients: 150, keepAlive: true, gapMs: [0, scaled(8000)], workMs: [0, scaled(2000)] },
  { name: 'busy', clients: 12, keepAlive: true, gapMs: [0, 0], workMs: [20, 60] },
  { name: 'new connections', clients: 40, keepAlive: false, gapMs: [0, scaled(1000)], workMs: [0, scaled(2000)] },
  { name: 'uploads', clients: 15, keepAlive: true, gapMs: [0, scaled(1000)], workMs: [0, 0], uploadMs: scaled(1000) },
  { name: 'new uploads', clients: 15, keepAlive: false, gapMs: [0, scaled(1000)], workMs: [0, 0], uploadMs: scaled(1000) }
]

t.test('a rolling update: no request fails, live always passes, and each process ends by itself with 0', async t => {
  const { balancer, fleet, load, replaced, failed, inherent, kept } = await roll(t, { shutdown: SHUTDOWN }, { replacements: REPLACEMENTS, requests: REQUESTS })

  t.strictSame(failed, [], 'no request failed')
  t.strictSame(replaced.map(({ exitCode }) => exitCode), Array(REPLACEMENTS).fill(0), 'each ended with 0')
  t.strictSame(fleet.services.flatMap(({ liveFailed }) => liveFailed), [], 'live never failed')
  t.ok(replaced.every(({ live }) => live.length > 1), 'live was asked')
  t.strictSame(replaced.map(({ readyWhileDraining }) => readyWhileDraining), Array(REPLACEMENTS).fill(0), 'ready failed from the first probe on')
  t.ok(replaced.every(({ readyAfterSignal }) => readyAfterSignal <= 1), 'ready failed within one probe of the signal')
  for (const { log } of replaced) {
    const messages = log.map(({ msg }) => msg).filter(msg => /drain/.test(msg))
    t.match(messages, [`SIGTERM: draining for ${DELAY / 1000} s, ready fails from now on`, /^drained for \d/])
    t.equal(messages.length, 2)
  }
  t.equal(kept.begunInDrain, 0, 'each answer to a request that came in the drain was the last of its connection')
  t.ok(load.total >= REQUESTS, 'there was enough load')

  t.comment(`replacements: ${replaced.length}; requests: ${load.total}, ${figures(load.requests)}; connections: ${load.connections}`)
  t.comment(`failed: ${failed.length}; on a connection that was idle for the whole drain, while it was closed: ${figures(count(inherent))}`)
  if (inherent.length > 0) {
    const sinceDrain = inherent.map(({ before, beganAt }) => Math.round(beganAt - fleet.byPid(before!.pid)!.drainEndedAt))
    t.comment(`those were sent, ms from the end of the drain: ${sinceDrain.join(', ')}`)
  }
  t.comment(`exit codes: ${figures(tally(replaced.map(({ exitCode }) => String(exitCode))))}`)
  t.comment(`live: ${sum(fleet.services.map(({ live }) => live.length))} asked, ${sum(fleet.services.map(({ liveFailed }) => liveFailed.length))} failed`)
  t.comment(`ready failed after, ms from the signal: ${spread(replaced.map(({ readyFailedAt, signalledAt }) => readyFailedAt - signalledAt))}`)
  t.comment(`the drain began after, ms from the signal: ${spread(replaced.map(({ drainBeganAt, signalledAt }) => drainBeganAt - signalledAt))}`)
  t.comment(`drained for, ms: ${spread(replaced.map(({ drainBeganAt, drainEndedAt }) => drainEndedAt - drainBeganAt))}`)
  t.comment(`from the signal to the exit, ms: ${spread(replaced.map(({ exitedAt, signalledAt }) => exitedAt - signalledAt))}`)
  t.comment(`connections still open at the end of the drain: ${spread(replaced.map(({ openAtDrainEnd }) => openAtDrainEnd))}`)
  t.comment(`connections that no process took: ${balancer.refused}`)
  t.comment(`answers that kept their connection, of requests under way when the drain began: ${kept.underWay}`)
})

// Else a client that goes on is answered with a 503, and one that doesn't holds the process until it is killed.
t.test('a request that was under way when the drain began, and longer than that, is the last of its connection too', { jobs: 2 }, async t => {
  const outlast = async (t: Test, goOn: boolean) => {
    const { balancer, fleet } = await setUp(t, { shutdown: { delay: DELAY, timeout: 2000 } })
    const old = await fleet.start()
    const answers: Answered[] = []
    const load = new Load(balancer.port, answered => answers.push(answered))
    const agent = new Agent({ keepAlive: true, maxSockets: 1 })
    t.teardown(() => agent.destroy())
    const ask = (workMs: number) => load.send({ kind: 'long', port: balancer.port, agent, workMs })
    // The connection is there before there is another process for it.
    await ask(0)
    const replacement = await fleet.start()
    const long = ask(DELAY + 500)
    await sleep(200)
    await Promise.all([fleet.end(old), goOn && long.then(() => ask(0))])
    answers.shift()
    t.strictSame(load.failures, [])
    t.match(answers, [{ pid: old.pid, last: true }, ...(goOn ? [{ pid: replacement.pid, last: false }] : [])])
    t.equal(old.exitCode, 0)
  }
  t.test('when its client goes on', t => outlast(t, true))
  t.test('when its client does not', t => outlast(t, false))
})

// One after the other where there is time: a machine with too much to do has failures of its own.
t.test('controls', { jobs: LONG ? 1 : 2 }, async t => {
  const control = async (t: Test, service: ServiceSettings) => {
    const { load, failed, inherent, replaced } = await roll(t, service, { replicas: 2, share: 2 })
    t.comment(`requests: ${load.total}; failed: ${failed.length}, ${figures(count(failed))}; idle for the whole drain: ${figures(count(inherent))}`)
    t.comment(`connections still open when it closed: ${replaced[0]!.openAtDrainEnd}; exit code: ${replaced[0]!.exitCode}`)
    return failed
  }

  t.test('without the delay requests fail', async t => {
    const failed = await control(t, { shutdown: { delay: 0 } })
    t.ok(failed.some(({ reused }) => !reused), 'on new connections, to a process that is gone')
  })

  t.test('without `Connection: close` requests fail', async t => {
    const failed = await control(t, { drainByHand: DELAY })
    t.ok(failed.some(({ reused, code }) => reused && code === 'status 503'), 'on connections that are never idle')
  })

  // Then Fastify itself sends `Connection: close` while it closes, in place of a 503.
  t.test('without it, but with `return503OnClosing: false`', { skip: !LONG && 'in the long version' }, async t => {
    await control(t, { drainByHand: DELAY, return503OnClosing: false })
  })
})

// HTTP/1.1 has no word by which a server could end a connection on which nothing is asked. Slow ways make it rare no more.
t.test('what a connection risks that is idle for the whole drain, and what spares it that', { jobs: 5 }, async t => {
  const LATENCY = 50
  const CLIENTS = LONG ? 400 : 200
  const LONGEST_GAP = scaled(8000)
  const { fleet: others } = await setUp(t, {})
  const other = await others.start()

  const lost = async (t: Test, service: ServiceSettings, timeout?: number) => {
    const { balancer, fleet } = await setUp(t, service, LATENCY)
    const old = await fleet.start()
    const load = new Load(balancer.port)
    const clients = Array.from({ length: CLIENTS }, (_, i) => ({
      agent: new Agent({ keepAlive: true, maxSockets: 1, ...(timeout !== undefined && { timeout }) }),
      gapMs: LONGEST_GAP * (i + 1) / CLIENTS
    }))
    t.teardown(() => { for (const { agent } of clients) agent.destroy() })
    const ask = (agent: Agent) => load.send({ kind: 'idle', port: balancer.port, agent, workMs: 0 })
    await Promise.all(clients.map(({ agent }) => ask(agent)))
    balancer.add(other)
    await Promise.all([fleet.end(old), ...clients.map(async ({ agent, gapMs }) => {
      await sleep(gapMs)
      await ask(agent)
    })])
    const inherent = load.failures.filter(failure => isInherent(failure, fleet))
    const others = load.failures.filter(failure => !inherent.includes(failure))
    const gaps = inherent.map(({ before, beganAt }) => beganAt - before!.answeredAt)
    t.comment(`${CLIENTS} clients, ${inherent.length} lost${inherent.length > 0 ? `, idle for ${Math.min(...gaps)} to ${Math.max(...gaps)} ms` : ''}` +
      `, otherwise failed: ${figures(count(others))}`)
    return { inherent: inherent.length, others: others.length }
  }
  const cases: ReadonlyArray<[name: string, lost: (t: Test) => Promise<void>]> = [
    ['gaps longer than the drain lose requests', async t => {
      const { inherent, others } = await lost(t, { shutdown: SHUTDOWN })
      t.ok(inherent > 0)
      t.equal(others, 0)
    }],
    ['a drain longer than the gaps loses none', async t => {
      t.strictSame(await lost(t, { shutdown: { delay: LONGEST_GAP + 500 } }), { inherent: 0, others: 0 })
    }],
    ['clients that leave idle connections sooner than the drain ends lose none', async t => {
      t.strictSame(await lost(t, { shutdown: SHUTDOWN }, DELAY * 0.6), { inherent: 0, others: 0 })
    }],
    // The long version only. From Node 20.20 on its clients leave a second before the time that they are told, if they have a timeout themselves.
    ['clients that follow a `Keep-Alive: timeout` shorter than the drain', async t => {
      await lost(t, { shutdown: SHUTDOWN, keepAliveTimeout: LONG ? 4000 : 2000 }, 60_000)
    }],
    ['clients that do not follow it', async t => {
      await lost(t, { shutdown: SHUTDOWN, keepAliveTimeout: LONG ? 3000 : 2000 })
    }]
  ]
  await Promise.all(cases.slice(0, LONG ? undefined : 3).map(([name, run]) => t.test(name, run)))
})

async function setUp (t: Test, service: ServiceSettings, latencyMs?: number) {
  const balancer = new Balancer(latencyMs)
  await balancer.listen()
  const fleet = new Fleet({ service, balancer, scale: SCALE, newsMs: NEWS })
  t.teardown(async () => {
    await fleet.stop()
    balancer.close()
  })
  return { balancer, fleet }
}

interface Roll {
  readonly replicas?: number
  readonly replacements?: number
  /** At least so many. */
  readonly requests?: number
  /** By what to divide the number of clients, but for the busy ones. */
  readonly share?: number
}

/** Replaces processes under load. */
async function roll (t: Test, service: ServiceSettings, { replicas = 3, replacements = 1, requests = 0, share = 1 }: Roll) {
  const { balancer, fleet } = await setUp(t, service)
  const kept = { begunInDrain: 0, underWay: 0 }
  const load = new Load(balancer.port, ({ pid, beganAt, answeredAt, last }) => {
    const { drainBeganAt } = fleet.byPid(pid)!
    if (last || !(answeredAt > drainBeganAt)) return
    if (beganAt > drainBeganAt) kept.begunInDrain++
    else kept.underWay++
  })
  t.teardown(() => load.stop())
  const start = () => fleet.start({ ownPort: fleet.services.length % 2 === 1 })
  const serving = await Promise.all(Array.from({ length: replicas }, start))
  load.start(KINDS.map(kind => kind.name === 'busy' ? kind : { ...kind, clients: Math.ceil(kind.clients / share) }))
  await sleep(scaled(2000))

  const replaced: Service[] = []
  while (replaced.length < replacements) {
    const old = serving.shift()!
    replaced.push(old)
    const [replacement] = await Promise.all([start(), fleet.end(old)])
    serving.push(replacement)
    await sleep(PAUSE)
  }
  // What a client does next, after the longest gap.
  const until = Date.now() + scaled(LONG ? 180_000 : 2000)
  while (load.total < requests && Date.now() < until) await sleep(100)
  await load.stop()
  const inherent = load.failures.filter(failure => isInherent(failure, fleet))
  return { fleet, balancer, load, replaced, kept, inherent, failed: load.failures.filter(failure => !inherent.includes(failure)) }
}

/**
 * What HTTP/1.1 can't rule out: a request sent on an idle connection while the other end closes it. It was idle for the
 * whole drain, so that there was no answer to tell the client with, and not a byte of the answer came. How long it takes
 * a client to see that its connection is closed depends on how much this machine has to do.
 */
function isInherent ({ reused, answered, code, before, beganAt }: Failure, fleet: Fleet): boolean {
  if (!reused || answered || before === undefined || !['ECONNRESET', 'EPIPE'].includes(code)) return false
  const { drainBeganAt, drainEndedAt } = fleet.byPid(before.pid)!
  if (drainEndedAt - drainBeganAt < scaled(1000)) return false
  return before.beganAt <= drainBeganAt && Math.abs(beganAt - drainEndedAt) < 1000
}

function tally (names: string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const name of names) counts[name] = (counts[name] ?? 0) + 1
  return counts
}

function count (failures: Failure[]): Record<string, number> {
  return tally(failures.map(({ kind, doing, code, reused }) => `${kind} ${doing} ${code} on a ${reused ? 'reused' : 'new'} connection`))
}

function figures (counts: Record<string, number>): string {
  return Object.entries(counts).map(([name, count]) => `${name} ${count}`).join(', ') || 'none'
}

function sum (numbers: number[]): number { return numbers.reduce((sum, number) => sum + number, 0) }

function spread (numbers: number[]): string {
  const sorted = numbers.map(Math.round).sort((a, b) => a - b)
  return `median ${sorted[sorted.length >> 1]}, longest ${sorted.at(-1)}`
}
