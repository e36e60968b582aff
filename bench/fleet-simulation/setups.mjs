// The ways to check a database: with the plugin's engine from dist/, and by the rules of two peers.
import { CheckRunner } from '../../dist/lib/engine/check.js'
import { Lifecycle } from '../../dist/lib/engine/lifecycle.js'
import { Probe } from '../../dist/lib/engine/probe.js'
import { policyOf } from '../../dist/lib/options/probe-policies.js'

/** How long a container takes until it listens, in ms. */
export const BOOT = 5000
/** Fastify's default `pluginTimeout`, in ms. */
const PLUGIN_TIMEOUT = 10_000

export const INTERVAL = 30_000
export const RETRY_INTERVAL = 5000

const DEFAULTS = { name: 'database', timeout: 800, critical: true, maxAge: 0, failureThreshold: 1, successThreshold: 1 }
const background = { interval: INTERVAL, retryInterval: RETRY_INTERVAL }

const READY = ['ready']
const BOTH = ['live', 'ready']

/**
 * In the order of the tables. `probes` are those that check the database: a probe without checks always passes, and isn't
 * simulated. `random` overrides the random numbers of the engine.
 */
export const SETUPS = [
  { id: 'plain', name: 'plain check', probes: READY, boot: engine({}) },
  { id: 'maxAge', name: '`maxAge: 25_000`', probes: READY, boot: engine({ maxAge: 25_000 }) },
  { id: 'fixed', name: '`interval: 30_000`, without jitter', probes: READY, boot: engine({ interval: INTERVAL }), random: () => 0.5 },
  { id: 'interval', name: '`interval: 30_000`, `retryInterval: 5000`', probes: READY, boot: engine(background) },
  { id: 'threshold', name: 'the same, `failureThreshold: 3`', probes: READY, boot: engine({ ...background, failureThreshold: 3 }) },
  { id: 'naive', name: 'plain check, in `live` as well', probes: BOTH, boot: engine({}) },
  { id: 'terminus', name: "terminus' rules, in readiness", probes: READY, boot: terminus },
  { id: 'terminus-live', name: "terminus' rules, in liveness as well", probes: BOTH, boot: terminus },
  { id: 'under-pressure', name: "under-pressure's rules, for both", probes: BOTH, boot: underPressure }
]

const ignore = () => {}
/** An observer that ignores everything. */
const nobody = new Proxy({}, { get: () => ignore })

/** The plugin's engine, with a check that passes its signal on, like the ready-made checks. */
function engine (options) {
  return ({ clock, database, probes }, client, listen) => clock.start(() => {
    const lifecycle = new Lifecycle(clock, nobody)
    const running = probes.map(name => {
      const probe = new Probe(name, `/healthz/${name}`, policyOf(name), lifecycle, nobody, clock)
      const plan = { ...DEFAULTS, probe: name, ...options }
      probe.add(new CheckRunner(plan, run => database.query(client, run), nobody, clock))
      return probe
    })
    lifecycle.serve()
    for (const probe of running) probe.start()
    listen({
      probe (name) {
        const run = running.find(probe => probe.name === name).run()
        return run instanceof Promise ? run.then(passes) : passes(run)
      },
      stop () {
        lifecycle.close()
        for (const probe of running) probe.stop()
      }
    })
  }, BOOT)
}

function passes ({ problem }) {
  return problem.status === 200
}

/** Each probe makes a query, and responds when it has settled. */
function terminus ({ clock, database }, client, listen) {
  clock.start(() => listen({ probe: () => passing(database.query(client)), stop () {} }), BOOT)
}

/**
 * `healthCheck` with `exposeStatusRoute`. It makes one query during the boot. If that fails, every route responds with 503
 * from then on. If it hangs, the boot times out. After a pass each probe makes a query.
 */
function underPressure ({ clock, database }, client, listen, exit) {
  clock.start(() => {
    const timeout = clock.start(exit, PLUGIN_TIMEOUT)
    passing(database.query(client)).then(healthy => {
      clock.cancel(timeout)
      if (client.alive) listen({ probe: () => healthy && passing(database.query(client)), stop () {} })
    })
  }, BOOT)
}

function passing (query) {
  return query.then(() => true, () => false)
}
