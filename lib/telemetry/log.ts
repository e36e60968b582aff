import type { AddressInfo } from 'node:net'
import type { ProbeAbort } from '../../types/healthz.js'
import type { HealthzLogger } from '../../types/options.js'
import { seconds } from '../clock.js'
import { show } from '../errors.js'
import type { CheckPlan } from '../engine/transitions.js'
import type { Result } from '../engine/evaluate.js'
import { UNNAMED, WORDS } from '../engine/aggregate.js'
import { MAX_BODY_BYTES, truncate } from '../truncate.js'

type Named = Pick<CheckPlan, 'probe' | 'name'>

/** The log lines of the plugin, one method each. They report changes, never single probes. */
export class HealthzLog {
  #detailsLogged = false

  /** @param chosen whether the logger was passed as an option, rather than being the app's */
  constructor (private readonly log: HealthzLogger, private readonly chosen = false) {}

  /** `debug`: a run failed, and `failureThreshold` tolerates it. */
  tolerated (check: Named, result: Result): void {
    this.#write('debug', bindings(check, result), `${subject(check)} ${describe(result)} (tolerated)`)
  }

  /**
   * `warn`, or `error` if the check failed unexpectedly. The thrown value is logged as `err`.
   * @param unlogged the number of changes that were not logged because the check flaps
   */
  failing (check: Named, result: Result, unlogged: number): void {
    const message = `${subject(check)} ${describe(result)}${inARow(result)}${flips(unlogged)}`
    this.#write(levelOf(result), bindings(check, result, unlogged), message)
  }

  /** A check still fails, but for another cause. The level is that of `failing`. */
  causeChanged (check: Named, result: Result): void {
    this.#write(levelOf(result), bindings(check, result), `${subject(check)} ${describe(result)} (still failing, cause changed)`)
  }

  /** `info`: a check passes again. */
  recovered (check: Named, lastedMs: number, unlogged: number): void {
    lastedMs = Math.round(lastedMs)
    const message = `${subject(check)} recovered after ${lastedMs / 1000} s${flips(unlogged)}`
    this.#write('info', { ...bindings(check, undefined, unlogged), lastedMs }, message)
  }

  /** `warn`: a check blocked the event loop for longer than its timeout. */
  overran (check: Named & Pick<CheckPlan, 'timeout'>, blockedMs: number): void {
    blockedMs = Math.round(blockedMs)
    const past = `past its timeout of ${check.timeout} ms`
    this.#write('warn', { ...bindings(check), blockedMs }, `${subject(check)} blocked the event loop for ${blockedMs} ms, ${past}`)
  }

  /** `error`: runs of a check are still pending long after their timeout. */
  stuck (check: Named, runs: number): void {
    const message = `${subject(check)} is stuck: ${runs} runs are still pending, a new one starts once a minute`
    this.#write('error', { ...bindings(check), runs }, message)
  }

  /** `warn`: data that a check set was dropped, since it is invalid or too large. Values aren't logged. */
  dataDropped (check: Named, dropped: string): void {
    this.#write('warn', bindings(check), `${subject(check)} set invalid data, dropped: ${dropped}`)
  }

  /** `warn`, once per outage: a prober hung up before the response. */
  probeAborted ({ probe, waitedMs, checks }: Omit<ProbeAbort, 'app'>): void {
    waitedMs = Math.round(waitedMs)
    const awaited = checks.map(name => name === UNNAMED ? 'its check' : name).join(', ')
    const message = `${probe} probe aborted by the client after ${waitedMs} ms${awaited && `, waiting for ${awaited}`}`
    this.#write('warn', { probe, waitedMs, ...(awaited && { checks }) }, message)
  }

