import type { AddressInfo } from 'node:net'
import type { Check, CheckOptions } from '../types/check.js'
import type { Healthz, HealthzChange, ProbeResult, ProbeSnapshot, State } from '../types/healthz.js'
import { type CheckSettings, readNamedCheck } from './check-options.js'
import type { CheckRunner } from './check.js'
import type { Events } from './events.js'
import { DRAIN_MS, type Lifecycle } from './lifecycle.js'
import { type Probe, withChecks } from './probe.js'
import { expectMs, refuse } from './refusal.js'
import type { Registry } from './registry.js'

/** `app.healthz`: what other plugins and the app itself may do. Its docs are in `types/healthz.ts`. */
export class Decorator implements Healthz {
  readonly #registry: Registry
  readonly #lifecycle: Lifecycle
  readonly #events: Events
  readonly #timeout: number
  readonly #build: (probe: Probe, settings: CheckSettings<Check>) => CheckRunner
  readonly #address: () => AddressInfo | null

  /** @param timeout of a check that doesn't say otherwise, in ms */
  constructor (
    registry: Registry, lifecycle: Lifecycle, events: Events, timeout: number,
    build: (probe: Probe, settings: CheckSettings<Check>) => CheckRunner,
    address: () => AddressInfo | null
  ) {
    this.#registry = registry
    this.#lifecycle = lifecycle
    this.#events = events
    this.#timeout = timeout
    this.#build = build
    this.#address = address
  }

  get state (): State {
    return this.#lifecycle.state
  }

  get address (): AddressInfo | null {
    return this.#address()
  }

  add (probeName: string, name: string, given: Check | (CheckOptions & { readonly check: Check })): () => void {
    const probe = this.#registry.get(probeName)
    const settings = readNamedCheck(probeName, name, given, this.#timeout)
    const { check, option } = settings
    if (typeof check !== 'function') refuse(option, 'a function, since a module can only be loaded while the app boots', check)
    return this.#registry.add(probe, this.#build(probe, { ...settings, check }))
  }

  async run (probe: string): Promise<ProbeResult> {
    return withChecks(await this.#registry.get(probe).run())
  }

  snapshot (): Record<string, ProbeSnapshot> {
    return this.#registry.snapshot()
  }

  async drain (delay = DRAIN_MS): Promise<void> {
    await this.#lifecycle.drain(expectMs('delay', delay, 0))
  }

  onChange (listener: (change: HealthzChange) => unknown): () => void {
    if (typeof listener !== 'function') refuse('listener', 'a function', listener)
    return this.#events.onChange(listener)
  }
}
