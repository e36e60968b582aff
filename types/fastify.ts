import type { Healthz } from './healthz.js'

/** `request.routeOptions.config.healthz` on the routes of a probe: what an app's own hooks look at to let probes by. */
export interface ProbeRouteConfig {
  /** The name of the probe, e.g. `ready`. */
  readonly probe: string
}

declare module 'fastify' {
  interface FastifyInstance {
    healthz: Healthz
  }
  interface FastifyContextConfig {
    healthz?: ProbeRouteConfig
  }
}
