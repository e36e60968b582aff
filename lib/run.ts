import type { Result } from './result.js'

/** One run of a check, from the call of its function until what that gave back settles, which may be never. */
export class Run {
  /** Runs out when the check takes too long. */
  timer: unknown
  /** `late`: it took too long. What it still comes to is of no interest, but that it settles is. */
  state: 'running' | 'late' | 'settled' = 'running'
  /** What the check says that it waits for. */
  awaiting: string | undefined
  #aborted: DOMException | undefined
  #controller: AbortController | undefined
  #result: Promise<Result> | undefined
  #resolve: ((result: Result) => void) | undefined

  /** @param startedAt in ms of the monotonic clock */
  constructor (readonly startedAt: number, readonly checkedAt: number) {}

  /** For all who wait for this run; made when the first does. */
  get result (): Promise<Result> {
    this.#result ??= new Promise(resolve => { this.#resolve = resolve })
    return this.#result
  }

  /** For the check; made when it is first read. */
  get signal (): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#aborted !== undefined) this.#controller.abort(this.#aborted)
    return this.#controller.signal
  }

  resolve (result: Result): void {
    this.#resolve?.(result)
  }

  abort (reason: DOMException): void {
    this.#aborted = reason
    this.#controller?.abort(reason)
  }
}
