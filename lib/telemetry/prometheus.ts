import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import type { Counter, Gauge, Histogram, Metric } from 'prom-client'
import type { CheckRun, DrainEnd, Healthz, HealthzChange, LoopBlock, ProbeAbort } from '../../types/healthz.js'
import { STATES } from '../engine/lifecycle.js'
import { healthzError } from '../errors.js'
import { BUCKETS, type MessageMetrics, OUTCOMES, receiveMessages } from './metrics.js'
import { type Client, findClient } from './prometheus-client.js'
import { expectBoolean, refuse, refuseUnknown } from '../validate.js'

/**
 * Exports metrics of the probes and checks of the `fastify-healthz` registered before it to Prometheus. A scrape reads the
 * last results and runs no check. The metrics are removed from the registry when the app closes.
 * @throws HEALTHZ_ERR_METRIC_EXISTS, HEALTHZ_ERR_METRICS_CLIENT_AMBIGUOUS, HEALTHZ_ERR_METRICS_CLIENT_MISSING,
 * HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
async function prometheus (fastify: FastifyInstance, options: prometheus.PrometheusOptions): Promise<void> {
  refuseUnknown('', options, ['register', 'data'])
  const { register: given, data = false } = options
  expectBoolean('data', data)
  // Not by `instanceof`: several copies of a client may be installed.
  if (given !== undefined && typeof given?.registerMetric !== 'function') {
    refuse('register', 'a registry of @prometheus-io/client or prom-client', given)
  }
  const { client, register }: { client: Client, register: prometheus.MetricsRegistry } = findClient(given)
  const { healthz } = fastify
  const metrics = new Metrics(client, healthz, data)
  // Read now: a scrape in the OpenMetrics format renames counters.
  const names = metrics.all.map(metric => (metric as unknown as { readonly name: string }).name)
  for (const name of names) {
    if (register.getSingleMetric(name) !== undefined) throw healthzError('HEALTHZ_ERR_METRIC_EXISTS', name)
  }
  for (const metric of metrics.all) register.registerMetric(metric)

  const end = receiveMessages(healthz, metrics)
  healthz.onChange(change => metrics.changed(change))
  fastify.addHook('onClose', async () => {
    end()
    for (const name of names) register.removeSingleMetric(name)
  })
}

const PROBE = ['probe'] as const
const CHECK = ['probe', 'check'] as const

/** The metrics of one app. Aggregated over a cluster, they are the worst outcome and the latest change. */
class Metrics implements MessageMetrics {
  readonly #healthz: Healthz
  /** The labels of each check that has run. */
  readonly #seen = new Map<string, Pick<CheckRun, 'probe' | 'check'>>()
  readonly #probeUp: Gauge<'probe'>
  readonly #probeChange: Gauge<'probe'>
  readonly #aborts: Counter<'probe'>
  readonly #checkUp: Gauge<'probe' | 'check'>
  readonly #checkChange: Gauge<'probe' | 'check'>
  readonly #durations: Histogram<'probe' | 'check'>
  readonly #runs: Counter<'probe' | 'check' | 'outcome'>
  /** Requires the option `data`. */
  readonly #data: Gauge<'probe' | 'check' | 'key'> | undefined
  readonly #state: Gauge<'state'>
  readonly #holds: Gauge
  readonly #boot: Gauge
  readonly #lateConnections: Counter
  readonly #blocks: Counter
  readonly #blockedSeconds: Counter
  readonly all: readonly Metric[]
  #collected = false

