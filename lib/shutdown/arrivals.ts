import type { Socket } from 'node:net'

/** Connections that were opened within this time count, in ms. */
const WINDOW = 1000

/**
 * Counts the connections that were opened in the last second of a drain. If traffic still arrives then, endpoint removal has
 * not propagated, and the next connections will be refused.
 */
export class Arrivals {
  #recent: Array<{ readonly socket: Socket, readonly at: number }> = []

  constructor (private readonly now: () => number) {}

  /** A connection was opened. */
  add (socket: Socket): void {
    const now = this.now()
    while (this.#recent[0] !== undefined && this.#recent[0].at <= now - WINDOW) this.#recent.shift()
    this.#recent.push({ socket, at: now })
  }

  /** The connection is from a prober, which doesn't follow the endpoint. */
  ignore ({ remoteAddress, remotePort }: Socket): void {
    // Not by identity: over TLS and HTTP/2 a request's socket isn't that of the server's `connection` event.
    this.#recent = this.#recent.filter(({ socket }) => socket.remotePort !== remotePort || socket.remoteAddress !== remoteAddress)
  }

  /** The number of connections. One without a byte, such as a load balancer's TCP check, is not traffic. */
  get count (): number {
    const since = this.now() - WINDOW
    return this.#recent.filter(({ socket, at }) => at > since && socket.bytesRead > 0).length
  }
}
