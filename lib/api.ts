import type { AddressInfo } from 'node:net'
import type { Check, CheckOptions } from '../types/check.js'
import type { Healthz, HealthzChange, ProbeResult, ProbeSnapshot, Release, State } from '../types/healthz.js'
import type { Hold } from '../types/wire.js'
import { readNamedCheck } from './options/check-options.js'
import type { CheckPlan } from './engine/transitions.js'
import type { CheckRunner } from './engine/check.js'
import type { Events } from './telemetry/events.js'
import type { Holds } from './engine/holds.js'
import type { Lifecycle } from './engine/lifecycle.js'
import { withChecks } from './engine/probe.js'
import { truncate } from './truncate.js'
import { expectMs, expectText, refuse } from './validate.js'
import type { Registry } from './engine/registry.js'
import { PAGE_HOST, type PageHost } from './page-host.js'
import { RUN_WRAPPER, type RunWrapper } from './telemetry/run-wrapper.js'

/** The parts of one registration that the API works on. */
export interface HealthzParts {
  readonly registry: Registry
  readonly lifecycle: Lifecycle
  readonly holds: Holds
  readonly events: Events
  /** The default delay of a drain, in ms. */
  readonly drainDelay: number
  /** The default timeout of a check, in ms. */
  readonly timeout: number
  createRunner (plan: CheckPlan, check: Check): CheckRunner
  /** The separate server, once it listens. */
  probeServer?: { readonly address: AddressInfo } | undefined
}

/** Maximum size of the name of a hold, in bytes. */
const MAX_HOLD_BYTES = 100

/** `app.healthz`. Documented in `types/healthz.ts`. */
export class HealthzApi implements Healthz {
  [PAGE_HOST]: PageHost | undefined
  [RUN_WRAPPER]: RunWrapper | undefined
  readonly #parts: HealthzParts

  constructor (parts: HealthzParts) {
    this.#parts = parts
  }

  get state (): State {
    return this.#parts.lifecycle.state
  }

  get address (): AddressInfo | null {
    return this.#parts.probeServer?.address ?? null
  }

  get bootMs (): number | null {
    return this.#parts.lifecycle.bootMs
  }

  get holds (): Hold[] {
    return this.#parts.holds.list
  }

  get drainSignal (): AbortSignal {
    return this.#parts.lifecycle.drainSignal
  }

  hold (name: string): Release {
    const release = this.#parts.holds.hold(truncate(expectText('name', name), MAX_HOLD_BYTES))
    return Object.assign(() => release(), { [Symbol.dispose]: release })
  }

  add (probeName: string, name: string, given: Check | (CheckOptions & { readonly check: Check })): () => void {
    const { registry, timeout, createRunner } = this.#parts
    const probe = registry.get(probeName)
    const settings = readNamedCheck(probeName, name, given, timeout)
    const { check, option } = settings
    if (typeof check !== 'function') refuse(option, 'a function, since a module can only be loaded while the app boots', check)
    return probe.add(createRunner(settings, check))
  }

  async run (probe: string): Promise<ProbeResult> {
    return withChecks(await this.#parts.registry.get(probe).run())
  }

  snapshot (): Record<string, ProbeSnapshot> {
    return this.#parts.registry.snapshot()
  }

  drain (delay = this.#parts.drainDelay): Promise<void> {
    try {
      return this.#parts.lifecycle.drain(expectMs('delay', delay, 0))
    } catch (error) {
      return Promise.reject(error)
    }
  }

  onChange (listener: (change: HealthzChange) => unknown): () => void {
    if (typeof listener !== 'function') refuse('listener', 'a function', listener)
    return this.#parts.events.onChange(listener)
  }
}
