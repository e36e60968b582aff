import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** A process that connections are forwarded to. */
export interface Endpoint {
  readonly pid: number
  readonly port: number
}

/**
 * A layer 4 load balancer, which handles connections, not requests. An established connection stays with its process even
 * after that is removed. Events on one side are forwarded to the other.
 */
export class Balancer {
  /** The number of connections that no process accepted. */
  refused = 0
  readonly #server: Server
  readonly #endpoints: Endpoint[] = []
  readonly #open = new Map<Endpoint['pid'], number>()
  readonly #sockets = new Set<Socket>()
  #turn = 0

  /** @param latencyMs one-way latency between client and process */
  constructor (private readonly latencyMs = 0) {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, client => this.#accept(client))
  }

  async listen (): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  get port (): number { return (this.#server.address() as AddressInfo).port }

  add (endpoint: Endpoint): void { this.#endpoints.push(endpoint) }

  /** Stops forwarding new connections to a process. */
  remove (endpoint: Endpoint): void {
    const index = this.#endpoints.indexOf(endpoint)
    if (index !== -1) this.#endpoints.splice(index, 1)
  }

  /** The number of open connections of a process. */
  open (pid: Endpoint['pid']): number { return this.#open.get(pid) ?? 0 }

  close (): void {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
  }

  #accept (client: Socket): void {
    const endpoint = this.#endpoints[this.#turn++ % this.#endpoints.length]
    if (endpoint === undefined) {
      this.refused++
      client.resetAndDestroy()
      return
    }
    const { pid, port } = endpoint
    const upstream = connect({ port, host: '127.0.0.1', allowHalfOpen: true, noDelay: true })
    this.#open.set(pid, this.open(pid) + 1)
    upstream.on('error', () => { if (upstream.connecting || upstream.bytesRead + upstream.bytesWritten === 0) this.refused++ })
    upstream.on('close', () => this.#open.set(pid, this.open(pid) - 1))
    this.#forward(client, upstream)
    this.#forward(upstream, client)
  }

  /** Ignores backpressure, since bodies are small here. */
  #forward (from: Socket, to: Socket): void {
    // Timers with the same delay fire in order.
    const later = this.latencyMs === 0 ? (action: () => void) => action() : (action: () => void) => { setTimeout(action, this.latencyMs) }
    this.#sockets.add(from)
    from.on('data', chunk => later(() => { if (to.writable) to.write(chunk) }))
    from.on('end', () => later(() => { to.end() }))
    from.on('error', () => later(() => { to.resetAndDestroy() }))
    from.on('close', () => {
      this.#sockets.delete(from)
      later(() => { if (!to.writableEnded) to.destroy() })
    })
  }
}
