import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyInstance } from 'fastify'
import fp from 'fastify-plugin'
import { Counter, Gauge, Histogram, type OpenMetricsContentType, register as globalRegistry, type Registry } from 'prom-client'
import type { CheckOutcome, CheckRun, Healthz, HealthzChange } from '../types/healthz.js'
import { healthzError } from './errors.js'
import { refuse, refuseUnknown } from './refusal.js'

/**
 * The plugin that tells Prometheus of the probes and checks of the `fastify-healthz` that was registered before it. A
 * scrape reads the last results, and runs nothing. The metrics leave the registry when the app closes.
 * @throws HEALTHZ_ERR_METRIC_EXISTS, HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
async function prometheus (fastify: FastifyInstance, options: prometheus.PrometheusOptions): Promise<void> {
  refuseUnknown('', options, ['register'])
  const { register = globalRegistry } = options
  // By what it can do: fastify-metrics may have a prom-client of its own.
  if (typeof register?.registerMetric !== 'function') refuse('register', 'a registry of prom-client', register)
  const { healthz } = fastify
  const metrics = new Metrics(healthz)
  // Taken now, because a scrape in the format of OpenMetrics renames counters.
  const names = metrics.all.map(metric => (metric as unknown as { readonly name: string }).name)
  for (const name of names) {
    if (register.getSingleMetric(name) !== undefined) throw healthzError('HEALTHZ_ERR_METRIC_EXISTS', name)
  }
  for (const metric of metrics.all) register.registerMetric<string>(metric)

  const ran = (message: unknown): void => {
    const run = message as CheckRun
    // The channel is the process's.
    if ((run.app as FastifyInstance).healthz === healthz) metrics.ran(run)
  }
  subscribe('fastify-healthz:check', ran)
  healthz.onChange(change => metrics.changed(change))
  fastify.addHook('onClose', async () => {
    unsubscribe('fastify-healthz:check', ran)
    for (const name of names) register.removeSingleMetric(name)
  })
}

const OUTCOMES: readonly CheckOutcome[] = ['pass', 'warn', 'fail']
/** In seconds: from a check that reads a flag to one with a long timeout. */
const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const PROBE = ['probe'] as const
const CHECK = ['probe', 'check'] as const

/** Those of one app. Of several processes with one registry, as in a cluster, the worst and the latest are told. */
class Metrics {
  readonly #healthz: Healthz
  /** The labels of the checks that have run. */
  readonly #seen = new Map<string, Pick<CheckRun, 'probe' | 'check'>>()

  readonly #probeUp = new Gauge({
    name: 'healthz_probe_up',
    help: 'Whether the probe passed (1) or failed (0) when it was last asked',
    labelNames: PROBE,
    aggregator: 'min',
    registers: [],
    collect: () => this.#readProbes()
  })

  readonly #probeChange = new Gauge({
    name: 'healthz_probe_last_change_timestamp_seconds',
    help: 'When the probe began to pass or to fail, as a Unix timestamp',
    labelNames: PROBE,
    aggregator: 'max',
    registers: []
  })

  readonly #checkUp = new Gauge({
    name: 'healthz_check_up',
    help: 'Whether the last run of the check passed (1) or failed (0), critical or not',
    labelNames: CHECK,
    aggregator: 'min',
    registers: [],
    collect: () => this.#readChecks()
  })

  readonly #checkChange = new Gauge({
    name: 'healthz_check_last_change_timestamp_seconds',
    help: 'When the check began to pass or to fail, as a Unix timestamp',
    labelNames: CHECK,
    aggregator: 'max',
    registers: [],
    collect: () => this.#prune()
  })

  readonly #durations = new Histogram({
    name: 'healthz_check_duration_seconds',
    help: 'How long the runs of the check took',
    labelNames: CHECK,
    buckets: BUCKETS,
    registers: [],
    collect: () => this.#prune()
  })

  readonly #runs = new Counter({
    name: 'healthz_check_runs_total',
    help: 'How often the check ran, by outcome: pass, fail, or warn for the failure of one that is not critical',
    labelNames: [...CHECK, 'outcome'],
    registers: [],
    collect: () => this.#prune()
  })

  readonly all = [this.#probeUp, this.#probeChange, this.#checkUp, this.#checkChange, this.#durations, this.#runs]

  constructor (healthz: Healthz) {
    this.#healthz = healthz
  }

  ran ({ probe, check, outcome, durationMs }: CheckRun): void {
    const labels = { probe, check }
    this.#seen.set(`${probe}/${check}`, labels)
    this.#durations.observe(labels, durationMs / 1000)
    // Every outcome is there from the first run on, so that a rate shows the first failure, too.
    for (const each of OUTCOMES) this.#runs.inc({ ...labels, outcome: each }, Number(each === outcome))
  }

  changed (change: HealthzChange): void {
    if (change.kind === 'probe') this.#probeChange.set({ probe: change.probe }, change.at / 1000)
    if (change.kind === 'check') this.#checkChange.set({ probe: change.probe, check: change.check }, change.at / 1000)
  }

  #readProbes (): void {
    for (const [probe, { outcome }] of Object.entries(this.#healthz.snapshot())) {
      if (outcome !== 'unknown') this.#probeUp.set({ probe }, Number(outcome === 'pass'))
    }
  }

  #readChecks (): void {
    this.#prune()
    const probes = this.#healthz.snapshot()
    for (const { probe, check } of this.#seen.values()) {
      this.#checkUp.set({ probe, check }, Number(probes[probe]!.checks[check]!.status === 'pass'))
    }
  }

  /** Nothing is told of a check that was taken away, nor of another one by its name that has not run yet. */
  #prune (): void {
    const probes = this.#healthz.snapshot()
    for (const [key, labels] of this.#seen) {
      if (probes[labels.probe]!.checks[labels.check]?.checkedAt) continue
      this.#seen.delete(key)
      for (const metric of [this.#checkUp, this.#checkChange, this.#durations]) metric.remove(labels)
      for (const outcome of OUTCOMES) this.#runs.remove({ ...labels, outcome })
    }
  }
}

declare namespace prometheus {
  export interface PrometheusOptions {
    /** Where the metrics are registered. Default: the global registry of prom-client. */
    register?: Registry | Registry<OpenMetricsContentType> | undefined
  }
  export { prometheus, prometheus as default }
}

fp(prometheus, { fastify: '5.x || 6.x', name: 'fastify-healthz-prometheus', dependencies: ['fastify-healthz'] })

// As in `index.ts`.
module.exports = prometheus
module.exports.default = prometheus
module.exports.prometheus = prometheus

export = prometheus
