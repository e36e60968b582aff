import type { AddressInfo } from 'node:net'
import type { FastifyBaseLogger } from 'fastify'
import { show } from './errors.js'
import type { CheckPlan } from './news.js'
import { fitted, MAX_BODY_BYTES } from './problem.js'
import type { Result } from './result.js'
import { UNNAMED, WORDS } from './verdict.js'

type Named = Pick<CheckPlan, 'probe' | 'name'>

/** Every line that the plugin writes by itself, one method each: what changed, never what was polled. */
export class HealthzLog {
  #toldDetails = false

  constructor (private readonly log: FastifyBaseLogger) {}

  /** A check begins to fail: `warn`, or `error` if it failed unexpectedly. What was thrown goes out as `err`. */
  failing (check: Named, result: Result): void {
    this.#write(levelOf(result), bindings(check, result), `${subject(check)} ${saying(result)}`)
  }

  /** A check goes on failing for another cause, at the level of that. */
  causeChanged (check: Named, result: Result): void {
    this.#write(levelOf(result), bindings(check, result), `${subject(check)} ${saying(result)} (it was failing already, for another cause)`)
  }

  /** A check passes again: `info`, with how long it had failed. */
  recovered (check: Named, lastedMs: number): void {
    lastedMs = Math.round(lastedMs)
    this.#write('info', { ...bindings(check), lastedMs }, `${subject(check)} recovered after ${lastedMs / 1000} s`)
  }

  /** `warn`: a check blocked the event loop, so that its timeout couldn't hold. */
  overran (check: Named & Pick<CheckPlan, 'timeout'>, blockedMs: number): void {
    blockedMs = Math.round(blockedMs)
    const past = `past its timeout of ${check.timeout} ms`
    this.#write('warn', { ...bindings(check), blockedMs }, `${subject(check)} blocked the event loop for ${blockedMs} ms, ${past}`)
  }

  /** `error`: runs of a check don't come back. */
  stuck (check: Named, runs: number, waitMs: number): void {
    const rest = `a new one starts only every ${waitMs / 60_000} min`
    this.#write('error', { ...bindings(check), runs }, `${subject(check)} is stuck: ${runs} runs have not come back, ${rest}`)
  }

  /** `warn`, once: somebody asks for what only operators see. */
  detailsRefused (probe: string): void {
    if (this.#toldDetails) return
    this.#toldDetails = true
    this.#write('warn', { probe }, 'details of a probe were asked for and not given: the option `details` does not allow them (told once)')
  }

  /** `error`: a listener of `onChange` threw, or rejected. */
  listenerFailed (err: unknown): void {
    this.#write('error', { err }, 'a listener of healthz.onChange failed')
  }

  /** `info`: the app drains. */
  drainBegan (delayMs: number, signal: string | undefined): void {
    const why = signal === undefined ? '' : `${signal}: `
    const message = `${why}draining for ${delayMs / 1000} s, ready fails from now on`
    this.#write('info', { delayMs, ...(signal !== undefined && { signal }) }, message)
  }

  /** `info`: it has drained, or it is closed before it has. */
  drainEnded (lastedMs: number): void {
    lastedMs = Math.round(lastedMs)
    this.#write('info', { lastedMs }, `drained for ${lastedMs / 1000} s`)
  }

  /** `info`: the probes have a port of their own. */
  listening ({ address, family, port }: AddressInfo): void {
    const host = family === 'IPv6' ? `[${address}]` : address
    this.#write('info', { address, port }, `Probes listening at http://${host}:${port}`)
  }

  /** `warn`: a signal that we take has other listeners. */
  signalShared (signal: string): void {
    this.#write('warn', { signal }, `${signal} has another listener besides ours, which may end the process before it has drained`)
  }

  /** `fatal`: something was thrown out of the event loop. */
  uncaught (err: unknown): void {
    this.#write('fatal', { err }, 'an error was thrown out of the event loop: closing, to exit with 1')
  }

  /** `fatal`: the same while the process ends already. */
  uncaughtAtEnd (err: unknown): void {
    this.#write('fatal', { err }, 'an error was thrown out of the event loop while the process ends: exiting at once')
  }

  /** `error`: the process is told to end for a second time. */
  secondSignal (signal: string): void {
    this.#write('error', { signal }, `second ${signal}: exiting at once`)
  }

  /** `error`: a hook of the close threw. */
  closeFailed (err: unknown): void {
    this.#write('error', { err }, 'closing failed: exiting with 1')
  }

  /** `error`: the apps took too long to close. */
  notClosed (afterMs: number): void {
    this.#write('error', { afterMs }, `not closed after ${afterMs / 1000} s: exiting at once`)
  }

  /** Whether anybody reads it. Fastify's logger for `logger: false` has no level. */
  get enabled (): boolean {
    return typeof this.log.level === 'string' && this.log.level !== 'silent'
  }

  /** A log that throws must not decide what a probe answers, nor an `err` that it can't write cost the line. */
  #write (level: 'fatal' | 'error' | 'warn' | 'info', bindings: object, message: string): void {
    try {
      this.log[level](bindings, message)
    } catch {
      if ('err' in bindings && typeof bindings.err !== 'string') {
        this.#write(level, { ...bindings, err: show(bindings.err, MAX_BODY_BYTES) }, message)
      }
    }
  }
}

function levelOf ({ reason }: Result): 'error' | 'warn' {
  return reason === 'unexpected' ? 'error' : 'warn'
}

function bindings ({ probe, name }: Named, result?: Result): object {
  return { probe, check: name, ...(result?.error !== undefined && { err: result.error }) }
}

function subject ({ probe, name }: Named): string {
  return name === UNNAMED ? `${probe} check` : `${probe} check "${name}"`
}

function saying ({ reason, message }: Result): string {
  return WORDS[reason!] + (message ? `: ${fitted(message, MAX_BODY_BYTES)}` : '')
}
