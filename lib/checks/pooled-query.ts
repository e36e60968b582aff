import { once } from 'node:events'
import type { CheckContext } from '../../types/check.js'
import { HealthError } from '../errors.js'

/** A query on a connection that was taken from its pool. */
export interface PooledQuery {
  /** Runs the query, with the timeout as its time limit on the server. */
  run (): Promise<unknown>
  /** Whether the server cancelled the query at that limit. If so, the connection is usable; after other errors it may not be. */
  isTimeout (error: unknown): boolean
  release (): void
  destroy (): void
  readonly events: Events
}

interface Events {
  on (event: 'error', listener: (error: Error) => void): unknown
  off (event: 'error', listener: (error: Error) => void): unknown
}

/** How long after the timeout a server may take to report that it cancelled the query, in ms. */
const GRACE = 500

/** Runs the query, then releases the connection if it is usable, or else destroys it, so that the pool can open another. */
export async function runPooled (query: PooledQuery, context: CheckContext): Promise<void> {
  const { signal } = context
  if (signal.aborted) return query.release()
  context.awaiting = 'answer'
  // The pool doesn't listen to a connection that is in use, and an `error` event without a listener is thrown.
  query.events.on('error', ignore)
  try {
    await grace(query.run(), signal)
  } catch (error) {
    if (!query.isTimeout(error)) {
      query.destroy()
      throw error
    }
    await untilAborted(signal)
  }
  query.events.off('error', ignore)
  query.release()
}

/** Waits for the timeout of the check, since the server's clock may be ahead. */
export async function untilAborted (signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort')
}

/** Resolves with the response, or rejects if it is still missing some time after the timeout. */
async function grace (response: Promise<unknown>, signal: AbortSignal): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  let aborted!: () => void
  const giveUp = new Promise<never>((_resolve, reject) => {
    aborted = () => { timer = setTimeout(reject, GRACE, new HealthError('no answer')) }
  })
  signal.addEventListener('abort', aborted)
  try {
    await Promise.race([response, giveUp])
  } finally {
    signal.removeEventListener('abort', aborted)
    clearTimeout(timer)
  }
}

function ignore (): void {}
