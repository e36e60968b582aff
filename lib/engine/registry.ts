import type { ProbeSnapshot } from '../../types/healthz.js'
import { healthzError } from '../errors.js'
import type { Probe } from './probe.js'

/** The probes by name. */
export class Registry {
  readonly #probes: ReadonlyMap<string, Probe>

  /** @param off the names of disabled probes, for errors */
  constructor (probes: readonly Probe[], private readonly off: readonly string[]) {
    this.#probes = new Map(probes.map(probe => [probe.name, probe]))
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

  start (): void {
    for (const probe of this.probes) probe.start()
  }

  stop (): void {
    for (const probe of this.probes) probe.stop()
  }

  snapshot (): Record<string, ProbeSnapshot> {
    return Object.fromEntries([...this.probes].map(probe => [probe.name, probe.snapshot()]))
  }
}
