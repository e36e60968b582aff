import type { Socket } from 'node:net'

/** In ms, how recently a connection must have been opened to count. */
const WINDOW = 1000

/**
 * Counts the connections that were opened in the last second of a drain. Traffic that still arrives then will be refused
 * in the next moment, so the removal of the endpoint has not propagated.
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

  /** A connection is a prober's, which doesn't follow the endpoint. */
  ignore ({ remoteAddress, remotePort }: Socket): void {
    // Not by identity: over TLS and HTTP/2 a request has another object than the server's `connection` event.
    this.#recent = this.#recent.filter(({ socket }) => socket.remotePort !== remotePort || socket.remoteAddress !== remoteAddress)
  }

  /** How many there were. A connection without a byte is no traffic, such as a load balancer's TCP check. */
  get count (): number {
    const since = this.now() - WINDOW
    return this.#recent.filter(({ socket, at }) => at > since && socket.bytesRead > 0).length
  }
}