  /** `warn`, once: a client that may not see details requested them. */
  detailsRefused (probe: string): void {
    if (this.#detailsLogged) return
    this.#detailsLogged = true
    this.#write('warn', { probe }, 'probe details denied by the `details` option (logged once)')
  }

  /** `error`: an `onChange` listener threw or rejected. */
  listenerFailed (err: unknown): void {
    this.#write('error', { err }, 'healthz.onChange listener failed')
  }

  /** `info`: the app is ready. */
  served (bootMs: number): void {
    this.#write('info', { bootMs }, `serving after ${bootMs / 1000} s`)
  }

  /** `info`: the drain starts. */
  drainBegan (delayMs: number, signal: string | undefined): void {
    const why = signal === undefined ? '' : `${signal}: `
    const message = `${why}draining for ${delayMs / 1000} s, ready fails from now on`
    this.#write('info', { delayMs, ...(signal !== undefined && { signal }) }, message)
  }

  /** `info`: a drain or the close waits for holds. */
  waiting (holds: readonly string[]): void {
    this.#write('info', { holds: shownHolds(holds) }, `waiting for ${listHolds(holds)}`)
  }

  /** `warn`: holds were not released in time. */
  abandoned (holds: readonly string[], afterMs: number): void {
    this.#write('warn', { afterMs, holds: shownHolds(holds) }, `stopped waiting for ${listHolds(holds)} after ${afterMs / 1000} s`)
  }

  /** `info`: the delay is over or the app closes, and all holds are released. */
  drainEnded (lastedMs: number): void {
    lastedMs = Math.round(lastedMs)
    this.#write('info', { lastedMs }, `drained for ${lastedMs / 1000} s`)
  }

  /** `warn`: endpoint removal did not propagate within the drain. */
  drainTooShort (newConnections: number): void {
    const traffic = `${newConnections} new connections in the last second`
    this.#write('warn', { newConnections }, `drain ended while traffic was still arriving: ${traffic}, raise shutdown.delay`)
  }

  /** `info`: the separate port is open. */
  listening ({ address, family, port }: AddressInfo): void {
    const host = family === 'IPv6' ? `[${address}]` : address
    this.#write('info', { address, port }, `Probes listening at http://${host}:${port}`)
  }

  /** `warn`: the event loop was blocked. `stack` is that of the blocking code, if it could be taken. */
  loopBlocked (blockedMs: number, stack: string | undefined): void {
    const message = `event loop blocked for ${seconds(blockedMs)}`
    this.#write('warn', { blockedMs, ...(stack !== undefined && { stack }) }, message)
  }

  /** `warn`: the separate port is served without a thread. */
  threadUnavailable (err: unknown): void {
    this.#write('warn', { err }, 'listen.thread is unavailable: probes are not answered while the event loop is blocked')
  }

  /** `fatal`: the thread of the separate port has ended. `listenError` is why the main thread can't serve the port either. */
  threadDied (err: unknown, listenError?: Error): void {
    const rest = listenError === undefined
      ? 'probes are served by the main thread'
      : `and the main thread can't listen either: ${listenError.message}`
    this.#write('fatal', { err }, `the thread of the separate port died, ${rest}`)
  }

  /** `warn`: a signal that `shutdown` handles has other listeners. */
  signalShared (signal: string): void {
    this.#write('warn', { signal }, `another ${signal} listener is registered and may exit the process before it has drained`)
  }

  /** `warn`: `shutdown` is set in a worker thread. */
  noSignals (): void {
    this.#write('warn', {}, 'shutdown receives no signals in a worker thread: post it a message that drains and closes the app')
  }

  /** `fatal`: `origin` is an uncaught exception or an unhandled rejection. */
  uncaught (err: unknown, origin: string): void {
    this.#write('fatal', { err }, `${origin}, closing before exit with code 1`)
  }

  /** `fatal`: the same during the shutdown. */
  uncaughtAtEnd (err: unknown, origin: string): void {
    this.#write('fatal', { err }, `${origin} during shutdown, exiting`)
  }

  /** `error`: a signal arrived during the shutdown. */
  signalAtEnd (signal: string): void {
    this.#write('error', { signal }, `${signal} during shutdown, exiting`)
  }

  /** `error`: a close hook failed. */
  closeFailed (err: unknown): void {
    this.#write('error', { err }, 'close failed, exiting with code 1')
  }

  /** `error`: the apps took too long to close. */
  closeTimedOut (afterMs: number, holds: readonly string[]): void {
    const why = holds.length === 0 ? '' : ` (held by: ${listHolds(holds)})`
    this.#write('error', { afterMs, ...(why && { holds: shownHolds(holds) }) }, `close timed out after ${afterMs / 1000} s, exiting${why}`)
  }

  /** Whether lines are written. Fastify's logger for `logger: false` has no level. A logger option may have none either. */
  get enabled (): boolean {
    const { level } = this.log as { level?: string }
    return level === undefined ? this.chosen : level !== 'silent'
  }

  /** A logger that throws doesn't change the response of a probe. If it can't serialize `err`, the line is logged without. */
  #write (level: 'fatal' | 'error' | 'warn' | 'info' | 'debug', bindings: object, message: string): void {
    try {
      this.log[level](bindings, message)
    } catch {
      if (!('err' in bindings)) return
      const { err, ...rest } = bindings
      // Not as `err`: the app's serializer for that key may have thrown.
      this.#write(level, { ...rest, errText: show(err, MAX_BODY_BYTES) }, message)
    }
  }
}

function levelOf ({ reason }: Result): 'error' | 'warn' {
  return reason === 'unexpected' ? 'error' : 'warn'
}

function bindings ({ probe, name }: Named, result?: Result, unlogged = 0): object {
  return {
    probe,
    check: name,
    ...(result?.error !== undefined && { err: result.error }),
    ...(result?.failures !== undefined && { failures: result.failures }),
    ...(unlogged > 0 && { unloggedFlips: unlogged })
  }
}

function subject ({ probe, name }: Named): string {
  return name === UNNAMED ? `${probe} check` : `${probe} check "${name}"`
}

function describe ({ reason, message }: Result): string {
  return WORDS[reason!] + (message ? `: ${truncate(message, MAX_BODY_BYTES)}` : '')
}

function inARow ({ failures = 1 }: Result): string {
  return failures === 1 ? '' : ` (${failures} failures in a row)`
}

function flips (unlogged: number): string {
  return unlogged === 0 ? '' : ` (${unlogged} ${unlogged === 1 ? 'flip' : 'flips'} in the last 10 s not logged)`
}

/** The maximum number of holds in a line. */
const MAX_HOLDS = 10

function shownHolds (holds: readonly string[]): readonly string[] {
  return holds.slice(0, MAX_HOLDS)
}

function listHolds (holds: readonly string[]): string {
  const more = holds.length - MAX_HOLDS
  return shownHolds(holds).join(', ') + (more > 0 ? ` and ${more} more` : '')
}
