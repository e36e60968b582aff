import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { writeSync } from 'node:fs'
import { type AddressInfo, createServer, type Socket } from 'node:net'
import { hostname } from 'node:os'
import { Duplex } from 'node:stream'
import type { MessagePort } from 'node:worker_threads'
import { fieldsOf, REPORT_BYTES, type ThreadData, type ToMain, type ToThread } from './messages.js'
import { BEAT, Pulse, sharedNow } from './pulse.js'
import { PATIENCE, stackOfMainThread } from './stack.js'
import { seconds } from '../clock.js'

const TICK = 100
/** A connection is paused while the main thread has this much left to consume, in bytes. */
const MAX_UNREAD = 64 * 1024
/** Timeout for the client to read the rest from a connection that the main thread has closed, in ms. */
const LINGER = 3000
/** Maximum duration of a connection on which the thread responds, in ms. */
const TAKEN_LIMIT = 5000
/** Minimum duration of a block to be reported, in ms. */
const REPORTED_MS = 1000
/** At most one stack is taken in this period, in ms. */
const STACK_PERIOD = 60_000

interface Connection {
  readonly socket: Socket
  /** Received since the last write of the main thread. */
  unanswered: Uint8Array[]
  /** When the first of it arrived. */
  since: number
  /** Bytes that the main thread hasn't consumed yet. */
  unread: number
  /** Bytes that have been written, but not reported to the main thread. */
  unreported: number
}

/** The report of one block. */
interface Report {
  /** When it started. */
  readonly since: number
  stack?: string
  /** Whether to write a line. */
  due: boolean
  /** Whether a line has been written. */
  written: boolean
  /** Cancels taking the stack. */
  cancel?: () => void
}

/** The thread's side of the watchdog: accepts connections, relays them, and responds while the main thread is blocked. */
export class Relay {
  readonly #server = createServer({ allowHalfOpen: true, noDelay: true }, socket => this.#accept(socket))
  readonly #answers = createHttpServer((request, response) => this.#answer(request, response))
  readonly #connections = new Map<number, Connection>()
  readonly #pulse: Pulse
  #ids = 0
  #lastTick = sharedNow()
  /** How long this thread itself didn't run since the last beat, because the process was stopped or got no CPU. */
  #asleep = 0
  #beatAt = 0
  #blockedMs = 0
  #report: Report | undefined
  #stackAt = -Infinity
  #timer: NodeJS.Timeout | undefined

  constructor (private readonly port: MessagePort, private readonly data: ThreadData) {
    this.#pulse = new Pulse(data.pulse)
  }

