import type { AddressInfo } from 'node:net'
import { Duplex } from 'node:stream'
import { type Addresses, REPORT_BYTES, type ToThread } from './messages.js'

/** Up to this much a write completes when it is sent to the thread, as if the kernel had buffered it, in bytes. */
const MAX_UNWRITTEN = 64 * 1024

/**
 * The main thread's end of a connection that the watchdog's thread accepted. It has the timeouts and events of a
 * `net.Socket`, as `node:http` expects.
 */
export class RelayedSocket extends Duplex implements Addresses {
  readonly remoteAddress
  readonly remotePort
  readonly remoteFamily
  readonly localAddress
  readonly localPort
  bytesRead = 0
  /** The thread has responded in place of the main thread, or died: the client hasn't hung up. */
  answered = false
  /** Bytes received, but not reported to the thread as consumed. */
  #unread = 0
  /** Bytes sent to the thread, but not reported by it as written. */
  #unwritten = 0
  /** Completes a write beyond the limit. */
  #written: (() => void) | undefined
  #timer: NodeJS.Timeout | undefined
  /** Whether the pending write has already prolonged the timeout. */
  #prolonged = false

  constructor (private readonly id: number, addresses: Addresses, private readonly send: (message: ToThread) => void) {
    super({ allowHalfOpen: true })
    this.remoteAddress = addresses.remoteAddress
    this.remotePort = addresses.remotePort
    this.remoteFamily = addresses.remoteFamily
    this.localAddress = addresses.localAddress
    this.localPort = addresses.localPort
  }

  address (): AddressInfo {
    return { address: this.localAddress!, family: this.remoteFamily!, port: this.localPort! }
  }

  /** Bytes from the client; `null` at the end. */
  receive (bytes: Uint8Array | null): void {
    this.#timer?.refresh()
    if (bytes !== null) {
      this.bytesRead += bytes.length
      this.#unread += bytes.length
    }
    this.push(bytes)
  }

  /** The thread has written `count` more bytes. */
  written (count: number): void {
    this.#unwritten -= count
    if (this.#unwritten > MAX_UNWRITTEN) return
    this.#timer?.refresh()
    const written = this.#written
    this.#written = undefined
    written?.()
  }

  /** Closes the socket although the client hasn't. */
  leave (): void {
    this.answered = true
    this.destroy()
  }

  setTimeout (ms: number, callback?: () => void): this {
    clearTimeout(this.#timer)
    this.#timer = undefined
    if (ms > 0) this.#timer = setTimeout(() => { this.#expire() }, ms).unref()
    if (callback !== undefined) {
      if (ms > 0) this.once('timeout', callback)
      else this.off('timeout', callback)
    }
    return this
  }

  /** A `net.Socket` lets a write that has made progress take one more period. */
  #expire (): void {
    if (this.#written === undefined || this.#prolonged) {
      this.emit('timeout')
    } else {
      this.#prolonged = true
      this.#timer!.refresh()
    }
  }

  destroySoon (): void {
    if (this.writable) this.end()
    if (this.writableFinished) this.destroy()
    else this.once('finish', () => { this.destroy() })
  }

  ref (): this { return this }
  unref (): this { return this }
  setNoDelay (): this { return this }
  setKeepAlive (): this { return this }

  override _read (): void {
    if (this.#unread < REPORT_BYTES) return
    this.send({ type: 'read', id: this.id, count: this.#unread })
    this.#unread = 0
  }

  override _write (chunk: Buffer, _encoding: BufferEncoding, written: () => void): void {
    this.#timer?.refresh()
    this.#prolonged = false
    this.#unwritten += chunk.length
    this.send({ type: 'data', id: this.id, bytes: new Uint8Array(chunk) })
    if (this.#unwritten <= MAX_UNWRITTEN) written()
    else this.#written = written
  }

  override _writev (chunks: ReadonlyArray<{ readonly chunk: Buffer }>, written: () => void): void {
    this._write(Buffer.concat(chunks.map(({ chunk }) => chunk)), 'latin1', written)
  }

  override _final (done: () => void): void {
    this.send({ type: 'end', id: this.id })
    done()
  }

  override _destroy (error: Error | null, done: (error: Error | null) => void): void {
    clearTimeout(this.#timer)
    this.#timer = undefined
    this.send({ type: 'destroy', id: this.id })
    done(error)
  }
}
