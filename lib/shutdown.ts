import { setTimeout as sleep } from 'node:timers/promises'
import type { AllEvents, Signals } from 'close-with-grace'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import type { Lifecycle } from './lifecycle.js'
import { HealthzLog } from './log.js'
import type { ShutdownSettings } from './options.js'
import { MAX_MS } from './refusal.js'

/** An app that asked to be closed when the process is told to end. */
interface Member extends ShutdownSettings {
  readonly app: FastifyInstance
  readonly lifecycle: Lifecycle
  readonly log: HealthzLog
}

/** Everything that `close-with-grace` listens to unless it is told not to. */
const EVENTS: readonly AllEvents[] = [
  'SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGSEGV', 'SIGUSR2', 'SIGTERM', 'beforeExit'
]

// The process has one end, so this is the process's: the first `close-with-grace` that is done exits for all.
const members = new Set<Member>()
let uninstall = () => {}
/** The members when the end began. */
let ending: readonly Member[] | undefined

/**
 * Closes the app, with all others that asked, when one of the signals comes or an error is thrown out of the event loop.
 * @returns what takes the app out again; with the last one the listeners go
 */
export function closeOnSignal (member: Member): () => void {
  // Loaded only by those who want it.
  const closeWithGrace = require('close-with-grace') as typeof import('close-with-grace')

  function install (): void {
    // While the process ends, the listeners for a second signal are close-with-grace's own.
    if (ending !== undefined) return
    uninstall()
    uninstall = () => {}
    if (members.size === 0) return
    const all = [...members]
    const signals = new Set<AllEvents>(all.flatMap(({ signals }) => signals))
    ;({ uninstall } = closeWithGrace({
      delay: Math.min(MAX_MS, Math.max(...all.map(({ delay, timeout }) => delay + timeout))),
      logger: false,
      skip: EVENTS.filter(event => !signals.has(event)),
      onSecondSignal: signal => tell(log => log.secondSignal(signal)),
      onSecondError: error => tell(log => log.uncaughtAtEnd(error)),
      onTimeout: ms => tell(log => log.notClosed(ms))
    }, end))
  }

  members.add(member)
  install()
  return () => {
    members.delete(member)
    install()
  }
}

/** Those of the signals that somebody else in the process listens to as well. */
export function sharedSignals (signals: readonly Signals[]): Signals[] {
  return signals.filter(signal => process.listenerCount(signal) > 1)
}

async function end (cause: { signal?: Signals, err?: Error }): Promise<void> {
  ending = [...members]
  const failed = 'err' in cause
  if (failed) tell(log => log.uncaught(cause.err))
  const closed = await Promise.all(ending.map(async ({ app, lifecycle, delay, log }) => {
    const atOnce = failed || cause.signal === 'SIGINT' || lifecycle.state === 'starting' || lifecycle.closing
    const drained = lifecycle.drain(atOnce ? 0 : delay, cause.signal)
    // A drain that is under way may have begun with another delay. It ends with the close.
    if (!atOnce) await Promise.race([drained, sleep(delay, undefined, { ref: false })])
    return app.close().then(() => true, (error: unknown) => { log.closeFailed(error) })
  }))
  // close-with-grace exits with 1 when this throws, and otherwise only for an error that is truthy.
  if (failed || closed.includes(undefined)) throw cause.err
}

/** What concerns the process is told once, by the first app that logs, or else on stderr. */
function tell (line: (log: HealthzLog) => void): void {
  const logs = ending!.map(({ log }) => log)
  line(logs.find(({ enabled }) => enabled) ?? STDERR)
}

const write = (bindings: object, message: string) => { console.error(message, bindings) }
const STDERR = new HealthzLog({ fatal: write, error: write } as unknown as FastifyBaseLogger)
