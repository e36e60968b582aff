import type { FastifyContextConfig, FastifyRequest, FastifySchema, RouteShorthandOptions } from 'fastify'
import type { Checks } from './check.js'

/** The options of `fastify.register(healthz, options)`. */
export interface HealthzOptions {
  /**
   * Path prefix of the routes, decoded, without `:`, `*`, `?`, `#` and `%`. It follows the prefix of the scope. `''` and
   * `'/'` mean none. Default: `'/healthz'`.
   */
  prefix?: string
  /** Checks of the liveness probe; `false` disables it. Default: no checks, so it passes while the process responds. */
  live?: Checks | false | undefined
  /** Checks of the readiness probe; `false` disables it. Default: no checks. */
  ready?: Checks | false | undefined
  /** Checks of the startup probe; `false` disables it. Default: no checks. */
  startup?: Checks | false | undefined
  /** Custom probes by name, served at `{prefix}/{name}`. Default: `{}`. */
  probes?: { readonly [name: string]: Checks } | undefined
  /**
   * Paths by probe, such as `{ ready: '/readyz' }`, instead of `{prefix}/{name}`. They follow the prefix of the scope.
   * Default: `{}`.
   */
  paths?: { readonly [probe: string]: string } | undefined
  /** `true`: passing probes are not logged, other responses are. Default: `false`. */
  noLog?: boolean | undefined
  /** Timeout of a check in ms, at least 1. Default: 800, below the kubelet's default `timeoutSeconds` of 1. */
  timeout?: number | undefined
  /**
   * Who may see details: `?verbose`, `?exclude=name` and, unless the prefix is empty, `{prefix}/{probe}/{check}`.
   * `true` grants access to every client. A function must return `true` within `timeout`. Default: `false`.
   */
  details?: boolean | ((request: FastifyRequest) => boolean | Promise<boolean>) | undefined
  /**
   * Drain and close the app on a termination signal, an uncaught exception or an unhandled rejection, then exit. `true`
   * means the defaults. Default: `false`, no handlers are installed.
   */
  shutdown?: boolean | ShutdownOptions | undefined
  /** Serve the probes on a separate port, open before the app is ready and until it has closed. Default: none. */
  listen?: ListenOptions | undefined
  /**
   * Logger for the plugin's lines, instead of the app's: a Fastify logger, pino, or any other that takes an object and a
   * message. Request lines are still logged by the app's logger. Default: the app's logger.
   */
  logger?: HealthzLogger | undefined
  /**
   * Base for module specifiers: a directory, or a `file:` URL such as `import.meta.url`, which is used as in
   * `new URL(specifier, root)`. Default: `process.cwd()`.
   */
  root?: string | URL | undefined
  /** Fastify route options for the routes of all probes, such as `{ schema: { hide: true } }`. Default: `{}`. */
  routeOptions?: ProbeRouteOptions | undefined
}

/** The methods of a logger that the plugin calls, with fields and a message. */
export interface HealthzLogger {
  fatal (fields: object, message: string): void
  error (fields: object, message: string): void
  warn (fields: object, message: string): void
  info (fields: object, message: string): void
  debug (fields: object, message: string): void
}

/** A signal that `shutdown` can handle. */
export type ShutdownSignal = 'SIGTERM' | 'SIGINT' | 'SIGHUP' | 'SIGQUIT' | 'SIGUSR2'

/** Options of the shutdown: the app drains for `delay`, then closes within `timeout`. */
export interface ShutdownOptions {
  /** Signals to handle. Default: `['SIGTERM', 'SIGINT']`. */
  signals?: readonly ShutdownSignal[] | undefined
  /**
   * Duration of the drain in ms, at least 0: a number for every signal except `SIGINT`, or numbers by signal, such as
   * `{ SIGTERM: 5000, SIGINT: 5000 }`. There is no drain on an error or during the boot.
   *
   * Default: 5000, and 0 on `SIGINT`. Under `node --watch` and if stdin is a terminal it is 0 on every signal, unless
   * `KUBERNETES_SERVICE_HOST` is set. With `listen.serving: 'onReady'` it is 0.
   */
  delay?: number | { readonly [Signal in ShutdownSignal]?: number | undefined } | undefined
  /**
   * Time limit for holds and for closing, after the delay, in ms, at least 1. When it is exceeded, the process exits with
   * 1. Default: 10000.
   */
  timeout?: number | undefined
  /**
   * Called after the drain, to close more than the app. `app.close()` is called afterwards in any case. It receives the
   * signal, or `undefined` on an error. If it throws or rejects, the process exits with 1. Default: none.
   */
  close?: ((signal?: ShutdownSignal) => unknown) | undefined
}

/**
 * A separate port for the probes: plain HTTP, without the prefix of the scope and without constraints. It uses the app's
 * router options. A request must arrive within 5 s, an idle connection is closed after 3 s, and a request with a body is
 * rejected.
 */
export interface ListenOptions {
  /** 0 to 65535. 0 means a free port, see `app.healthz.address`. */
  port: number
  /** Address to listen on. Default: all addresses, so the kubelet can reach it. */
  host?: string | undefined
  /** `true`: the probes are served on the app's port as well. Default: `false`. */
  alongside?: boolean | undefined
  /**
   * Serve the port from a separate thread, which responds while the event loop is blocked and reports the blocking code.
   * `true` means the defaults. Default: `false`.
   */
  thread?: boolean | ThreadOptions | undefined
  /**
   * When the app serves: once it listens, or, for an app that never listens, such as a queue worker, once it is ready.
   * With `'onReady'` the default delay of a drain is 0. Default: `'onListen'`.
   */
  serving?: 'onListen' | 'onReady' | undefined
}

/** Options of the thread that serves the separate port. */
export interface ThreadOptions {
  /** How long the event loop may be blocked before `live` fails, in ms, at least 1000. Default: 10000. */
  maxBlocked?: number | undefined
  /** Report the stack of the code that blocks the event loop. Default: `true`. */
  stack?: boolean | undefined
}

/** The supported Fastify route options. */
export interface ProbeRouteOptions {
  /**
   * Schema for OpenAPI tools. It never changes a response. Unless it has a `response`, it isn't passed to the app's
   * `transform` for `@fastify/swagger`.
   */
  schema?: (FastifySchema & { hide?: boolean | undefined }) | undefined
  /** Route constraints, such as `{ host: 'internal.example' }`. */
  constraints?: RouteShorthandOptions['constraints'] | undefined
  /** Route config. It overrides the plugin's opt-outs from other plugins, but not `config.healthz`. */
  config?: FastifyContextConfig & { [key: string]: unknown } | undefined
  /** Log level of the request's logger. */
  logLevel?: RouteShorthandOptions['logLevel'] | undefined
}
