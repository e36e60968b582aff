import type { FastifyBaseLogger } from 'fastify'

type Level = 'fatal' | 'error' | 'warn' | 'info' | 'debug' | 'trace'
type Write = (...line: unknown[]) => void
type Logger = Record<Level, Write> & Pick<FastifyBaseLogger, 'child'>
/** What pino's loggers have besides, and others may. */
type CustomLogger = { levels?: { values?: Record<string, number> } } & Record<PropertyKey, unknown>

/** What is known of the answer to a request. A request's logger and the children of it share one. */
interface Answer {
  told: boolean
  title?: string | undefined
}

/**
 * The logger of a request to a probe under `noLog`. Fastify has no switch for the request lines of one route, and
 * writes the first before anybody knows what the answer will be. So nothing below `warn` goes out here until the
 * answer is known, and then only if it isn't a pass; those lines carry the probe's name and the answer's title.
 *
 * The request's real logger is made when a line does go out, or when something else that it has is asked for
 * (`setBindings`, `level`, the methods of custom levels): see the end of this file.
 */
export class QuietLogger {
  private real: Logger | undefined

  /** @param make makes the logger that the request would have without `noLog` */
  constructor (
    private readonly probe: string,
    private readonly make: () => FastifyBaseLogger,
    private readonly answer: Answer = { told: false }
  ) {}

  /** To be called when the answer to the request is known and isn't a pass. */
  tell (title: string | undefined): void {
    this.answer.told = true
    this.answer.title = title
  }

  fatal (...line: unknown[]): void { this.loud().fatal(...line) }
  error (...line: unknown[]): void { this.loud().error(...line) }
  warn (...line: unknown[]): void { this.loud().warn(...line) }
  info (...line: unknown[]): void { this.quiet('info', line) }
  debug (...line: unknown[]): void { this.quiet('debug', line) }
  trace (...line: unknown[]): void { this.quiet('trace', line) }

  child (...args: Parameters<FastifyBaseLogger['child']>): QuietLogger {
    return new QuietLogger(this.probe, () => this.loud().child(...args), this.answer)
  }

  loud (): Logger {
    this.real ??= this.make() as Logger
    return this.real
  }

  quiet (level: string, line: unknown[]): void {
    if (!this.answer.told && !isRefusal(line[0])) return
    const { title } = this.answer
    const log = this.loud().child({ probe: this.probe, ...(title !== undefined && { title }) })
    ;(log as unknown as Record<string, Write>)[level]!(...line)
  }
}

/** A line of Fastify's own about an answer that passed our route by, such as the 503 of an app that is closing. */
function isRefusal (object: unknown): boolean {
  return ((object as { res?: { statusCode?: number } } | undefined)?.res?.statusCode ?? 0) >= 400
}

/**
 * What a `QuietLogger` doesn't have itself is its real logger's; a method for a custom level below `warn` is quiet too.
 * A property is looked for here only when it was found nowhere before: a passing probe never comes this way.
 */
Object.setPrototypeOf(QuietLogger.prototype, new Proxy({}, {
  get (_nothing, key, log: QuietLogger) {
    const real = log.loud() as unknown as CustomLogger
    const levels = real.levels?.values
    if (levels?.[key as string]! < (levels?.warn ?? 40)) return (...line: unknown[]) => log.quiet(key as string, line)
    const value = real[key]
    return typeof value === 'function' ? value.bind(real) : value
  },
  set (_nothing, key, value, log: QuietLogger) {
    (log.loud() as unknown as CustomLogger)[key] = value
    return true
  }
}))
