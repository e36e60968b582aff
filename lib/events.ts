import { channel } from 'node:diagnostics_channel'
import type { CheckRun, HealthzChange, ProbeChange, State } from '../types/healthz.js'
import type { HealthzLog } from './log.js'
import type { CheckPlan, Observer } from './news.js'
import type { ProbeObserver } from './probe.js'
import { isThenable, type Result } from './result.js'
import type { Time } from './time.js'
import { outcomeOf, wordsOf } from './verdict.js'

const changes = channel('fastify-healthz:change')
const runs = channel('fastify-healthz:check')

type Listener = (change: HealthzChange) => unknown

/** Where all that changes is told: to the log, to the listeners of `onChange`, to the diagnostics channels. */
export class Events implements Observer, ProbeObserver {
  readonly #listeners = new Set<{ readonly listener: Listener }>()
  readonly #queue: HealthzChange[] = []

  /** @param app is sent along on the channels, which are the process's */
  constructor (private readonly app: object, private readonly log: HealthzLog, private readonly time: Time) {}

  onChange (listener: Listener): () => void {
    const entry = { listener }
    this.#listeners.add(entry)
    return () => { this.#listeners.delete(entry) }
  }

  finished ({ probe, name, critical }: CheckPlan, result: Result): void {
    if (!runs.hasSubscribers) return
    const run: CheckRun = {
      app: this.app,
      probe,
      check: name,
      outcome: outcomeOf(critical, result.outcome),
      durationMs: result.durationMs!,
      ...failure(result)
    }
    runs.publish(run)
  }

  changed (plan: CheckPlan, from: Result['outcome'] | 'unknown', result: Result, lastedMs: number): void {
    const { probe, name, critical } = plan
    if (result.outcome === 'fail') this.log.failing(plan, result)
    else if (from === 'fail') this.log.recovered(plan, lastedMs)
    this.#emit({
      kind: 'check',
      probe,
      check: name,
      from: outcomeOf(critical, from),
      to: outcomeOf(critical, result.outcome),
      at: this.time.date(),
      lastedMs,
      ...failure(result)
    })
  }

  causeChanged (plan: CheckPlan, result: Result): void { this.log.causeChanged(plan, result) }
  overran (plan: CheckPlan, blockedMs: number): void { this.log.overran(plan, blockedMs) }
  stuck (plan: CheckPlan, runs: number, waitMs: number): void { this.log.stuck(plan, runs, waitMs) }

  probeChanged (change: Pick<ProbeChange, 'probe' | 'from' | 'to' | 'lastedMs' | 'title'>): void {
    this.#emit({ kind: 'probe', at: this.time.date(), ...change })
  }

  stateChanged (from: State, to: State, lastedMs: number): void {
    this.#emit({ kind: 'state', from, to, at: this.time.date(), lastedMs })
  }

  /** A change made by a listener waits until all have heard of the one before, so that everybody hears the same order. */
  #emit (change: HealthzChange): void {
    this.#queue.push(change)
    if (this.#queue.length > 1) return
    for (let next: HealthzChange | undefined = change; next !== undefined; next = this.#queue[0]) {
      for (const { listener } of [...this.#listeners]) this.#call(listener, next)
      if (changes.hasSubscribers) changes.publish({ app: this.app, ...next })
      this.#queue.shift()
    }
  }

  #call (listener: Listener, change: HealthzChange): void {
    try {
      const answer = listener(change)
      if (isThenable(answer)) Promise.resolve(answer).catch((error: unknown) => this.log.listenerFailed(error))
    } catch (error) {
      this.log.listenerFailed(error)
    }
  }
}

function failure (result: Result): { title?: string, error?: unknown } {
  if (result.outcome === 'pass') return {}
  const { error } = result
  return { title: wordsOf(result), ...(error !== undefined && { error }) }
}
