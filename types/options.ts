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
   * Where relative module specifiers and package names start: a string is a folder, a `file:` URL (also as a string, so
   * that `import.meta.url` works) a base as in `new URL(specifier, root)`. Default: `process.cwd()`.
   */
  root?: string | URL | undefined
  /** Options of Fastify's that are merged into each probe's route, e.g. `{ schema: { hide: true } }`. Default: `{}`. */
  routeOptions?: ProbeRouteOptions | undefined
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
