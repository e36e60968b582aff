import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { EventEmitter } from 'node:events'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import type { ServerHttp2Session } from 'node:http2'
import type { Socket } from 'node:net'
import { isDeepStrictEqual } from 'node:util'
import type { FastifyInstance } from 'fastify'
import { Arrivals } from './arrivals.js'
import { systemTime } from '../clock.js'

const REQUEST_START = 'http.server.request.start'

/** Once its server closes, a connection without a request is destroyed after one to two times this, in ms. */
const SILENCE = 500

type RequestListener = (request: IncomingMessage, response: ServerResponse) => void

/** The pending requests of an HTTP/1.1 connection. */
interface Exchanges {
  /** In the order in which they are sent. */
  readonly responses: ServerResponse[]
  /** Listener for the end of each response. One per connection, since it is a cost of each request of the app. */
  readonly oneEnded: () => void
  /** A response was sent with `Connection: close`, so it is the last one. */
  ended: boolean
}

const known = new WeakMap<object, Connections>()

/**
 * The connections of the app's servers. They must end before the app can close without breaking a request.
 *
 * Before the drain, each request costs an entry in a list and a listener for the end of its response. During the drain,
 * requests pass through this class before they reach the app's request listeners.
 */
export class Connections {
  readonly #sockets = new Set<Socket>()
  readonly #sessions = new Set<ServerHttp2Session>()
  readonly #exchanges = new Map<Socket, Exchanges>()
  /** The app's server, and its second one for `localhost` once that is known. */
  readonly #servers = new Set<Server>()
  /** The request listeners of each server while they are replaced. */
  readonly #replaced = new Map<Server, { own: RequestListener, theirs: Function[] }>()
  #draining = false
  #arrivals: Arrivals | undefined
  #closing = false
  #sweep: NodeJS.Timeout | undefined

  /** The instance for the app, shared by its scopes. */
  static of (app: FastifyInstance): Connections {
    // One object for each app, whereas a server may outlive its app (`@fastify/restartable`).
    const key = app.initialConfig
    let connections = known.get(key)
    if (connections === undefined) known.set(key, connections = new Connections(app))
    return connections
  }

  private constructor (private readonly app: FastifyInstance) {
    this.#watch(app.server)
  }

