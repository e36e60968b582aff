import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import type { CheckContext } from '../types/check.js'
import type { Run } from './run.js'

/** What a check is called with, for one run of it. What costs something is made when it is read. */
export class Context implements CheckContext {
  readonly #run: Run
  #log: FastifyBaseLogger | undefined

  constructor (
    readonly app: FastifyInstance,
    readonly probe: string,
    readonly check: string,
    readonly timeout: number,
    run: Run
  ) {
    this.#run = run
  }

  get awaiting (): string | undefined {
    return this.#run.awaiting
  }

  set awaiting (what: string | undefined) {
    this.#run.awaiting = what
  }

  get signal (): AbortSignal {
    return this.#run.signal
  }

  get log (): FastifyBaseLogger {
    this.#log ??= this.app.log.child({ probe: this.probe, check: this.check })
    return this.#log
  }
}
