import { once } from 'node:events'
import type { AddressInfo, Socket } from 'node:net'
import type { FastifyInstance } from 'fastify'
import type { ListenOptions } from '../types/options.js'
import { healthzError } from './errors.js'
import type { HealthzLog } from './log.js'
import { routes, type RoutesOptions } from './routes.js'

/**
 * The port of the probes' own: a second server with the app's logger, which no hook of the app reaches. It is there
 * before the app is ready and until it has closed, and doesn't keep the process alive.
 */
export class Listener {
  readonly address: AddressInfo

  private constructor (private readonly own: FastifyInstance) {
    this.address = own.server.address() as AddressInfo
  }

  /** @throws HEALTHZ_ERR_LISTEN */
  static async open (app: FastifyInstance, { port, host }: ListenOptions, options: RoutesOptions, log: HealthzLog): Promise<Listener> {
    // The app has loaded it already. It is no dependency of ours, so it isn't asked for without need.
    const { fastify: Fastify, LogController } = require('fastify') as typeof import('fastify')
    let requests = 0
    const own = Fastify({
      loggerInstance: app.log,
      childLoggerFactory: app.childLoggerFactory,
      ...logOptions(app.initialConfig, LogController),
      genReqId: () => `healthz-${(++requests).toString(36)}`
    })
    // Constraints are about the app's hosts.
    own.register(routes, { ...options, routeOptions: { ...options.routeOptions, constraints: undefined } })
    await own.ready()
    own.server.on('connection', (socket: Socket) => { socket.unref() })
    // Not Fastify's `listen`: without a host Node takes all addresses, of IPv6 where the machine has it.
    own.server.listen({ port, host }).unref()
    try {
      await once(own.server, 'listening')
    } catch (cause) {
      throw healthzError('HEALTHZ_ERR_LISTEN', port, (cause as Error).message, { cause })
    }
    const listener = new Listener(own)
    log.listening(listener.address)
    return listener
  }

  /** Gives the port back at once; answers under way still go out. */
  close (): void {
    this.own.server.close()
    this.own.close()
  }
}

/** How the app logs its requests. The older versions of Fastify 5 have no `LogController`, and take its options themselves. */
export function logOptions (
  { requestIdLogLabel, disableRequestLogging }: FastifyInstance['initialConfig'], LogController?: typeof import('fastify').LogController
) {
  const options = { requestIdLogLabel, disableRequestLogging }
  return LogController === undefined ? options : { logController: new LogController(options) }
}
