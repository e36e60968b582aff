/** The messages between the main thread and the watchdog's thread. Connections are identified by numbers. */

/** Bytes that were read and written are reported in steps of this, in bytes. A typical request needs no report. */
export const REPORT_BYTES = 16 * 1024

/** Set when the thread is started. */
export interface ThreadData {
  readonly port: number
  readonly host: string | undefined
  /** The pulse of the main thread, see `Pulse`. */
  readonly pulse: SharedArrayBuffer
  /** How long the main thread may take to respond, in ms. */
  readonly timeout: number
  /** How long the event loop may be blocked before liveness fails, in ms. */
  readonly maxBlocked: number
  /** Whether to take the stack of the blocking code. */
  readonly stack: boolean
  /** Paths of the probes that pass while the event loop is blocked for less than `maxBlocked`. */
  readonly alive: readonly string[]
}

/** The addresses of a connection. */
export interface Addresses {
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
  readonly remoteFamily: string | undefined
  readonly localAddress: string | undefined
  readonly localPort: number | undefined
}

/** The fields of a system error. Structured cloning of the error would lose its code. */
export interface ErrorFields extends Readonly<NodeJS.ErrnoException> {}

export const fieldsOf = (error: Error): ErrorFields => ({ ...error, name: error.name, message: error.message })
export const errorOf = ({ message, ...fields }: ErrorFields): Error => Object.assign(new Error(message), fields)

export type ToMain =
  | { readonly type: 'listening', readonly address: import('node:net').AddressInfo }
  /** The port can't be listened on. */
  | { readonly type: 'failed', readonly error: ErrorFields }
  | { readonly type: 'open', readonly id: number, readonly addresses: Addresses }
  | { readonly type: 'data', readonly id: number, readonly bytes: Uint8Array }
  | { readonly type: 'end', readonly id: number }
  /** `count` more bytes have been written to the socket. */
  | { readonly type: 'written', readonly id: number, readonly count: number }
  /** Closed by the client, or by an error. */
  | { readonly type: 'close', readonly id: number, readonly error: ErrorFields | undefined }
  /** The thread has responded. */
  | { readonly type: 'answered', readonly id: number }
  /** The event loop has recovered. */
  | { readonly type: 'blocked', readonly blockedMs: number, readonly stack: string | undefined }

export type ToThread =
  | { readonly type: 'data', readonly id: number, readonly bytes: Uint8Array }
  | { readonly type: 'end', readonly id: number }
  /** `count` more bytes have been consumed. */
  | { readonly type: 'read', readonly id: number, readonly count: number }
  | { readonly type: 'destroy', readonly id: number }
  /** Stop accepting connections, and exit when the last one is closed. */
  | { readonly type: 'close' }
