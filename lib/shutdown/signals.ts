import { setTimeout as sleep } from 'node:timers/promises'
import { isMainThread } from 'node:worker_threads'
import type { FastifyInstance } from 'fastify'
import type { HealthzLogger, ShutdownSignal } from '../../types/options.js'
import type { Holds } from '../engine/holds.js'
import type { Lifecycle } from '../engine/lifecycle.js'
import { HealthzLog } from '../telemetry/log.js'
import type { ShutdownSettings } from '../options/plugin-options.js'
import { MAX_MS } from '../clock.js'

/** A signal that is repeated within this time counts as the same request to exit, in ms. */
const REPEAT_MS = 250

/** Why the process exits. */
type Cause = { readonly signal: ShutdownSignal } | { readonly error: unknown, readonly origin: ErrorOrigin }
type ErrorOrigin = 'uncaught exception' | 'unhandled rejection'

/** An app that closes before the process exits. */
interface Member {
  readonly signals: readonly ShutdownSignal[]
  /** Logs lines about the process; `undefined` if the app doesn't log. */
  readonly logger: HealthzLogger | undefined
  /** The names of its active holds. */
  readonly holds: readonly string[]
  readonly drainSignal: AbortSignal
  /** Time limit for closing, in ms. `signal` is undefined for an error. */
  limit (signal: ShutdownSignal | undefined): number
  /** Drains and closes it. Never rejects: resolves to whether it closed without an error and all holds were released. */
  end (signal: ShutdownSignal | undefined): Promise<boolean>
}

/**
 * Closes all apps of the process and exits when the last has closed. The process has a single one, shared with other
 * copies of this package: they call `join`, and it calls the methods of `Member`.
 */
class ProcessShutdown {
  readonly #members = new Set<Member>()
  readonly #handled = new Set<ShutdownSignal>()
  /** The members when the shutdown started. */
  #closing: readonly Member[] | undefined
  #acceptsRepeats = true

  /** Returns a function that removes the member. The listeners are removed with the last one. */
  join (member: Member): () => void {
    this.#members.add(member)
    this.#listen()
    return () => {
      this.#members.delete(member)
      this.#listen()
    }
  }

