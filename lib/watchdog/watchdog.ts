import { once } from 'node:events'
import { url as inspectorUrl } from 'node:inspector'
import type { Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import type { ThreadObserver } from '../telemetry/events.js'
import { errorOf, type ThreadData, type ToMain, type ToThread } from './messages.js'
import { BEAT, Pulse } from './pulse.js'
import { RelayedSocket } from './relayed-socket.js'
import { mayTakeStack } from './stack.js'

/** A message about a connection or a block. */
type Relayed = Exclude<ToMain, { readonly type: 'listening' | 'failed' }>

export type WatchdogSettings = Omit<ThreadData, 'pulse'>

/** How long the thread may take to close the port, in ms. It takes less than 1 ms, unless it gets no CPU. */
const PATIENCE = 1000

/**
 * The thread needs little memory and inherits no options or environment: modules that are preloaded by `NODE_OPTIONS`, such
 * as agents, would run in it too.
 */
const OPTIONS = {
  resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4 },
  execArgv: [],
  env: {}
}

/**
 * The main thread's side of the watchdog: starts the thread that owns the port, writes the heartbeat, and passes the
 * connections that the thread accepts to the server. It doesn't keep the process alive.
 */
export class Watchdog {
  readonly #sockets = new Map<number, RelayedSocket>()
  /** Connections on which the thread has responded, until that message is handled. */
  readonly #answered = new Set<number>()
  readonly #pulse = new Pulse()
  readonly #worker: Worker
  readonly #beat: NodeJS.Timeout
  #error: unknown
  /** Whether the thread no longer has the port. */
  #closed = false

  address!: AddressInfo
  /** The error of `listen`. */
  failure: Error | undefined

  /** @throws if the thread can't be started */
  static async start (server: Server, settings: WatchdogSettings, observer: () => ThreadObserver): Promise<Watchdog> {
    const watchdog = new Watchdog(server, settings, observer)
    const worker = watchdog.#worker
    // The first message says whether it listens.
    const [message] = await Promise.race([once(worker, 'message'), once(worker, 'exit')]) as [ToMain | number]
    if (typeof message === 'number') throw exited(message)
    return watchdog
  }

  private constructor (private readonly server: Server, settings: WatchdogSettings, private readonly observer: () => ThreadObserver) {
    // `inspector.url()` is set while a debugger may be attached, which stops the event loop on purpose.
    const beat = () => this.#pulse.beat(inspectorUrl() !== undefined)
    beat()
    const workerData: ThreadData = { ...settings, stack: settings.stack && mayTakeStack(), pulse: this.#pulse.memory }
    this.#worker = new Worker(join(__dirname, 'thread.js'), { ...OPTIONS, workerData })
    this.#worker
      .on('message', message => { this.#receive(message) })
      .on('error', error => { this.#error = error })
      .on('exit', code => { this.#exited(code) })
    this.#beat = setInterval(beat, BEAT).unref()
  }

  /** The app has left the state `starting`. */
  started (): void {
    this.#pulse.started()
  }

  /** Frees the port. Pending connections are still served. */
  close (): void {
    this.server.close()
    if (this.#closed) return
    this.#closed = true
    this.#send({ type: 'close' })
    // Synchronously, so that the port is free as soon as the app has closed.
    this.#pulse.awaitClose(PATIENCE)
  }

  #send (message: ToThread): void {
    this.#worker.postMessage(message)
  }

  #receive (message: ToMain): void {
    if (message.type === 'listening') {
      this.address = message.address
      this.#worker.unref()
      // From this event on Node enforces the limits of the server.
      this.server.emit('listening')
    } else if (message.type === 'failed') {
      this.failure = errorOf(message.error)
      this.#closed = true
      this.#worker.terminate()
    } else {
      if (message.type === 'answered') this.#answered.add(message.id)
      // Later, since messages arrive one by one: connections on which the thread has responded meanwhile are ignored then.
      setImmediate(() => { this.#handle(message) })
    }
  }

  #handle (message: Relayed): void {
    if (message.type === 'blocked') return this.observer().loopBlocked(message.blockedMs, message.stack)
    const { id } = message
    const answered = this.#answered.has(id)
    if (message.type === 'open') {
      if (!answered) this.#accept(message)
      return
    }
    const socket = this.#sockets.get(id)
    if (message.type === 'answered') {
      this.#answered.delete(id)
      socket?.leave()
    } else if (socket === undefined) {
      // Closed by the main thread.
    } else if (message.type === 'close') {
      socket.destroy(message.error && errorOf(message.error))
    } else if (message.type === 'written') {
      socket.written(message.count)
    } else if (!answered) {
      socket.receive(message.type === 'data' ? message.bytes : null)
    }
  }

  #accept ({ id, addresses }: Relayed & { type: 'open' }): void {
    const socket = new RelayedSocket(id, addresses, message => this.#send(message))
    this.#sockets.set(id, socket)
    socket.once('close', () => this.#sockets.delete(id))
    this.server.emit('connection', socket)
  }

  #exited (code: number): void {
    clearInterval(this.#beat)
    for (const socket of this.#sockets.values()) socket.leave()
    // It has never listened, or it exits with the app.
    if (this.address === undefined || this.#closed) return
    this.#closed = true
    const { address: host, port } = this.address
    const error = this.#error ?? exited(code)
    this.server
      .once('listening', () => { this.observer().threadDied(error) })
      .once('error', listenError => { this.observer().threadDied(error, listenError) })
      .listen({ host, port }).unref()
  }
}

function exited (code: number): Error {
  return new Error(`the thread exited with code ${code}`)
}
