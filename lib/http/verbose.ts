import type { FastifyRequest } from 'fastify'
import type { HealthzOptions } from '../../types/options.js'
import type { Problem } from '../../types/wire.js'
import type { Holds } from '../engine/holds.js'
import type { Lifecycle } from '../engine/lifecycle.js'
import type { HealthzLog } from '../telemetry/log.js'
import { type ProbeRun, type Probe, withChecks } from '../engine/probe.js'
import type { Time } from '../clock.js'

/** Maximum number shown. */
const MAX_HOLDS = 100

/** The query of a request for details: `?verbose` or `?exclude=`. Any other query is ignored. */
export function detailsQuery (url: string): URLSearchParams | undefined {
  if (!url.includes('?')) return undefined
  const query = new URLSearchParams(url.slice(url.indexOf('?')))
  return query.has('verbose') || query.has('exclude') ? query : undefined
}

/**
 * Runs probes with the queries `?verbose` and `?exclude=`, and single checks, for clients that the option `details`
 * authorizes. For all other clients none of this exists.
 */
export class VerboseAccess {
  /** @param timeout of the option's function, in ms */
  constructor (
    private readonly option: NonNullable<HealthzOptions['details']>,
    private readonly timeout: number,
    private readonly time: Time,
    private readonly log: Pick<HealthzLog, 'detailsRefused'>,
    private readonly lifecycle: Pick<Lifecycle, 'bootMs'>,
    private readonly holds: Pick<Holds, 'list'>
  ) {}

  /** Runs a probe for a request for details. */
  async run (probe: Probe, query: URLSearchParams, request: FastifyRequest): Promise<ProbeRun> {
    if (!await this.#authorize(probe, request)) return probe.run()
    const excluded = query.getAll('exclude').filter(name => probe.get(name) !== undefined)
    const outcome = await probe.run(excluded.length > 0 ? new Set(excluded) : undefined)
    return query.has('verbose') ? { ...outcome, problem: this.#describe(probe, outcome) } : outcome
  }

  /** Runs a single check; `undefined` if the probe has no such check, or the client isn't authorized. */
  async runOne (probe: Probe, name: string, request: FastifyRequest): Promise<ProbeRun | undefined> {
    if (!await this.#authorize(probe, request)) return undefined
    const check = probe.get(name)
    if (check === undefined) return undefined
    const outcome = await probe.runOne(check)
    return { ...outcome, problem: withChecks(outcome) }
  }

  /** The outcome with its checks and the state of the app. */
  #describe (probe: Probe, outcome: ProbeRun): Problem {
    const { bootMs } = this.lifecycle
    const holds = this.holds.list.slice(0, MAX_HOLDS)
    return {
      ...withChecks(outcome),
      ...(probe.permanent && bootMs !== null && { bootMs }),
      ...(holds.length > 0 && { holds })
    }
  }

  async #authorize (probe: Probe, request: FastifyRequest): Promise<boolean> {
    const authorized = await this.isAuthorized(request)
    if (!authorized) this.log.detailsRefused(probe.name)
    return authorized
  }

  /** A function that throws, rejects, exceeds the timeout, or returns anything but `true` doesn't authorize. */
  async isAuthorized (request: FastifyRequest): Promise<boolean> {
    const { option, time } = this
    if (typeof option === 'boolean') return option
    let timer: unknown
    const timeout = new Promise<false>(resolve => { timer = time.start(() => resolve(false), this.timeout) })
    return Promise.race([(async () => option(request))(), timeout])
      .then(answer => answer === true, () => false)
      .finally(() => time.cancel(timer))
  }
}
