import type { ProbeSnapshot } from '../types/healthz.js'
import type { CheckRunner } from './check.js'
import { healthzError } from './errors.js'
import type { Probe } from './probe.js'

/** The probes by name. */
export class Registry {
  readonly #probes: ReadonlyMap<string, Probe>
  #state: 'new' | 'started' | 'stopped' = 'new'

  constructor (probes: Iterable<Probe>, private readonly off: readonly string[]) {
    this.#probes = new Map([...probes].map(probe => [probe.name, probe]))
  }

  get probes (): Iterable<Probe> {
    return this.#probes.values()
  }

  /** @throws HEALTHZ_ERR_PROBE_OFF, HEALTHZ_ERR_PROBE_UNKNOWN */
  get (name: string): Probe {
    const probe = this.#probes.get(name)
    if (probe !== undefined) return probe
    if (this.off.includes(name)) throw healthzError('HEALTHZ_ERR_PROBE_OFF', name)
    throw healthzError('HEALTHZ_ERR_PROBE_UNKNOWN', name, [...this.#probes.keys()].map(name => `\`${name}\``).join(', '))
  }

  /**
   * @returns what takes it away again
   * @throws HEALTHZ_ERR_CHECK_EXISTS, HEALTHZ_ERR_STARTUP_PASSED
   */
  add (probe: Probe, check: CheckRunner): () => void {
    const { name } = check.plan
    if (probe.passedForGood) throw healthzError('HEALTHZ_ERR_STARTUP_PASSED', name)
    if (probe.get(name) !== undefined) throw healthzError('HEALTHZ_ERR_CHECK_EXISTS', probe.name, name)
    probe.add(check)
    if (this.#state === 'started') check.start()
    if (this.#state === 'stopped') check.stop()
    return () => probe.remove(check)
  }

  /** The checks that run in the background begin; one that is added later begins at once. */
  start (): void {
    this.#state = 'started'
    for (const probe of this.probes) probe.start()
  }

  /** No check runs any more, nor one that is added later. */
  stop (): void {
    this.#state = 'stopped'
    for (const probe of this.probes) probe.stop()
  }

  snapshot (): Record<string, ProbeSnapshot> {
    return Object.fromEntries([...this.probes].map(probe => [probe.name, probe.snapshot()]))
  }
}
