import type { Result } from './result.js'
import type { Deadline, Turn } from './turn.js'

/** One run of a check, from the call of its function until what that gave back settles, which may be never. */
export class Run {
  /** In ms of the monotonic clock. */
  readonly startedAt: number
  /** In ms since the epoch. */
  readonly checkedAt: number
  /** When it takes too long, if it isn't over at once. */
  deadline: Deadline | undefined
  /** `late`: it took too long. What it still comes to is of no interest, but that it settles is. */
  state: 'running' | 'late' | 'settled' = 'running'
  /** What the check says that it waits for. */
  awaiting: string | undefined
  #aborted: DOMException | undefined
  #controller: AbortController | undefined
  #result: Result | undefined
  #listeners: Array<(result: Result) => void> | undefined

  constructor (turn: Turn) {
    this.startedAt = turn.now
    this.checkedAt = turn.date
  }

  /** Calls back with the result, at once if there is one: it can be awaited, and costs no promise where it isn't. */
  then (listener: (result: Result) => void): void {
    if (this.#result !== undefined) listener(this.#result)
    else if (this.#listeners === undefined) this.#listeners = [listener]
    else this.#listeners.push(listener)
  }

  /** For the check; made when it is first read. */
  get signal (): AbortSignal {
    this.#controller ??= new AbortController()
    if (this.#aborted !== undefined) this.#controller.abort(this.#aborted)
    return this.#controller.signal
  }

  resolve (result: Result): void {
    this.#result = result
    if (this.#listeners === undefined) return
    for (const listener of this.#listeners) listener(result)
    this.#listeners = undefined
  }

  abort (reason: DOMException): void {
    this.#aborted = reason
    this.#controller?.abort(reason)
  }
}
