import type { Result } from './evaluate.js'

/** One run of a check, from the call of its function until the returned promise settles, which may be never. */
export class Run {
  /** `late`: it timed out, and is still pending. */
  state: 'running' | 'late' | 'settled' = 'running'
  /** Names what the check is waiting for. Set by the check. */
  awaiting: string | undefined
  /** Data for operators. Set by the check, so it may be of any type. Read when the run ends or times out. */
  data: unknown
  /** The timer of its timeout. A synchronous run has none. */
  timer: unknown
  #result: Result | undefined
  #promise: Promise<Result> | undefined
  #resolve: ((result: Result) => void) | undefined
  #aborted: DOMException | undefined
  #controller: AbortController | undefined

  /**
   * @param startedAt in ms of the monotonic clock
   * @param checkedAt the same moment in ms since the epoch
   */
  constructor (readonly startedAt: number, readonly checkedAt: number) {}

  get result (): Result | undefined {
    return this.#result
  }

  /** Resolves with the first result. Created on first read, which must precede it, so that a synchronous run costs none. */
  get promise (): Promise<Result> {
    this.#promise ??= new Promise(resolve => { this.#resolve = resolve })
    return this.#promise
  }

  resolve (result: Result): void {
    this.#result = result
    this.#resolve?.(result)
  }

  /** For the check. Created on first read. */
  get signal (): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#aborted !== undefined) this.#controller.abort(this.#aborted)
    return this.#controller.signal
  }

  /** Whether the check has read its signal. If so, it may settle after its timeout because of the abort. */
  get signalled (): boolean {
    return this.#controller !== undefined
  }

  abort (reason: DOMException): void {
    this.#aborted = reason
    this.#controller?.abort(reason)
  }
}
