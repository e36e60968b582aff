import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** A TCP proxy between a client and a real server that simulates network faults. By default it forwards everything. */
export interface Proxy {
  readonly host: string
  readonly port: number
  /** The number of open client connections. */
  readonly open: number
  /** The number of connections accepted so far. */
  readonly accepted: number
  /** Resolves when it accepts the next connection. */
  next (): Promise<void>
  /**
   * Forwards nothing, like a network that drops every packet: connections stay open, new ones are accepted, and neither
   * side notices what the other does, not even that it closes. `resume()` forwards the data that was held back, as TCP
   * would retransmit it. A connection that was opened and closed in between never reaches the server.
   */
  swallow (): void
  /** Delays everything by `ms`, in order. */
  delay (ms: number): void
  /** Resets all open connections on both sides. New ones are accepted. */
  cut (): void
  /** Stops listening, so that new connections are refused. Open ones stay until `cut()`. */
  refuse (): Promise<void>
  /** Ends all faults, on the same port. */
  resume (): Promise<void>
  /** Stops listening and resets all connections. */
  close (): Promise<void>
}

/** Starts a proxy for a port on the loopback interface. Close it with `t.teardown(() => proxy.close())`. */
export async function proxyTo (target: number, host = '127.0.0.1'): Promise<Proxy> {
  const sockets = new Set<Socket>()
  const clients = new Set<Socket>()
  /** Actions deferred until `resume()`. */
  const held = new Set<() => void>()
  const arrivals = new Set<() => void>()
  let swallowing = false
  let delayMs = 0
  let accepted = 0

  const track = (socket: Socket): void => {
    sockets.add(socket)
    // A failure also emits 'close'.
    socket.setNoDelay().on('error', () => {}).on('close', () => { sockets.delete(socket) })
  }
  const carry = (from: Socket, to: Socket): void => {
    let before = Promise.resolve()
    const pass = (what: () => void): void => {
      const delayed = delayMs === 0 ? undefined : sleep(delayMs)
      before = before.then(() => delayed).then(what)
    }
    const close = (): void => pass(() => { to.destroy() })
    from.on('data', chunk => pass(() => { to.write(chunk) }))
    from.on('end', () => pass(() => { to.end() }))
    from.on('close', () => { if (swallowing) held.add(close); else close() })
    if (swallowing) from.pause()
  }
  const join = (client: Socket, begun: Buffer[] = []): void => {
    const upstream = connect({ port: target, host: '127.0.0.1', allowHalfOpen: true })
    track(upstream)
    for (const chunk of begun) upstream.write(chunk)
    carry(client, upstream)
    carry(upstream, client)
  }
  const hold = (client: Socket): void => {
    const begun: Buffer[] = []
    const keep = (chunk: Buffer): void => { begun.push(chunk) }
    const giveUp = (): void => { client.destroy() }
    const start = (): void => {
      client.off('data', keep).off('end', giveUp)
      join(client, begun)
    }
    client.on('data', keep).on('end', giveUp).on('close', () => { held.delete(start) })
    held.add(start)
  }
  const accept = (client: Socket): void => {
    accepted++
    track(client)
    clients.add(client)
    client.on('close', () => { clients.delete(client) })
    if (swallowing) hold(client)
    else join(client)
    for (const arrived of arrivals) arrived()
    arrivals.clear()
  }
  const cut = (): void => {
    for (const socket of sockets) {
      // Resetting a socket that is ending keeps the process busy on exit (seen with Node.js 20).
      if (socket.writableEnded) socket.destroy()
      else socket.resetAndDestroy()
    }
  }

  let server: Server | undefined
  const listen = async (port: number): Promise<void> => {
    server = createServer({ allowHalfOpen: true }, accept).listen(port, host)
    await once(server, 'listening')
  }
  const refuse = async (): Promise<void> => {
    server?.close()
    server = undefined
  }
  const port = await listenBelow(listen)

  return {
    host,
    port,
    get open () { return clients.size },
    get accepted () { return accepted },
    next: () => new Promise(resolve => { arrivals.add(resolve) }),
    swallow () {
      swallowing = true
      for (const socket of sockets) socket.pause()
    },
    delay (ms) { delayMs = ms },
    cut,
    refuse,
    async resume () {
      swallowing = false
      delayMs = 0
      for (const socket of sockets) socket.resume()
      for (const go of held) go()
      held.clear()
      if (server === undefined) await listen(port)
    },
    async close () {
      await refuse()
      cut()
    }
  }
}

/**
 * Listens on a port below the ephemeral range, so that no outgoing connection takes it while the proxy refuses
 * connections.
 */
async function listenBelow (listen: (port: number) => Promise<void>): Promise<number> {
  for (;;) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    try {
      await listen(port)
      return port
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error
    }
  }
}