  /**
   * The app listens. On `localhost` Fastify may have created a second server for the other address, without access to
   * it. Node.js publishes the requests of all servers of the process on a channel, on which that server is found by its
   * exact address.
   */
  listening (): void {
    // Another scope may have subscribed.
    unsubscribe(REQUEST_START, this.#findSecond)
    if (this.app.addresses().length > this.#servers.size) subscribe(REQUEST_START, this.#findSecond)
  }

  /**
   * From now on the last response on each HTTP/1.1 connection is sent with `Connection: close`, whatever the app sets
   * that header to. This includes responses to pending requests, unless their head has been sent.
   */
  endAfterAnswer (): void {
    if (this.#draining) return
    this.#draining = true
    this.#arrivals = new Arrivals(systemTime.now)
    for (const exchanges of this.#exchanges.values()) {
      for (const response of exchanges.responses) endWith(response, exchanges)
    }
    for (const server of this.#servers) this.#replaceListeners(server)
  }

  /** A request to a probe. */
  probed (request: IncomingMessage): void {
    this.#arrivals?.ignore(request.socket)
  }

  /** The number of connections opened in the last second of the current drain, except those of probers. */
  get arrived (): number {
    return this.#arrivals!.count
  }

  /** The server closes: connections are also closed after responses that were sent with `keep-alive`. */
  endAll (): void {
    this.endAfterAnswer()
    this.#closing = true
    this.endSessions()
    this.#endSilent()
  }

  /** Sends GOAWAY to the clients of HTTP/2: streams that are open are finished, and no new ones are accepted. */
  endSessions (): void {
    for (const session of this.#sessions) session.close()
  }

  /** The app has closed. */
  forget (): void {
    clearInterval(this.#sweep)
    unsubscribe(REQUEST_START, this.#findSecond)
    for (const server of this.#servers) {
      server.off('connection', this.#keepSocket).off('session', this.#keepSession).off('request', this.#track)
      this.#restoreListeners(server)
    }
  }

  #watch (server: Server): void {
    this.#servers.add(server)
    server.on('connection', this.#keepSocket).on('session', this.#keepSession)
    server.prependListener('request', this.#track)
    if (this.#draining) this.#replaceListeners(server)
  }

  readonly #keepSocket = (socket: Socket) => {
    keep(this.#sockets, socket)
    this.#arrivals?.add(socket)
  }

  readonly #keepSession = (session: ServerHttp2Session) => { keep(this.#sessions, session) }
  readonly #track = (request: IncomingMessage, response: ServerResponse) => { this.#add(request, response) }

  readonly #findSecond = (message: unknown) => {
    const { server } = message as { server: Server }
    if (this.#servers.has(server)) return
    const address = server.address()
    if (!this.app.addresses().some(one => isDeepStrictEqual(one, address))) return
    this.#watch(server)
    this.listening()
  }

  /** @returns `undefined` over HTTP/2, where GOAWAY keeps open streams and no response closes a connection */
  #add (request: IncomingMessage, response: ServerResponse): Exchanges | undefined {
    if (request.httpVersionMajor > 1) return
    const { socket } = request
    const exchanges = this.#exchanges.get(socket) ?? this.#open(socket)
    // A request is emitted twice if another listener calls those before it, as Socket.IO's does.
    if (exchanges.ended || exchanges.responses.includes(response)) return exchanges
    exchanges.responses.push(response)
    response.on('close', exchanges.oneEnded)
    return exchanges
  }

  #open (socket: Socket): Exchanges {
    const responses: ServerResponse[] = []
    const oneEnded = () => {
      responses.shift()
      if (this.#closing && responses.length === 0) socket.end()
    }
    const exchanges = { responses, oneEnded, ended: false }
    this.#exchanges.set(socket, exchanges)
    socket.once('close', () => this.#exchanges.delete(socket))
    return exchanges
  }

  /**
   * Replaces the app's request listeners by one that calls them once the rest of the packet has been parsed. Only then it
   * is known whether another request follows, even for a response that is sent synchronously.
   *
   * A request after `Connection: close` doesn't reach the app, since it couldn't be answered (RFC 9112, section 9.6). Its
   * client can retry it.
   */
  #replaceListeners (server: Server): void {
    const theirs = server.rawListeners('request').filter(listener => listener !== this.#track)
    const own: RequestListener = (request, response) => {
      const exchanges = this.#add(request, response)
      const pass = () => { for (const listener of theirs) listener.call(server, request, response) }
      if (exchanges === undefined) return pass()
      if (exchanges.ended) return
      endWith(response, exchanges)
      process.nextTick(pass)
    }
    server.removeAllListeners('request').on('request', own)
    this.#replaced.set(server, { own, theirs })
  }

  /** A server may outlive the app. Its listeners may then be those of the next app. */
  #restoreListeners (server: Server): void {
    const { own, theirs } = this.#replaced.get(server)!
    if (!server.listeners('request').includes(own)) return
    server.off('request', own)
    for (const listener of theirs) server.on('request', listener as RequestListener)
  }

  /**
   * When a server closes, Node closes the connections that are idle after a request, and stops enforcing the timeouts of
   * handshakes and request heads. A connection without a request, such as a browser's preconnect or a load balancer's TCP
   * check, would delay the close until its client disconnects.
   */
  #endSilent (): void {
    const { server } = this.app
    let silent: Socket[] = []
    let idle = false
    this.#sweep ??= setInterval(() => {
      // While it listens, as during a drain in `preClose`, a request may arrive on any of them.
      if (server.listening) return
      // A TLS handshake may have completed since the last time.
      this.endSessions()
      const wasIdle = idle
      idle = this.#idle
      if (idle && wasIdle) this.#destroyAll()
      // No byte was received: no TLS handshake, no HTTP/2 preface, no request.
      for (const socket of silent) if (socket.bytesRead === 0) socket.destroy()
      silent = [...this.#sockets].filter(({ bytesRead }) => bytesRead === 0)
    }, SILENCE).unref()
  }

  get #idle (): boolean {
    return [...this.#exchanges.values()].every(({ responses }) => responses.length === 0) &&
      [...this.#sessions].every(({ destroyed }) => destroyed)
  }

  /** Except upgraded connections, such as WebSockets, which the app must close. */
  #destroyAll (): void {
    // HTTP/2 servers don't have the first method.
    const server: Partial<Server> & EventEmitter = this.app.server
    if (server.closeAllConnections !== undefined) server.closeAllConnections()
    else if (server.listenerCount('upgrade') === 0) for (const socket of this.#sockets) socket.destroy()
  }
}

/** Makes the response close its connection if it is the last one when its head is written. */
function endWith (response: ServerResponse, exchanges: Exchanges): void {
  const writeHead = response.writeHead as (...args: unknown[]) => ServerResponse
  response.writeHead = (...args: unknown[]) => {
    if (exchanges.responses.at(-1) !== response) return writeHead.apply(response, args)
    response.removeHeader('keep-alive')
    // Not beside headers in the arguments: once a header is set, Node drops repeated names from a list of them.
    if (!args.some(isObject)) response.setHeader('connection', 'close')
    writeHead.apply(response, args.map(argument => isObject(argument) ? withClose(argument) : argument))
    exchanges.ended = true
    return response
  }
}

const CONNECTION = /^(?:connection|keep-alive)$/i

/** `writeHead` takes headers as an object or as a flat list of names and values. They win over those set before. */
function withClose (headers: object): object {
  if (Array.isArray(headers)) return [...headers.filter((_, i) => !CONNECTION.test(headers[i - i % 2])), 'connection', 'close']
  return { ...Object.fromEntries(Object.entries(headers).filter(([name]) => !CONNECTION.test(name))), connection: 'close' }
}

function isObject (value: unknown): value is object {
  return typeof value === 'object' && value !== null
}

/** Keeps a connection in the set until it closes. */
function keep<T extends Socket | ServerHttp2Session> (all: Set<T>, one: T): void {
  all.add(one)
  one.once('close', () => all.delete(one))
}
