import type { Healthz } from './healthz.js'

/** `request.routeOptions.config.healthz` on the routes of a probe, for hooks of the app that exempt probes. */
export interface ProbeRouteConfig {
  /** The name of the probe, such as `ready`. */
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
