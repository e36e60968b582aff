import { randomOf } from '../statistics.mjs'
import { Clock } from './clock.mjs'
import { Database } from './database.mjs'
import { FAILURE_THRESHOLD, PERIOD, Pod } from './kubelet.mjs'
import { ReadyCount } from './ready-count.mjs'
import { BOOT, INTERVAL } from './setups.mjs'

/** The kinds of outage: how the database fails. */
export const FAILURES = ['refuses', 'hangs']
/** Queries per second that the database has left for checks. */
export const CAPACITY = 5000
/** The time for the network and for one query, in ms. */
const LATENCY = 2
/** The phases of a simulation, in ms. All pods start in the same instant. */
export const WARM_UP = 60 * INTERVAL
export const REST = 10 * INTERVAL
export const BLIP = 2000
const BETWEEN = 4 * INTERVAL
export const OUTAGE = 120_000
export const AFTER = 180_000
/** How long to wait until 99 % of the pods are ready again. Restarts of containers are delayed by up to 300 s. */
const GIVE_UP = 900_000
/** How long the database refuses when all pods start during an outage. */
const COLD = 600_000

/** Pods that start together query together unless jitter spreads them. The blip and the outage happen at that moment. */
const BLIP_AT = BOOT + WARM_UP + REST - 1000
const OUTAGE_AT = BLIP_AT + BETWEEN

/**
 * Simulates a fleet with one setup: at rest, in a blip, during an outage and after it.
 * @param failure one of `FAILURES`
 */
export async function simulate ({ boot, probes, random }, { pods, failure, seed }) {
  const chance = randomOf(seed)
  const clock = new Clock(random ?? chance)
  const database = new Database(clock, { capacity: CAPACITY, latency: LATENCY })
  const [ready, impatient] = [FAILURE_THRESHOLD, 1].map(threshold => new ReadyCount(clock, pods, threshold))
  const fleet = { restarts: 0, ready: [ready, impatient] }
  const all = start(pods, boot, { clock, database, probes }, fleet)
  // The kubelets don't probe during the warm-up. Checks that run in the background aren't affected by that.
  await clock.runUntil(BOOT + WARM_UP - 3 * PERIOD)
  for (const pod of all) for (const name of probes) pod.probe(name, chance())

  await clock.runUntil(BLIP_AT - REST)
  ready.watch()
  await clock.runUntil(BLIP_AT)
  const unready = ready.mostUnready
  for (const count of fleet.ready) count.watch()
  database.fail(failure)
  await clock.runUntil(BLIP_AT + BLIP)
  database.recover()
  await clock.runUntil(OUTAGE_AT)
  const blip = { unready: ready.mostUnready, impatient: impatient.mostUnready }

  database.fail(failure)
  await clock.runUntil(OUTAGE_AT + OUTAGE)
  ready.watch()
  const backlog = database.recover()
  let end = OUTAGE_AT + OUTAGE + AFTER
  await clock.runUntil(end)
  while (ready.secondsUntil(0.99) === Infinity && end < OUTAGE_AT + OUTAGE + GIVE_UP) await clock.runUntil(end += PERIOD)

  const recovered = OUTAGE_AT + OUTAGE
  return {
    spreading: database.countsIn(BOOT, BOOT + WARM_UP),
    rest: database.countsIn(BLIP_AT - REST, BLIP_AT),
    outage: database.countsIn(OUTAGE_AT, recovered),
    after: database.countsIn(recovered, recovered + AFTER),
    around: database.countsIn(OUTAGE_AT - 60_000, recovered + AFTER),
    unready,
    blip,
    backlog,
    ready50: ready.secondsUntil(0.5),
    ready99: ready.secondsUntil(0.99),
    restarts: fleet.restarts
  }
}

/** The queries per second of a fleet that starts in the same instant while the database refuses connections. */
export async function coldStart ({ boot, probes, random }, { pods, seed }) {
  const clock = new Clock(random ?? randomOf(seed))
  const database = new Database(clock, { capacity: CAPACITY, latency: LATENCY })
  const fleet = { restarts: 0, ready: [] }
  database.fail('refuses')
  start(pods, boot, { clock, database, probes }, fleet)
  await clock.runUntil(BOOT + COLD)
  return database.countsIn(BOOT, BOOT + COLD)
}

function start (pods, boot, context, fleet) {
  return Array.from({ length: pods }, () => new Pod(context.clock, (...args) => boot(context, ...args), fleet))
}
