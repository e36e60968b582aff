import type { Attributes, BatchObservableResult, Counter, Histogram, Meter, ObservableUpDownCounter } from '@opentelemetry/api'
import type { CheckRun, DrainEnd, Healthz, LoopBlock, ProbeAbort } from '../../types/healthz.js'
import { STATES } from '../engine/lifecycle.js'
import { BUCKETS, type MessageMetrics, OUTCOMES, receiveMessages } from './metrics.js'

// Attributes are in the namespace of what they describe, and none is a namespace itself, so it is `healthz.probe.name`.
// Status metrics are up-down counters with a `state`, so that they can be summed over processes.
// https://opentelemetry.io/docs/specs/semconv/how-to-write-conventions/status-metrics
export const PROBE_NAME = 'healthz.probe.name'
export const CHECK_NAME = 'healthz.check.name'
export const CHECK_STATE = 'healthz.check.state'
const PROBE_STATE = 'healthz.probe.state'
const APP_STATE = 'healthz.app.state'

const PROBE_STATES = ['pass', 'fail'] as const

const OBSERVED = {
  'healthz.probe.status': { description: 'Whether the probe was in this state (1) or not (0) when it was last called', unit: '1' },
  'healthz.check.status': { description: 'Whether the check is in this state (1) or not (0)', unit: '1' },
  'healthz.app.status': { description: 'Whether the app is in this state (1) or not (0)', unit: '1' },
  'healthz.holds': { description: 'Jobs that keep the app from closing', unit: '{hold}' }
}
type Metric = keyof typeof OBSERVED

/** Boundaries for blocks of the event loop, in seconds. Shorter ones aren't reported. */
const BLOCK_BUCKETS = [1, 2.5, 5, 10, 30, 60]

/**
 * Exports the metrics of an app.
 * @returns a function that stops the export
 */
export function exportMetrics (meter: Meter, healthz: Healthz): () => void {
  const end = receiveMessages(healthz, new Received(meter, Object.keys(healthz.snapshot())))
  const boot = meter.createGauge('healthz.boot.duration', {
    description: 'Time from the start of the process until the app served', unit: 's'
  })
  healthz.onChange(change => {
    if (change.kind === 'state' && change.to === 'serving') boot.record(healthz.bootMs! / 1000)
  })
  const observed = Observed.by(meter)
  observed.add(healthz)
  return () => {
    end()
    observed.remove(healthz)
  }
}

/** The metrics that are updated by messages. The SDK sums those of several apps. */
class Received implements MessageMetrics {
  readonly #aborts: Counter
  readonly #durations: Histogram
  readonly #blocks: Histogram
  readonly #lateConnections: Counter

  constructor (meter: Meter, probes: readonly string[]) {
    this.#aborts = meter.createCounter('healthz.probe.aborted', {
      description: 'Requests whose client hung up before the response of the probe', unit: '{request}'
    })
    this.#durations = meter.createHistogram('healthz.check.duration', {
      description: 'Duration of the runs of the check, by its state after the run',
      unit: 's',
      advice: { explicitBucketBoundaries: BUCKETS }
    })
    this.#blocks = meter.createHistogram('healthz.loop.blocked.duration', {
      description: 'Duration of event loop blocks of a second or longer, with listen.thread',
      unit: 's',
      advice: { explicitBucketBoundaries: BLOCK_BUCKETS }
    })
    this.#lateConnections = meter.createCounter('healthz.drain.late_connections', {
      description: 'Connections opened in the last second of a drain, except those of probers', unit: '{connection}'
    })
    // Exported from the start, so that an increase includes the first one.
    for (const probe of probes) this.#aborts.add(0, { [PROBE_NAME]: probe })
    this.#lateConnections.add(0)
  }

  ran ({ probe, check, outcome, durationMs }: CheckRun): void {
    this.#durations.record(durationMs / 1000, { [PROBE_NAME]: probe, [CHECK_NAME]: check, [CHECK_STATE]: outcome })
  }

  aborted ({ probe }: ProbeAbort): void {
    this.#aborts.add(1, { [PROBE_NAME]: probe })
  }

  blocked ({ blockedMs }: LoopBlock): void {
    this.#blocks.record(blockedMs / 1000)
  }

  drained ({ newConnections }: DrainEnd): void {
    this.#lateConnections.add(newConnections)
  }
}

/**
 * The metrics that are read when they are collected. Of several observations with the same attributes the SDK keeps one, and
 * it keeps the last one when there are no more. So the values of all apps of the process are summed here, and those that
 * disappear are observed as 0.
 */
class Observed {
  static readonly #meters = new WeakMap<Meter, Observed>()

  static by (meter: Meter): Observed {
    const observed = Observed.#meters.get(meter) ?? new Observed(meter)
    Observed.#meters.set(meter, observed)
    return observed
  }

  readonly #apps = new Set<Healthz>()
  readonly #meter: Meter
  readonly #instruments: Readonly<Record<Metric, ObservableUpDownCounter>>
  /** The values of the last collection, by metric and attributes as JSON. */
  #last: ReadonlyMap<string, number> = new Map()

  private constructor (meter: Meter) {
    this.#meter = meter
    this.#instruments = Object.fromEntries(Object.entries(OBSERVED).map(([name, options]) =>
      [name, meter.createObservableUpDownCounter(name, options)]
    )) as Record<Metric, ObservableUpDownCounter>
  }

  add (healthz: Healthz): void {
    this.#apps.add(healthz)
    // A no-op if the callback is already registered.
    this.#meter.addBatchObservableCallback(this.#observe, Object.values(this.#instruments))
  }

  /** After the last app the callback stays for one more collection, which observes 0. */
  remove (healthz: Healthz): void {
    this.#apps.delete(healthz)
  }

  readonly #observe = (result: BatchObservableResult): void => {
    const values = new Map<string, number>()
    for (const healthz of this.#apps) {
      for (const [metric, attributes, value] of readings(healthz)) {
        const key = JSON.stringify([metric, attributes])
        values.set(key, (values.get(key) ?? 0) + Number(value))
      }
    }
    for (const key of new Set([...this.#last.keys(), ...values.keys()])) {
      const [metric, attributes] = JSON.parse(key) as [Metric, Attributes]
      result.observe(this.#instruments[metric], values.get(key) ?? 0, attributes)
    }
    this.#last = values
    if (this.#apps.size === 0) this.#meter.removeBatchObservableCallback(this.#observe, Object.values(this.#instruments))
  }
}

/** The last results of an app. Runs no check. */
function * readings (healthz: Healthz): Generator<[Metric, Attributes, boolean | number]> {
  const { holds, state: current } = healthz
  yield ['healthz.holds', {}, holds.length]
  for (const state of STATES) yield ['healthz.app.status', { [APP_STATE]: state }, state === current]
  for (const [probe, { outcome, checks }] of Object.entries(healthz.snapshot())) {
    const name = { [PROBE_NAME]: probe }
    if (outcome !== 'unknown') {
      for (const state of PROBE_STATES) yield ['healthz.probe.status', { ...name, [PROBE_STATE]: state }, state === outcome]
    }
    for (const [check, { status, checkedAt }] of Object.entries(checks)) {
      if (checkedAt === null) continue
      for (const state of OUTCOMES) {
        yield ['healthz.check.status', { ...name, [CHECK_NAME]: check, [CHECK_STATE]: state }, state === status]
      }
    }
  }
}
