import type { IncomingMessage } from 'node:http'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'

/** The interface of a registration for its status page. */
export interface PageHost {
  /** Whether the option `details` allows the request. */
  authorize (request: FastifyRequest): Promise<boolean>
  /** Called with each request that is authorized: its connection isn't the traffic that a drain waits for. */
  probed (request: IncomingMessage): void
  /** Whether the probes are on the app's port. */
  readonly onApp: boolean
  /**
   * Serves routes at these paths on the separate port as well, if there is one.
   * @throws HEALTHZ_ERR_OPTION_INVALID if something is served at one of them
   */
  serve (paths: readonly string[], routes: FastifyPluginAsync): Promise<void>
}

/** The property of `app.healthz` for the page. Copies of this package share it: the number changes with `PageHost`. */
export const PAGE_HOST: unique symbol = Symbol.for('fastify-healthz:page-host:1')
