import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'

/** Where connections go. */
export interface Endpoint {
  readonly pid: number
  readonly port: number
}

/**
 * A balancer of layer 4: it knows connections, not requests. One that is established stays with its process whatever is
 * learned of that later, and what happens to it on one side happens to it on the other.
 */
export class Balancer {
  /** Connections that no process took. */
  refused = 0
  readonly #server: Server
  readonly #endpoints: Endpoint[] = []
  readonly #open = new Map<Endpoint['pid'], number>()
  readonly #sockets = new Set<Socket>()
  #turn = 0

  /** @param latencyMs of the way from a client to a process, and back */
  constructor (private readonly latencyMs = 0) {
    this.#server = createServer({ allowHalfOpen: true, noDelay: true }, client => this.#accept(client))
  }

  async listen (): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
  }

  get port (): number { return (this.#server.address() as AddressInfo).port }

  add (endpoint: Endpoint): void { this.#endpoints.push(endpoint) }

  /** New connections go elsewhere from now on. */
  remove (endpoint: Endpoint): void {
    const index = this.#endpoints.indexOf(endpoint)
    if (index !== -1) this.#endpoints.splice(index, 1)
  }

  /** How many connections a process has. */
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

  /** Bodies are small here, so nothing is held back. */
  #forward (from: Socket, to: Socket): void {
    // Timers of one length fire in their order.
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
