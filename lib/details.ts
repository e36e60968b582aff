import type { FastifyRequest } from 'fastify'
import type { HealthzOptions } from '../types/options.js'
import type { Problem } from '../types/wire.js'
import type { HealthzLog } from './log.js'
import { type Probe, withChecks } from './probe.js'
import type { Time } from './time.js'

/** What operators may ask of a probe, and who is one. To anybody else it is as if none of this existed. */
export class Details {
  /** @param timeout of the option's function, in ms */
  constructor (
    private readonly option: NonNullable<HealthzOptions['details']>,
    private readonly timeout: number,
    private readonly time: Time,
    private readonly log: HealthzLog
  ) {}

  /** Whether there can be an operator at all. */
  get everAllowed (): boolean {
    return this.option !== false
  }

  /** Answers a request that has a query. `?verbose` and `?exclude=` count, and for operators only. */
  async ask (probe: Probe, request: FastifyRequest): Promise<Problem> {
    const query = new URLSearchParams(request.url.slice(request.url.indexOf('?')))
    const verbose = query.has('verbose')
    const leftOut = query.getAll('exclude').filter(name => probe.get(name) !== undefined)
    const asked = verbose || query.has('exclude')
    if (asked && await this.#allowed(request)) {
      const outcome = await probe.run(leftOut.length > 0 ? new Set(leftOut) : undefined)
      return verbose ? withChecks(outcome) : outcome.problem
    }
    if (asked) this.log.detailsRefused(probe.name)
    return (await probe.run()).problem
  }

  /** Answers a request for one check alone; `undefined` if there is none for this request. */
  async askOne (probe: Probe, name: string, request: FastifyRequest): Promise<Problem | undefined> {
    if (!await this.#allowed(request)) {
      this.log.detailsRefused(probe.name)
      return undefined
    }
    const check = probe.get(name)
    return check && withChecks(await probe.runOne(check))
  }

  /** A function that throws, rejects, takes longer than the timeout, or gives back anything but `true`, means no. */
  async #allowed (request: FastifyRequest): Promise<boolean> {
    const { option, time } = this
    if (typeof option === 'boolean') return option
    let timer: unknown
    const late = new Promise<false>(resolve => { timer = time.start(() => resolve(false), this.timeout) })
    const asked = (async () => option(request))()
    return Promise.race([asked, late])
      .then(answer => answer === true, () => false)
      .finally(() => time.cancel(timer))
  }
}
