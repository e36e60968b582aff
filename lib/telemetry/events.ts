import { channel } from 'node:diagnostics_channel'
import type { CheckRun, DrainEnd, HealthzChange, LoopBlock, ProbeAbort, ProbeChange, State } from '../../types/healthz.js'
import type { HealthzLog } from './log.js'
import type { CheckPlan, Observer } from '../engine/transitions.js'
import type { ProbeObserver } from '../engine/probe.js'
import { isThenable, outcomeOf, type Result } from '../engine/evaluate.js'
import type { Time } from '../clock.js'
import { wordsOf } from '../engine/aggregate.js'

const changes = channel('fastify-healthz:change')
const runs = channel('fastify-healthz:check')
const aborts = channel('fastify-healthz:abort')
const drains = channel('fastify-healthz:drain')
const blocks = channel('fastify-healthz:block')

type Listener = (change: HealthzChange) => unknown

/** Observer for the thread of the separate port. It doesn't throw. */
export interface ThreadObserver {
  /** The event loop has recovered from a block. */
  loopBlocked (blockedMs: number, stack: string | undefined): void
  /** The thread has ended. The server listens itself, unless that failed as well. */
  threadDied (error: unknown, listenError?: Error): void
  /** The thread can't be started. The server listens itself. */
  threadUnavailable (error: unknown): void
}

/** Reports changes to the log, to `onChange` listeners and on the diagnostics channels. */
export class Events implements Observer, ProbeObserver, ThreadObserver {
  readonly #listeners = new Set<{ readonly listener: Listener }>()
  readonly #queue: HealthzChange[] = []

  /** @param app part of each message, since all apps of the process share the channels */
  constructor (private readonly app: object, private readonly log: HealthzLog, private readonly time: Time) {}

  onChange (listener: Listener): () => void {
    const entry = { listener }
    this.#listeners.add(entry)
    return () => { this.#listeners.delete(entry) }
  }

  finished (plan: CheckPlan, result: Result): void {
    if (runs.hasSubscribers) runs.publish(this.reportOf(plan, result))
  }

  /** The message for a run. */
  reportOf ({ probe, name, critical }: CheckPlan, result: Result): CheckRun {
    return {
      app: this.app,
      probe,
      check: name,
      outcome: outcomeOf(critical, result.outcome),
      durationMs: result.durationMs!,
      ...failure(result),
      ...(result.data !== undefined && { data: result.data })
    }
  }

  changed (plan: CheckPlan, from: Result['outcome'] | 'unknown', result: Result, lastedMs: number): void {
    const { probe, name, critical } = plan
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

  tolerated (plan: CheckPlan, result: Result): void { this.log.tolerated(plan, result) }
  failing (plan: CheckPlan, result: Result, unlogged: number): void { this.log.failing(plan, result, unlogged) }
  recovered (plan: CheckPlan, lastedMs: number, unlogged: number): void { this.log.recovered(plan, lastedMs, unlogged) }
  causeChanged (plan: CheckPlan, result: Result): void { this.log.causeChanged(plan, result) }
  overran (plan: CheckPlan, blockedMs: number): void { this.log.overran(plan, blockedMs) }
  stuck (plan: CheckPlan, runs: number): void { this.log.stuck(plan, runs) }
  dataDropped (plan: CheckPlan, dropped: string): void { this.log.dataDropped(plan, dropped) }

  probeChanged (change: Pick<ProbeChange, 'probe' | 'from' | 'to' | 'lastedMs' | 'title'>): void {
    this.#emit({ kind: 'probe', at: this.time.date(), ...change })
  }

  stateChanged (from: State, to: State, lastedMs: number): void {
    this.#emit({ kind: 'state', from, to, at: this.time.date(), lastedMs })
  }

  /** @param first whether it is the first one of an outage. Only that one is logged */
  probeAborted (abort: Omit<ProbeAbort, 'app'>, first: boolean): void {
    if (first) this.log.probeAborted(abort)
    if (aborts.hasSubscribers) aborts.publish({ app: this.app, ...abort })
  }

  threadDied (error: unknown, listenError?: Error): void { this.log.threadDied(error, listenError) }
  threadUnavailable (error: unknown): void { this.log.threadUnavailable(error) }

  loopBlocked (blockedMs: number, stack: string | undefined): void {
    this.log.loopBlocked(blockedMs, stack)
    if (!blocks.hasSubscribers) return
    const block: LoopBlock = { app: this.app, blockedMs, ...(stack !== undefined && { stack }) }
    blocks.publish(block)
  }

  drainEnded (end: Omit<DrainEnd, 'app'>): void {
    const { lastedMs, newConnections } = end
    this.log.drainEnded(lastedMs)
    // A single one may be a scrape.
    if (newConnections > 1) this.log.drainTooShort(newConnections)
    if (drains.hasSubscribers) drains.publish({ app: this.app, ...end })
  }

  /** A change made by a listener waits until all listeners received the current one, so the order is the same for all. */
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
      const returned = listener(change)
      if (isThenable(returned)) Promise.resolve(returned).catch((error: unknown) => this.log.listenerFailed(error))
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
