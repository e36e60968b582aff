/** What the main thread and the watchdog's thread tell each other. A connection is named by a number. */

/** In bytes. What has been read and written is reported in steps of this: for a usual request, neither is. */
export const REPORT_BYTES = 16 * 1024

/** Set when the thread is started. */
export interface ThreadData {
  readonly port: number
  readonly host: string | undefined
  /** The pulse of the main thread, see `Pulse`. */
  readonly pulse: SharedArrayBuffer
  /** How long the main thread may take to answer, in ms. */
  readonly timeout: number
  /** For how long a blocked event loop is no reason to restart, in ms. */
  readonly maxBlocked: number
  /** Whether to take the stack of what blocks. */
  readonly stack: boolean
  /** Paths of the probes that pass while the event loop is blocked. */
  readonly alive: readonly string[]
}

/** The ends of a connection. */
export interface Addresses {
  readonly remoteAddress: string | undefined
  readonly remotePort: number | undefined
  readonly remoteFamily: string | undefined
  readonly localAddress: string | undefined
  readonly localPort: number | undefined
}

/** An error of the system. A copy of the object would lose its code. */
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
  /** So many more bytes have been handed to the system. */
  | { readonly type: 'written', readonly id: number, readonly count: number }
  /** Closed by the client, or by an error. */
  | { readonly type: 'close', readonly id: number, readonly error: ErrorFields | undefined }
  /** Answered by the thread. */
  | { readonly type: 'answered', readonly id: number }
  /** The event loop turns again. */
  | { readonly type: 'blocked', readonly blockedMs: number, readonly stack: string | undefined }

export type ToThread =
  | { readonly type: 'data', readonly id: number, readonly bytes: Uint8Array }
  | { readonly type: 'end', readonly id: number }
  /** So many more bytes have been consumed. */
  | { readonly type: 'read', readonly id: number, readonly count: number }
  | { readonly type: 'destroy', readonly id: number }
  /** Accept no more connections, and end with the last one. */
  | { readonly type: 'close' }
