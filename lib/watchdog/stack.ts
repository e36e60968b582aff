import { Session } from 'node:inspector'
import { isMainThread } from 'node:worker_threads'

/** More of them say no more, as in a recursion without end. */
const MAX_FRAMES = 30
/** How long to wait for the main thread to stop, in ms. Native code doesn't before it returns. */
export const PATIENCE = 1000

/**
 * Whether the stack of this thread may be taken by another one. Called in the thread whose stack it is: Node has no way
 * to that of a worker thread, and aborts the process where `--permission` forbids the inspector.
 */
export function mayTakeStack (): boolean {
  const { permission } = process as { permission?: { has (scope: string): boolean } }
  return isMainThread && permission?.has('inspector') !== false
}

interface Frame {
  readonly functionName: string
  readonly location: { readonly scriptId: string, readonly lineNumber: number, readonly columnNumber?: number }
}

/**
 * Takes the stack of the main thread from another thread while the main thread is blocked. That stops it for some
 * milliseconds. Native code can't be stopped: the stack is taken when it returns, and its first line says so. If nothing is
 * called after that, the function that called the native code is no longer on it.
 * @param callback receives one line for each frame, as in `error.stack`; called once at most
 * @returns a function that cancels it. Calling it afterwards is a no-op
 */
export function stackOfMainThread (callback: (stack: string) => void): () => void {
  const session = new Session()
  const files = new Map<string, string>()
  const askedAt = performance.now()
  let pending = true
  // Disconnecting makes a stopped main thread go on. Without an earlier `Debugger.resume` it can't exit before that, in
  // which case Node would write that it waits for a debugger.
  const cancel = () => {
    if (pending) session.disconnect()
    pending = false
  }
  try {
    session.connectToMainThread()
  } catch {
    return () => {}
  }
  session.on('Debugger.paused', ({ params }) => {
    if (!pending) return
    cancel()
    const frames = params.callFrames as unknown as readonly Frame[]
    const lines = frames.slice(0, MAX_FRAMES).map(frame => describe(frame, files))
    const isNative = performance.now() - askedAt > PATIENCE
    // The callers have returned as well: no function of the app is left.
    if (isNative && lines.every(line => line.includes('(node:'))) return
    callback([...isNative ? ['    at native code (stack taken when it returned)'] : [], ...lines].join('\n'))
  })
  // One for each script, before anything else.
  session.on('Debugger.scriptParsed', ({ params }) => { files.set(params.scriptId, params.url) })
  session.post('Debugger.enable')
  session.post('Debugger.pause')
  return cancel
}

function describe ({ functionName, location }: Frame, files: ReadonlyMap<string, string>): string {
  const { scriptId, lineNumber, columnNumber = 0 } = location
  return `    at ${functionName || '<anonymous>'} (${files.get(scriptId) || 'unknown'}:${lineNumber + 1}:${columnNumber + 1})`
}