  listen (): void {
    this.port.on('message', message => this.#receive(message))
    this.#server.once('error', error => this.#send({ type: 'failed', error: fieldsOf(error) }))
    this.#server.listen({ port: this.data.port, host: this.data.host }, () => {
      this.#send({ type: 'listening', address: this.#server.address() as AddressInfo })
    })
    this.#timer = setInterval(() => this.#tick(), TICK)
  }

  #send (message: ToMain): void {
    this.port.postMessage(message)
  }

  #receive (message: ToThread): void {
    if (message.type === 'close') {
      // The heartbeat has stopped.
      clearInterval(this.#timer)
      this.#timer = undefined
      this.#turns(sharedNow() - this.#beatAt - this.#asleep)
      this.#server.close(() => { this.port.close() })
      this.#pulse.closed()
      return
    }
    const connection = this.#connections.get(message.id)
    if (connection === undefined) return
    const { socket } = connection
    if (message.type === 'data') {
      connection.unanswered = []
      socket.write(message.bytes, () => this.#written(message.id, connection, message.bytes.length))
    } else if (message.type === 'end') {
      socket.end()
    } else if (message.type === 'read') {
      connection.unread -= message.count
      if (connection.unread < MAX_UNREAD) socket.resume()
    } else {
      this.#connections.delete(message.id)
      // Pending data is still sent, if the client reads it.
      socket.setTimeout(LINGER, () => { socket.destroy() }).destroySoon()
    }
  }

  #written (id: number, connection: Connection, count: number): void {
    connection.unreported += count
    if (connection.unreported < REPORT_BYTES) return
    this.#send({ type: 'written', id, count: connection.unreported })
    connection.unreported = 0
  }

  #accept (socket: Socket): void {
    const id = ++this.#ids
    const { remoteAddress, remotePort, remoteFamily, localAddress, localPort } = socket
    const connection: Connection = { socket, unanswered: [], since: 0, unread: 0, unreported: 0 }
    this.#connections.set(id, connection)
    this.#send({ type: 'open', id, addresses: { remoteAddress, remotePort, remoteFamily, localAddress, localPort } })
    socket.on('data', bytes => {
      if (connection.unanswered.length === 0) {
        connection.since = sharedNow()
        // A prober's timeout is often 1 s, which leaves no time for the next tick.
        setTimeout(() => this.#tick(), this.data.timeout + 1).unref()
      }
      connection.unanswered.push(bytes)
      connection.unread += bytes.length
      if (connection.unread >= MAX_UNREAD) socket.pause()
      this.#send({ type: 'data', id, bytes })
    })
    socket.on('end', () => { if (this.#connections.has(id)) this.#send({ type: 'end', id }) })
    let error: Error | undefined
    socket.on('error', cause => { error = cause })
    socket.on('close', () => {
      if (this.#connections.delete(id)) this.#send({ type: 'close', id, error: error && fieldsOf(error) })
    })
  }

  #tick (): void {
    if (this.#timer === undefined) return
    const now = sharedNow()
    const beatAt = this.#pulse.at
    // If a tick is late, the whole process was stopped.
    const late = Math.max(0, now - this.#lastTick - 2 * TICK)
    this.#lastTick = now
    if (beatAt === this.#beatAt) {
      this.#asleep += late
    } else {
      this.#turns(beatAt - this.#beatAt - this.#asleep)
      this.#beatAt = beatAt
      this.#asleep = Math.min(late, now - beatAt)
    }
    this.#blockedMs = this.#pulse.debugged ? 0 : now - beatAt - this.#asleep
    if (this.#blockedMs >= REPORTED_MS) this.#reportBlock(now)
    if (this.#blockedMs < 2 * BEAT) return
    for (const [id, connection] of this.#connections) {
      if (connection.unanswered.length > 0 && now - connection.since >= this.data.timeout) this.#takeOver(id, connection)
    }
  }

  /** The event loop has recovered. */
  #turns (blockedMs: number): void {
    if (this.#report === undefined) return
    this.#report.cancel?.()
    this.#send({ type: 'blocked', blockedMs, stack: this.#report.stack })
    this.#report = undefined
  }

  /** Called at each tick of a block after the first second. Writes one line, and another if the stack arrives later. */
  #reportBlock (now: number): void {
    const report = this.#report ??= this.#startReport(now)
    if (!report.written && now - report.since > PATIENCE) report.due = true
    if (report.due) this.#write(report)
  }

  #startReport (now: number): Report {
    const wanted = this.data.stack && now - this.#stackAt >= STACK_PERIOD
    const report: Report = { since: now, due: !wanted, written: false }
    if (wanted) {
      report.cancel = stackOfMainThread(stack => {
        this.#stackAt = now
        report.stack = stack
        // A late stack usually means that the block is over, and the app's logger gets it next. If not, the next tick writes it.
        report.due = true
        if (!report.written) this.#write(report)
      })
    }
    return report
  }

  #write (report: Report): void {
    report.due = false
    report.written = true
    const { stack } = report
    const origin = { level: 40, time: Date.now(), pid: process.pid, hostname: hostname() }
    const line = { ...origin, blockedMs: this.#blockedMs, ...(stack !== undefined && { stack }), msg: title(this.#blockedMs) }
    try {
      writeSync(2, JSON.stringify(line) + '\n')
    } catch {
      // Stderr is closed or full. Responding to probes matters more.
    }
  }

  #takeOver (id: number, { socket, unanswered }: Connection): void {
    this.#connections.delete(id)
    this.#send({ type: 'answered', id })
    socket.removeAllListeners('data').removeAllListeners('end').removeAllListeners('close')
    const replay = new Duplex({
      allowHalfOpen: true,
      read () {},
      write: (chunk, _encoding, done) => { socket.write(chunk, () => done()) },
      final: done => { socket.end(done) },
      destroy: (error, done) => { socket.destroySoon(); done(error) }
    })
    socket.on('data', bytes => { replay.push(bytes) }).resume()
    // For clients that don't finish their request, read the response or close.
    const limit = setTimeout(() => { socket.destroy() }, TAKEN_LIMIT)
    socket.on('end', () => replay.push(null)).on('close', () => {
      clearTimeout(limit)
      replay.destroy()
    })
    for (const bytes of unanswered) replay.push(bytes)
    this.#answers.emit('connection', replay)
  }

  #answer ({ method, url = '' }: IncomingMessage, response: ServerResponse): void {
    const path = url.replace(/\?.*/s, '')
    const { starting } = this.#pulse
    const isRead = method === 'GET' || method === 'HEAD'
    const alive = isRead && this.data.alive.includes(path) && (starting || this.#blockedMs < this.data.maxBlocked)
    const problem = alive ? { status: 200, title: 'OK' } : { status: 503, title: starting ? 'Starting' : title(this.#blockedMs) }
    const body = JSON.stringify(problem)
    response.writeHead(problem.status, {
      'content-type': 'application/problem+json',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'content-length': Buffer.byteLength(body),
      connection: 'close'
    }).end(body)
  }
}

const title = (blockedMs: number) => `event loop blocked for ${seconds(blockedMs)}`
