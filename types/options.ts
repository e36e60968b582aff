import type { FastifyContextConfig, FastifyRequest, FastifySchema, RouteShorthandOptions } from 'fastify'
import type { Checks } from './check.js'

/** The options of `fastify.register(healthz, options)`. */
export interface HealthzOptions {
  /**
   * Where the routes stand. An encapsulated prefix around the plugin is added in front; `''` and `'/'` mean none.
   * Default: `'/healthz'`.
   */
  prefix?: string
  /** What the liveness probe runs; `false` takes the probe away. Default: no checks, so that it passes while the process answers. */
  live?: Checks | false | undefined
  /** What the readiness probe runs; `false` takes the probe away. Default: no checks. */
  ready?: Checks | false | undefined
  /** What the startup probe runs; `false` takes the probe away. Default: no checks. */
  startup?: Checks | false | undefined
  /** Probes of any other name, served at `{prefix}/{name}`. Default: `{}`. */
  probes?: { readonly [name: string]: Checks } | undefined
  /**
   * Another path for a probe, e.g. `{ ready: '/readyz' }`. It replaces `{prefix}/{name}`; an encapsulated prefix is
   * still added. Default: `{}`.
   */
  paths?: { readonly [probe: string]: string } | undefined
  /** `true`: a passing probe leaves no line in the log; any other answer still does. Default: `false`. */
  noLog?: boolean | undefined
  /** How long a check may take, in ms, at least 1. Default: 800, below the second that the kubelet waits by default. */
  timeout?: number | undefined
  /**
   * Who is an operator, and may see and pick single checks: `?verbose`, `?exclude=name`, `{prefix}/{probe}/{check}`.
   * A function that throws, rejects or takes longer than `timeout` means no. Default: `false`, nobody.
   */
  details?: boolean | ((request: FastifyRequest) => boolean | Promise<boolean>) | undefined
  /**
   * Drain and close the app when the process is told to end, or an error is thrown out of the event loop. `true` stands
   * for the defaults. Default: `false`, the process is left alone.
   */
  shutdown?: boolean | ShutdownOptions | undefined
  /** Serve the probes on a port of their own, up before the app is ready and while it closes. Default: none. */
  listen?: ListenOptions | undefined
  /**
   * Where relative module specifiers and package names start: a string is a folder, a `file:` URL (also as a string, so
   * that `import.meta.url` works) a base as in `new URL(specifier, root)`. Default: `process.cwd()`.
   */
  root?: string | URL | undefined
  /** Options of Fastify's that are merged into each probe's route, e.g. `{ schema: { hide: true } }`. Default: `{}`. */
  routeOptions?: ProbeRouteOptions | undefined
}

/** A signal that `shutdown` can take. */
export type ShutdownSignal = 'SIGTERM' | 'SIGINT' | 'SIGHUP' | 'SIGQUIT' | 'SIGUSR2'

/** How the app ends on a signal: it drains for `delay`, then closes within `timeout`. */
export interface ShutdownOptions {
  /** Which signals are taken. Default: `['SIGTERM', 'SIGINT']`. */
  signals?: readonly ShutdownSignal[] | undefined
  /** How long it drains, in ms, at least 0. There is no drain on `SIGINT`, nor for an error. Default: 5000. */
  delay?: number | undefined
  /** How long it may take to close after the drain, in ms, at least 1. The process is ended at delay + timeout. Default: 10000. */
  timeout?: number | undefined
}

/** The port of the probes' own: plain HTTP, without an encapsulated prefix and without constraints. */
export interface ListenOptions {
  /** 0 to 65535; 0 for a free one, which `app.healthz.address` tells. */
  port: number
  /** An address of this machine. Default: all of them, so that the kubelet reaches it. */
  host?: string | undefined
  /** `true`: the probes stay on the app's port as well. Default: `false`. */
  alongside?: boolean | undefined
}

/** The options of Fastify's routes that a probe's route takes over. */
export interface ProbeRouteOptions {
  /** What OpenAPI tools show. It is documentation only: nothing in it can make a probe answer otherwise. */
  schema?: (FastifySchema & { hide?: boolean | undefined }) | undefined
  /** Fastify's route constraints, e.g. `{ host: 'internal.example' }`. */
  constraints?: RouteShorthandOptions['constraints'] | undefined
  /** Merged into `config`, over the plugin's opt-outs for other plugins; `config.healthz` is the plugin's own. */
  config?: FastifyContextConfig & { [key: string]: unknown } | undefined
  /** The level of the request's logger, as in Fastify. */
  logLevel?: RouteShorthandOptions['logLevel'] | undefined
}
