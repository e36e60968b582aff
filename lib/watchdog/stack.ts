import { Session } from 'node:inspector'
import { isMainThread } from 'node:worker_threads'

/** More frames are rarely useful, as in an infinite recursion. */
const MAX_FRAMES = 30
/** How long to wait for the main thread to stop, in ms. Native code doesn't before it returns. */
export const PATIENCE = 1000

/**
 * Whether another thread may take the stack of this one. Called in the thread whose stack it is: Node can't take that of a
 * worker thread, and aborts the process if `--permission` denies the inspector.
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
 * Takes the stack of the main thread from another thread while the main thread is blocked. This stops the main thread for a
 * few milliseconds. Native code can't be interrupted: the stack is taken when it returns, and the first line says so. If
 * nothing is called after that, the function that called the native code is no longer on the stack.
 * @param callback receives one line per frame, as in `error.stack`; called at most once
 * @returns a function that cancels it. Calling it afterwards is a no-op
 */
export function stackOfMainThread (callback: (stack: string) => void): () => void {
  const session = new Session()
  const files = new Map<string, string>()
  const askedAt = performance.now()
  let pending = true
  // Disconnecting resumes a stopped main thread. It isn't resumed by `Debugger.resume` first, so it can't exit before the
  // disconnection, in which case Node would log that it waits for a debugger.
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
    // The callers have returned as well, so no function of the app is left on the stack.
    if (isNative && lines.every(line => line.includes('(node:'))) return
    callback([...isNative ? ['    at native code (stack taken when it returned)'] : [], ...lines].join('\n'))
  })
  // Emitted for each script, before any other event.
  session.on('Debugger.scriptParsed', ({ params }) => { files.set(params.scriptId, params.url) })
  session.post('Debugger.enable')
  session.post('Debugger.pause')
  return cancel
}

function describe ({ functionName, location }: Frame, files: ReadonlyMap<string, string>): string {
  const { scriptId, lineNumber, columnNumber = 0 } = location
  return `    at ${functionName || '<anonymous>'} (${files.get(scriptId) || 'unknown'}:${lineNumber + 1}:${columnNumber + 1})`
}