  constructor ({ Counter, Gauge, Histogram }: Client, healthz: Healthz, data: boolean) {
    this.#healthz = healthz
    // Each metric collects, since one may be read without the others.
    const common = { registers: [], collect: () => this.#collectOnce() }
    this.#probeUp = new Gauge({
      ...common,
      name: 'healthz_probe_up',
      help: 'Whether the probe passed (1) or failed (0) when it was last called',
      labelNames: PROBE,
      aggregator: 'min'
    })
    this.#probeChange = new Gauge({
      ...common,
      name: 'healthz_probe_last_change_timestamp_seconds',
      help: 'Time of the last change of the outcome of the probe, as a Unix timestamp',
      labelNames: PROBE,
      aggregator: 'max'
    })
    this.#aborts = new Counter({
      ...common,
      name: 'healthz_probe_aborted_total',
      help: 'Requests whose client hung up before the response of the probe',
      labelNames: PROBE
    })
    this.#checkUp = new Gauge({
      ...common,
      name: 'healthz_check_up',
      help: 'Whether the check passes (1), or fails or warns (0), critical or not',
      labelNames: CHECK,
      aggregator: 'min'
    })
    this.#checkChange = new Gauge({
      ...common,
      name: 'healthz_check_last_change_timestamp_seconds',
      help: 'Time of the last change of the outcome of the check, as a Unix timestamp',
      labelNames: CHECK,
      aggregator: 'max'
    })
    this.#durations = new Histogram({
      ...common,
      name: 'healthz_check_duration_seconds',
      help: 'Duration of the runs of the check',
      labelNames: CHECK,
      buckets: BUCKETS
    })
    this.#runs = new Counter({
      ...common,
      name: 'healthz_check_runs_total',
      help: 'Runs of the check by outcome: pass, fail, or warn for a failure that is tolerated or not critical',
      labelNames: [...CHECK, 'outcome']
    })
    if (data) {
      this.#data = new Gauge({
        ...common,
        name: 'healthz_check_data',
        help: 'Numbers that the last run of the check set',
        labelNames: [...CHECK, 'key'],
        aggregator: 'max'
      })
    }
    this.#state = new Gauge({
      ...common,
      name: 'healthz_state',
      help: 'Whether the app is in this state (1) or not (0)',
      labelNames: ['state']
    })
    this.#holds = new Gauge({
      ...common,
      name: 'healthz_holds',
      help: 'Jobs that keep the app from closing'
    })
    this.#boot = new Gauge({
      ...common,
      name: 'healthz_boot_seconds',
      help: 'Time from the start of the process until the app served',
      aggregator: 'max'
    })
    this.#lateConnections = new Counter({
      ...common,
      name: 'healthz_drain_late_connections_total',
      help: 'Connections opened in the last second of a drain, except those of probers'
    })
    this.#blocks = new Counter({
      ...common,
      name: 'healthz_loop_blocked_total',
      help: 'Times the event loop was blocked for a second or longer, with listen.thread'
    })
    this.#blockedSeconds = new Counter({
      ...common,
      name: 'healthz_loop_blocked_seconds_total',
      help: 'Total duration of event loop blocks of a second or longer, with listen.thread'
    })
    this.all = [
      this.#probeUp, this.#probeChange, this.#aborts, this.#checkUp, this.#checkChange, this.#durations, this.#runs,
      ...this.#data === undefined ? [] : [this.#data],
      this.#state, this.#holds, this.#boot, this.#lateConnections, this.#blocks, this.#blockedSeconds
    ]
  }

  ran ({ probe, check, outcome, durationMs }: CheckRun): void {
    const labels = { probe, check }
    this.#seen.set(`${probe}/${check}`, labels)
    this.#durations.observe(labels, durationMs / 1000)
    // All outcomes are exported from the first run on, so a rate includes the first failure.
    for (const each of OUTCOMES) this.#runs.inc({ ...labels, outcome: each }, Number(each === outcome))
  }

  aborted ({ probe }: ProbeAbort): void {
    this.#aborts.inc({ probe })
  }

  blocked ({ blockedMs }: LoopBlock): void {
    this.#blocks.inc()
    this.#blockedSeconds.inc(blockedMs / 1000)
  }

  drained ({ newConnections }: DrainEnd): void {
    this.#lateConnections.inc(newConnections)
  }

  changed (change: HealthzChange): void {
    if (change.kind === 'probe') this.#probeChange.set({ probe: change.probe }, change.at / 1000)
    if (change.kind === 'check') this.#checkChange.set({ probe: change.probe, check: change.check }, change.at / 1000)
  }

  /** A scrape reads all metrics in one turn. */
  #collectOnce (): void {
    if (this.#collected) return
    this.#collected = true
    queueMicrotask(() => { this.#collected = false })
    this.#collect()
  }

  /** Reads the last results, and drops the series of checks that were removed, or replaced by one that has not run yet. */
  #collect (): void {
    const { holds, bootMs, state } = this.#healthz
    const probes = this.#healthz.snapshot()
    for (const each of STATES) this.#state.set({ state: each }, Number(each === state))
    this.#holds.set(holds.length)
    if (bootMs === null) this.#boot.remove()
    else this.#boot.set(bootMs / 1000)
    for (const [probe, { outcome }] of Object.entries(probes)) {
      // Exported from the start, so that an increase includes the first one.
      this.#aborts.inc({ probe }, 0)
      if (outcome !== 'unknown') this.#probeUp.set({ probe }, Number(outcome === 'pass'))
    }
    // Each run may set different keys.
    this.#data?.reset()
    for (const [key, labels] of this.#seen) {
      const report = probes[labels.probe]!.checks[labels.check]
      if (report?.checkedAt) {
        this.#checkUp.set(labels, Number(report.status === 'pass'))
        for (const [key, value] of Object.entries(report.data ?? {})) {
          if (typeof value === 'number') this.#data?.set({ ...labels, key }, value)
        }
        continue
      }
      this.#seen.delete(key)
      for (const metric of [this.#checkUp, this.#checkChange, this.#durations]) metric.remove(labels)
      for (const outcome of OUTCOMES) this.#runs.remove({ ...labels, outcome })
    }
  }
}

declare namespace prometheus {
  /**
   * The required methods of a registry. Both the `Registry` of `@prometheus-io/client` and that of `prom-client` have
   * them, and the type compiles where only one of the two is installed.
   */
  export interface MetricsRegistry {
    registerMetric (metric: object): void
    getSingleMetric (name: string): object | undefined
    removeSingleMetric (name: string): void
  }
  export interface PrometheusOptions {
    /**
     * The scraped registry, from `@prometheus-io/client` or `prom-client`. Required if both are installed. Default: the
     * global registry of the installed client.
     */
    register?: MetricsRegistry | undefined
    /** Export the numbers in the data of checks, up to 20 series per check. Default: `false`. */
    data?: boolean | undefined
  }
  export { prometheus, prometheus as default }
}

fp(prometheus, { fastify: '5.x || 6.x', name: 'fastify-healthz-prometheus', dependencies: ['fastify-healthz'] })

// As in `index.ts`.
module.exports = prometheus
module.exports.default = prometheus
module.exports.prometheus = prometheus

export = prometheus
