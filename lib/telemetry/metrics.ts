import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { FastifyInstance } from 'fastify'
import type { CheckOutcome, CheckRun, DrainEnd, Healthz, LoopBlock, ProbeAbort } from '../../types/healthz.js'

/** From the best to the worst. */
export const OUTCOMES: readonly CheckOutcome[] = ['pass', 'warn', 'fail']
/** Boundaries for durations of checks in seconds, from a check that reads a flag to one with a long timeout. */
export const BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** The metrics of one app that are updated by messages. The others are read when they are collected. */
export interface MessageMetrics {
  ran (run: CheckRun): void
  aborted (abort: ProbeAbort): void
  blocked (block: LoopBlock): void
  drained (drain: DrainEnd): void
}

/**
 * Updates the metrics with the messages of one app. All apps of the process share the channels.
 * @returns a function that unsubscribes
 */
export function receiveMessages (healthz: Healthz, metrics: Partial<MessageMetrics>): () => void {
  const receive = <Message extends { readonly app: object }>(name: string, callback: ((message: Message) => void) | undefined) => {
    if (callback === undefined) return () => {}
    const listener = (message: unknown) => {
      if (((message as Message).app as FastifyInstance).healthz === healthz) callback(message as Message)
    }
    subscribe(name, listener)
    return () => unsubscribe(name, listener)
  }
  const ends = [
    receive<CheckRun>('fastify-healthz:check', metrics.ran?.bind(metrics)),
    receive<ProbeAbort>('fastify-healthz:abort', metrics.aborted?.bind(metrics)),
    receive<LoopBlock>('fastify-healthz:block', metrics.blocked?.bind(metrics)),
    receive<DrainEnd>('fastify-healthz:drain', metrics.drained?.bind(metrics))
  ]
  return () => { for (const end of ends) end() }
}
