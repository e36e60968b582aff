import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import type { CheckContext } from '../types/check.js'
import type { CheckPlan } from './engine/transitions.js'
import type { Run } from './engine/run.js'

/** The argument of a check, for one run. Its logger and its signal are created on first read. */
export class Context implements CheckContext {
  readonly probe: string
  readonly check: string
  readonly timeout: number
  readonly #run: Run
  #log: FastifyBaseLogger | undefined

  constructor (
    readonly app: FastifyInstance,
    { probe, name, timeout }: CheckPlan,
    run: Run
  ) {
    this.probe = probe
    this.check = name
    this.timeout = timeout
    this.#run = run
  }

  get awaiting (): string | undefined {
    return this.#run.awaiting
  }

  set awaiting (awaiting: string | undefined) {
    this.#run.awaiting = awaiting
  }

  get data (): CheckContext['data'] {
    return this.#run.data as CheckContext['data']
  }

  set data (data: CheckContext['data']) {
    this.#run.data = data
  }

  get signal (): AbortSignal {
    return this.#run.signal
  }

  get log (): FastifyBaseLogger {
    this.#log ??= this.app.log.child({ probe: this.probe, check: this.check })
    return this.#log
  }
}
