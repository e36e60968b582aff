import type { FastifyBaseLogger, RouteOptions } from 'fastify'

type Level = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace'
type Write = (...line: unknown[]) => void
type Logger = Record<Level, Write> & Pick<FastifyBaseLogger, 'child'>
/** A logger may have more members than Fastify needs; pino's have levels. */
type CustomLogger = { levels?: { values?: Record<string, number> } } & Record<PropertyKey, unknown>

/** The route options of a probe under `noLog`. The app's own `childLoggerFactory` makes the logger that writes. */
export function quietLogging (probe: string): Pick<RouteOptions, 'childLoggerFactory'> {
  return {
    childLoggerFactory (logger, bindings, options, raw) {
      const make = () => this.childLoggerFactory(logger, bindings, options, raw)
      return new QuietLogger(probe, make) as unknown as FastifyBaseLogger
    }
  }
}

/**
 * The logger of a request to a probe under `noLog`. Fastify can't disable the request lines of one route by their
 * outcome, and logs the first before the response is known. So lines below `warn` are dropped until the response is
 * known not to be a pass; later ones carry the probe's name and the title of the response.
 *
 * Not the route option `logLevel: 'warn'`: only pino's loggers obey it, it would log on a silent app, and a child with
 * its own level costs 0.4 µs a request. Here the request's real logger is created on the first line that is written, or
 * on the first access to anything else (`setBindings`, `level`, methods of custom levels): see the end of this file.
 */
export class QuietLogger {
  private real: Logger | undefined

  /**
   * @param make creates the logger that the request would have without `noLog`
   * @param response shared by the request's logger and its children
   */
  constructor (
    private readonly probe: string,
    private readonly make: () => FastifyBaseLogger,
    private readonly response: { passes: boolean, title?: string | undefined } = { passes: true }
  ) {}

  /** Writes all lines from now on: the response is known, and isn't a pass. */
  open (title: string | undefined): void {
    this.response.passes = false
    this.response.title = title
  }

  fatal (...line: unknown[]): void { this.target().fatal(...line) }
  error (...line: unknown[]): void { this.target().error(...line) }
  warn (...line: unknown[]): void { this.target().warn(...line) }
  info (...line: unknown[]): void { this.write('info', line) }
  debug (...line: unknown[]): void { this.write('debug', line) }
  trace (...line: unknown[]): void { this.write('trace', line) }

  child (...args: Parameters<FastifyBaseLogger['child']>): QuietLogger {
    return new QuietLogger(this.probe, () => this.target().child(...args), this.response)
  }

  target (): Logger {
    this.real ??= this.make() as Logger
    return this.real
  }

  /** Writes a line below `warn`, unless the response passes or may still pass. */
  write (level: string, line: unknown[]): void {
    if (this.response.passes && !isFailure(line[0])) return
    const { title } = this.response
    const log = this.target().child({ probe: this.probe, ...(title !== undefined && { title }) })
    ;(log as unknown as Record<string, Write>)[level]!(...line)
  }
}

/** Whether Fastify logs a response that isn't from the plugin's routes, such as the 503 of an app that is closing. */
function isFailure (object: unknown): boolean {
  return ((object as { res?: { statusCode?: number } } | undefined)?.res?.statusCode ?? 0) >= 400
}

/** Whether a level is on the same side of `warn` as `info`: levels may ascend or descend (pino's `levelComparison`). */
function isBelowWarn (level: string, { warn = 40, info = 30, ...values }: Record<string, number> = {}): boolean {
  return (values[level]! - warn) * (info - warn) > 0
}

/**
 * Everything else is delegated to the real logger; the method of a custom level below `warn` is quiet too. A passing
 * probe doesn't get here: its properties are found before this prototype is reached.
 */
Object.setPrototypeOf(QuietLogger.prototype, new Proxy({}, {
  get (_nothing, key, log: QuietLogger) {
    const target = log.target() as unknown as CustomLogger
    if (isBelowWarn(key as string, target.levels?.values)) return (...line: unknown[]) => log.write(key as string, line)
    const value = target[key]
    return typeof value === 'function' ? value.bind(target) : value
  },
  set (_nothing, key, value, log: QuietLogger) {
    return Reflect.set(log.target(), key, value)
  }
}))
