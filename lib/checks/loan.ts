import { once } from 'node:events'
import type { CheckContext } from '../../types/check.js'
import { HealthError } from '../errors.js'

/** A connection out of its pool. */
export interface Loan {
  /** Asks the server, which is told to end the query by itself at the timeout. */
  ask (): Promise<unknown>
  /** Whether the server did so. The connection is in good order then; after any other error it may not be. */
  isOutOfTime (error: unknown): boolean
  giveBack (): void
  destroy (): void
  readonly events: Events
}

interface Events {
  on (event: 'error', listener: (error: Error) => void): unknown
  off (event: 'error', listener: (error: Error) => void): unknown
}

/** How long after the timeout a server may take to say that it ended the query, in ms. */
const GRACE = 500

/** Asks on a connection that was waited for, and sees to it that the pool has it back, or has room for another one. */
export async function askOn (loan: Loan, context: CheckContext): Promise<void> {
  const { signal } = context
  if (signal.aborted) return loan.giveBack()
  context.awaiting = 'answer'
  // The pool doesn't listen to a connection that is out, and an error that nobody listens to ends the process.
  loan.events.on('error', ignore)
  try {
    await grace(loan.ask(), signal)
  } catch (error) {
    if (!loan.isOutOfTime(error)) {
      loan.destroy()
      throw error
    }
    await untilAborted(signal)
  }
  loan.events.off('error', ignore)
  loan.giveBack()
}

/** Waits for the timeout itself, when the server has ended the query for it a moment before: its clock may be ahead of ours. */
export async function untilAborted (signal: AbortSignal): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort')
}

/** The answer, or a rejection when it doesn't come even after the timeout. */
async function grace (answer: Promise<unknown>, signal: AbortSignal): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  let aborted!: () => void
  const giveUp = new Promise<never>((_resolve, reject) => {
    aborted = () => { timer = setTimeout(reject, GRACE, new HealthError('no answer')) }
  })
  signal.addEventListener('abort', aborted)
  try {
    await Promise.race([answer, giveUp])
  } finally {
    signal.removeEventListener('abort', aborted)
    clearTimeout(timer)
  }
}

function ignore (): void {}
