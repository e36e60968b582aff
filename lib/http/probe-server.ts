import { once } from 'node:events'
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import type { FastifyInstance, FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type { ListenSettings } from '../options/plugin-options.js'
import { healthzError } from '../errors.js'
import type { ThreadObserver } from '../telemetry/events.js'
import type { HealthzLog } from '../telemetry/log.js'
import { routes, type RoutesOptions, send } from './routes.js'
import { refuse } from '../validate.js'

/**
 * Idle timeout of a connection, in ms; twice as long while a response isn't read. Not 5 s, which is a common
 * `periodSeconds`: a request might cross the close.
 */
const IDLE_TIMEOUT = 3000

/**
 * Limits of a connection to the separate port, in ms. They are short, since a prober sends its request immediately. None
 * applies while a check runs.
 */
const LIMITS = {
  /** For the head of a request; for the first one, from the start of the connection. */
  headersTimeout: 5000,
  /** For a whole request. */
  requestTimeout: 5000,
  /** Between a response and the next request. */
  keepAliveTimeout: IDLE_TIMEOUT,
  /** How often the first two are checked. */
  connectionsCheckingInterval: 1000
} as const

/** The source of connections. */
export interface Listening {
  readonly address: AddressInfo
  /** Stops accepting connections. */
  close (): void
  /** The app has left the state `starting`. */
  started? (): void
}

/**
 * Makes another thread accept the connections of a server, if possible.
 * @param observer returns the observer of the app that currently owns the port
 */
export type Bind = (server: Server, observer: () => ThreadObserver) => Promise<Listening | undefined>

/**
 * The server of a separate port. With `@fastify/restartable` an app boots while the one that it replaces is still up,
 * and takes over its server.
 */
class Port {
  readonly server = createServer(LIMITS, (request, response) => {
    // With a listener Node doesn't destroy the connection: if there is nothing left to read, it waits for a check.
    response.on('timeout', (socket: Socket) => { if (socket.writableLength > 0) socket.destroy() })
    if (!refused.has(request.socket)) this.owner!.handle(request, response)
  })

  /** Handles requests. */
  owner: ProbeServer | undefined
  listening: Listening | undefined

  /** The successor, which takes over when its app listens or the owner closes. */
  next: ProbeServer | undefined

  constructor () {
    this.server.on('connection', (socket: Socket) => { socket.unref() })
    this.server.timeout = IDLE_TIMEOUT
  }
}

/** Ports, first by the app's server, which a restarted app shares with its predecessor, then by address. */
const ports = new WeakMap<object, Map<string, Port>>()

/**
 * Serves the probes on a separate port, with the app's logger and without its hooks. It listens before the app is ready
 * and until the app has closed, and doesn't keep the process alive.
 */
export class ProbeServer {
  readonly address: AddressInfo
  /** Added routes by path. */
  readonly #added = new Map<string, RequestListener>()

  private constructor (
    private readonly app: FastifyInstance,
    private readonly routes: RoutesOptions,
    private readonly probes: RequestListener,
    readonly observer: ThreadObserver,
    private readonly instances: FastifyInstance[],
    private readonly port: Port
  ) {
    this.address = port.listening!.address
  }

  /**
   * @throws HEALTHZ_ERR_LISTEN
   */
  static async open (
    app: FastifyInstance, listen: ListenSettings, options: RoutesOptions, log: HealthzLog, observer: ThreadObserver, bind: Bind
  ): Promise<ProbeServer> {
    const key = `${listen.port} ${listen.host ?? ''}`
    const known = ports.get(app.server) ?? new Map<string, Port>()
    ports.set(app.server, known)
    // Two scopes of one app share a server too, but no port.
    const taken = (app as { restarted?: boolean }).restarted === true ? known.get(key) : undefined
    const port = taken ?? new Port()
    // Constraints concern the app's hosts.
    const { handle, own } = await serve(app, port, own => {
      own.register(routes, { ...options, routeOptions: { ...options.routeOptions, constraints: undefined } })
    })
    if (taken === undefined) {
      try {
        port.listening = await bind(port.server, () => port.owner?.observer ?? observer) ?? await listenItself(port.server, listen)
      } catch (cause) {
        throw healthzError('HEALTHZ_ERR_LISTEN', listen.port, (cause as Error).message, { cause })
      }
      known.set(key, port)
    }
    const server = new ProbeServer(app, options, handle, observer, [own], port)
    if (taken === undefined) {
      server.take()
      log.listening(server.address)
    }
    return server
  }

  handle (request: IncomingMessage, response: ServerResponse): void {
    const added = this.#added.size > 0 ? this.#added.get(request.url!.replace(/\?.*/s, '')) : undefined
    if (added === undefined) this.probes(request, response)
    else added(request, response)
  }

  /**
   * Serves routes at these paths as well.
   * @throws HEALTHZ_ERR_OPTION_INVALID if something is served at one of them
   */
  async add (paths: readonly string[], plugin: FastifyPluginAsync): Promise<void> {
    const taken = paths.find(path => this.#added.has(path) || this.routes.probes.some(probe => probe.path === path))
    if (taken !== undefined) refuse('path', 'a path at which nothing else is served on the separate port', taken)
    const { handle, own } = await serve(this.app, this.port, own => { own.register(plugin) })
    this.instances.push(own)
    for (const path of paths) this.#added.set(path, handle)
  }

  /** The app has left the state `starting`. */
  started (): void {
    this.port.listening!.started?.()
  }

  /** The app has booted: this server may take over from its predecessor. */
  ready (): void {
    if (this.port.owner !== this) this.port.next = this
  }

  /** Handles all requests from now on, in place of its predecessor. */
  take (): void {
    this.port.owner = this
    this.port.next = undefined
  }

  /** Closes the port, or hands it over to the successor. Pending responses are still sent. */
  close (): void {
    const { port } = this
    if (port.next === this) port.next = undefined
    if (port.owner === this) {
      if (port.next === undefined) port.listening!.close()
      else port.next.take()
    }
    for (const own of this.instances) own.close()
  }
}

/** Creates another Fastify instance with routes, behind the server of the port. */
async function serve (app: FastifyInstance, { server }: Port, register: (own: FastifyInstance) => void) {
  // The app has loaded it already. It is only required here, since it isn't a dependency.
  const { fastify: Fastify, LogController } = require('fastify') as typeof import('fastify')
  let requests = 0
  let handle!: RequestListener
  const own = Fastify({
    serverFactory (handler) {
      handle = handler
      // Fastify adds its own.
      return server.removeAllListeners('clientError')
    },
    loggerInstance: app.log,
    childLoggerFactory: app.childLoggerFactory,
    ...logOptions(app.initialConfig, LogController),
    ...routerOptions(app.initialConfig),
    genReqId: () => `healthz-${(++requests).toString(36)}`
  })
  own.addHook('onRequest', refuseBody)
  register(own as unknown as FastifyInstance)
  await own.ready()
  return { handle, own }
}

/**
 * Connections that are closed because a request had a body. Later requests on them are ignored: Node sends no response to
 * the next ones, and a response to a later one causes an uncaught exception (an assertion in `resOnFinish`).
 */
const refused = new WeakSet<Socket>()

/** Rejects requests with a body, which no prober sends. */
function refuseBody ({ headers, raw }: FastifyRequest, reply: FastifyReply, done: () => void): void {
  if (headers['transfer-encoding'] === undefined && !(Number(headers['content-length']) > 0)) return done()
  refused.add(raw.socket)
  send(reply.header('connection', 'close'), { status: 413, title: 'Content Too Large' })
}

/** Not Fastify's `listen`: without a host, Node listens on all addresses, including IPv6 where available. */
async function listenItself (server: Server, { port, host }: ListenSettings): Promise<Listening> {
  server.listen({ port, host }).unref()
  await once(server, 'listening')
  return { address: server.address() as AddressInfo, close: () => { server.close() } }
}

/** Fastify's defaults for router options, in versions that also accept them at the top level. */
const ROUTER_DEFAULTS: Readonly<Record<string, unknown>> = {
  allowUnsafeRegex: false,
  caseSensitive: true,
  ignoreDuplicateSlashes: false,
  ignoreTrailingSlash: false,
  maxParamLength: 100,
  useSemicolonDelimiter: false
}

/** The app's router options. Passing one at the top level is deprecated, so only those that aren't defaults are passed. */
export function routerOptions (config: FastifyInstance['initialConfig']): object {
  const { routerOptions, ...others } = config as { routerOptions?: object } & Record<string, unknown>
  if (routerOptions !== undefined) {
    // The routes of the separate port have no constraints. Fastify would modify the strategies, which are frozen by now.
    const { constraints, ...rest } = routerOptions as { constraints?: object }
    return { routerOptions: rest }
  }
  return Object.fromEntries(Object.entries(ROUTER_DEFAULTS)
    .filter(([name, value]) => others[name] !== undefined && others[name] !== value)
    .map(([name]) => [name, others[name]]))
}

/** The app's options for request logging. Older versions of Fastify 5 have no `LogController`, and take its options directly. */
export function logOptions (
  { requestIdLogLabel, disableRequestLogging }: FastifyInstance['initialConfig'], LogController?: typeof import('fastify').LogController
) {
  const options = { requestIdLogLabel, disableRequestLogging }
  return LogController === undefined ? options : { logController: new LogController(options) }
}
