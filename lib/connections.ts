import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import type { Server, ServerResponse } from 'node:http'
import type { ServerHttp2Session } from 'node:http2'
import type { AddressInfo, Socket } from 'node:net'
import { Server as TlsServer } from 'node:tls'
import type { FastifyInstance } from 'fastify'

const REQUEST_START = 'http.server.request.start'
const RESPONSE_FINISH = 'http.server.response.finish'
interface Exchange { readonly response: ServerResponse, readonly socket: Socket, readonly server: Server }

/**
 * `_httpMessage` is the response that is under way; `http-terminator` and others go by it as well. `parser` is there for
 * as long as the socket speaks HTTP/1.1: not over HTTP/2, nor once it has become a WebSocket.
 */
type HttpSocket = Socket & { _httpMessage?: ServerResponse | null, parser?: object | null }

/** How long a request may take to begin on a connection of a server that closes, in ms, at least; twice that at most. */
const SILENCE = 500

const known = new WeakMap<Server, Connections>()

/**
 * The connections of the app's server, which have to end before it can close without breaking a request. What is added
 * to a service that doesn't drain is once for a connection, never for a request.
 */
export class Connections {
  readonly #sockets = new Set<HttpSocket>()
  readonly #sessions = new Set<ServerHttp2Session>()
  readonly #subscribed = new Map<string, (message: unknown) => void>()
  #sweep: NodeJS.Timeout | undefined

  /** Those of the app's server, which several scopes of the app may ask for. */
  static of (app: FastifyInstance): Connections {
    let connections = known.get(app.server)
    if (connections === undefined) known.set(app.server, connections = new Connections(app))
    return connections
  }

  private constructor (private readonly app: FastifyInstance) {
    const { server } = app
    keep(this.#sockets, server, server instanceof TlsServer ? 'secureConnection' : 'connection')
    keep(this.#sessions, server, 'session')
  }

  /**
   * From now on each answer over HTTP/1.1 is the last one of its connection, and says so (`Connection: close`); those to
   * requests that are under way, too, unless they have begun.
   */
  endAfterAnswer (): void {
    for (const { _httpMessage: response } of this.#sockets) {
      if (response && !response.headersSent) response.shouldKeepAlive = false
    }
    this.#on(REQUEST_START, ({ response }) => { response.shouldKeepAlive = false })
  }

  /** The server closes: a connection on which an answer has begun that promised to keep it ends with this answer. */
  endAll (): void {
    this.endAfterAnswer()
    this.#on(RESPONSE_FINISH, ({ response, socket }) => { if (response.shouldKeepAlive) socket.end() })
    this.endSessions()
    this.#endSilent()
  }

  /** Tells the clients of HTTP/2 to go away (GOAWAY): what is under way ends, and nothing new begins on these sessions. */
  endSessions (): void {
    for (const session of this.#sessions) session.close()
  }

  /**
   * Node closes with the server what is idle after a request, and stops to look at the time that a request takes to
   * arrive: a connection without one, such as a browser opens ahead of need, would hold the close for as long as it likes.
   */
  #endSilent (): void {
    let silent: HttpSocket[] = []
    const isSilent = ({ parser, _httpMessage: response }: HttpSocket) => parser && !response
    this.#sweep ??= setInterval(() => {
      // While it listens, as during a drain in `preClose`, a request may come on any of them.
      if (this.app.server.listening) return
      for (const socket of silent) if (isSilent(socket)) socket.destroy()
      silent = [...this.#sockets].filter(isSilent)
    }, SILENCE).unref()
  }

  /** The server has closed. */
  forget (): void {
    clearInterval(this.#sweep)
    for (const [channel, listener] of this.#subscribed) unsubscribe(channel, listener)
    this.#subscribed.clear()
  }

  /**
   * Node tells of all servers of the process on one channel. Those of the app are its server, and the second one that
   * Fastify makes for `localhost`, which is known by its port only.
   */
  #on (channel: string, act: (exchange: Exchange) => void): void {
    if (this.#subscribed.has(channel)) return
    const { server } = this.app
    const listener = (message: unknown) => {
      const exchange = message as Exchange
      const { localPort } = exchange.socket
      // On a unix socket there is no port.
      const ours = localPort !== undefined && this.app.addresses().some(address => (address as AddressInfo).port === localPort)
      if (exchange.server === server || ours) act(exchange)
    }
    this.#subscribed.set(channel, listener)
    subscribe(channel, listener)
  }
}

/** Holds what comes with the event until it closes. */
function keep<T extends Socket | ServerHttp2Session> (all: Set<T>, server: Server, event: string): void {
  server.on(event, (one: T) => {
    all.add(one)
    one.once('close', () => all.delete(one))
  })
}