  #listen (): void {
    // The listeners stay for a second signal.
    if (this.#closing !== undefined) return
    const wanted = new Set([...this.#members].flatMap(({ signals }) => signals))
    for (const signal of this.#handled) if (!wanted.has(signal)) process.off(signal, this.#onSignal)
    for (const signal of wanted) if (!this.#handled.has(signal)) process.on(signal, this.#onSignal)
    this.#handled.clear()
    for (const signal of wanted) this.#handled.add(signal)
    process.off('uncaughtException', this.#onException).off('unhandledRejection', this.#onRejection)
    if (this.#members.size > 0) process.on('uncaughtException', this.#onException).on('unhandledRejection', this.#onRejection)
  }

  readonly #onException = (error: unknown): void => this.#onError(error, 'uncaught exception')
  readonly #onRejection = (error: unknown): void => {
    // An iterator that waits for the next job rejects when `drainSignal` aborts, and often nothing catches that.
    if (!this.#isAbort(error)) this.#onError(error, 'unhandled rejection')
  }

  readonly #onSignal = (signal: NodeJS.Signals): void => {
    if (this.#closing === undefined) {
      this.#end({ signal: signal as ShutdownSignal })
    } else if (!this.#acceptsRepeats) {
      this.#report(log => log.signalAtEnd(signal))
      process.exit(1)
    }
  }

  #onError (error: unknown, origin: ErrorOrigin): void {
    if (this.#closing === undefined) {
      this.#end({ error, origin })
    } else {
      this.#report(log => log.uncaughtAtEnd(error, origin))
      process.exit(1)
    }
  }

  /** Whether it is the reason of an app's `drainSignal`, or an error with that as its cause. */
  #isAbort (error: unknown): boolean {
    const reasons = [...this.#members, ...this.#closing ?? []].map(({ drainSignal }) => drainSignal.aborted && drainSignal.reason)
    return reasons.includes(error) || (error instanceof Error && reasons.includes(error.cause))
  }

  async #end (cause: Cause): Promise<void> {
    const closing = this.#closing = [...this.#members]
    const signal = 'signal' in cause ? cause.signal : undefined
    // Under a watcher, Ctrl-C arrives from the terminal and from the watcher. A signal that arrived while the event loop
    // was blocked is read after the timers, hence `setImmediate`.
    setTimeout(() => setImmediate(() => { this.#acceptsRepeats = false }), REPEAT_MS)
    if ('error' in cause) this.#report(log => log.uncaught(cause.error, cause.origin))
    const limit = Math.min(MAX_MS, Math.max(...closing.map(member => member.limit(signal))))
    setTimeout(() => {
      this.#report(log => log.closeTimedOut(limit, closing.flatMap(({ holds }) => holds)))
      process.exit(1)
    }, limit)
    const closed = await Promise.all(closing.map(member => member.end(signal)))
    process.exit('error' in cause || closed.includes(false) ? 1 : process.exitCode)
  }

  /** Logs a line about the process once: by the first app that logs, or else to stderr. */
  #report (line: (log: HealthzLog) => void): void {
    const logger = this.#closing!.map(({ logger }) => logger).find(logger => logger !== undefined)
    line(logger === undefined ? STDERR : new HealthzLog(logger))
  }
}

const write = (bindings: object, message: string) => { console.error(message, bindings) }
const STDERR = new HealthzLog({ fatal: write, error: write } as HealthzLogger)

/** The number changes with the signature of `join` or with `Member`, which copies of this package share. */
const KEY = Symbol.for('fastify-healthz:shutdown:2')

/** The parts of an app that `closeOnSignal` works on. */
interface Parts {
  readonly lifecycle: Lifecycle
  readonly holds: Holds
  readonly logger: HealthzLogger
  readonly log: HealthzLog
}

/**
 * Drains and closes the app, and all others that joined, on one of the signals, an uncaught exception or an unhandled
 * rejection, then exits.
 * @returns a function that removes the app
 */
export function closeOnSignal (app: FastifyInstance, settings: ShutdownSettings, { lifecycle, holds, logger, log }: Parts): () => void {
  const { signals, delays, timeout, close } = settings
  const shared = process as { [KEY]?: ProcessShutdown }
  shared[KEY] ??= new ProcessShutdown()
  const delayOn = (signal: ShutdownSignal | undefined) => signal === undefined ? 0 : delays[signal]
  return shared[KEY].join({
    signals,
    get logger () { return log.enabled ? logger : undefined },
    get holds () { return holds.names },
    drainSignal: lifecycle.drainSignal,
    limit: signal => delayOn(signal) + timeout,
    async end (signal) {
      if (!lifecycle.closing) await drain(lifecycle, lifecycle.hasServed ? delayOn(signal) : 0, signal)
      // Even if a drain was over before, or the app is closing already.
      await holds.released()
      const closed = await succeeds(() => close?.(signal), log)
      // Even if `close` failed.
      return await succeeds(() => app.close(), log) && closed && !holds.abandoned
    }
  })
}

/** Awaits a close. Never rejects: a failure is logged. */
async function succeeds (close: () => unknown, log: HealthzLog): Promise<boolean> {
  try {
    await close()
    return true
  } catch (error) {
    log.closeFailed(error)
    return false
  }
}

/** Drains for the delay, also if a longer drain is in progress. */
async function drain (lifecycle: Lifecycle, delay: number, signal: string | undefined): Promise<void> {
  const drained = lifecycle.drain(delay, signal)
  if (delay > 0) await Promise.race([drained, sleep(delay, undefined, { ref: false })])
  lifecycle.endDelay()
  await drained
}

/** Warns of causes that prevent `shutdown` from working, once the app is ready. */
export function warnOfSignals (signals: readonly ShutdownSignal[], log: HealthzLog): void {
  if (!isMainThread) return log.noSignals()
  for (const signal of signals) if (process.listenerCount(signal) > 1) log.signalShared(signal)
}
