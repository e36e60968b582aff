import { EventEmitter } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { mayTakeStack, PATIENCE, stackOfMainThread } from '../../../lib/watchdog/stack.js'

/** As `inspector.Session`, to the main thread of which a test makes what it wants. */
class FakeSession extends EventEmitter {
  readonly posted: string[] = []
  connected = false

  connectToMainThread () { this.connected = true }
  disconnect () { this.connected = false }

  post (method: string) {
    if (!this.connected) throw new Error('not connected')
    this.posted.push(method)
  }
}

function take (t: Test) {
  const session = new FakeSession()
  const stacks: string[] = []
  const { stackOfMainThread } = t.mockRequire<typeof import('../../../lib/watchdog/stack.js')>('../../../lib/watchdog/stack.js', {
    'node:inspector': { Session: function () { return session } }
  })
  const cancel = stackOfMainThread(stack => { stacks.push(stack) })
  return { session, stacks, cancel }
}

const frame = (functionName: string, scriptId: string, lineNumber: number, columnNumber?: number) =>
  ({ functionName, location: { scriptId, lineNumber, columnNumber } })
const CALL_FRAMES = [frame('spin', '1', 9, 4), frame('', '1', 19), frame('eval', '2', 0, 0)]
const LINES = '    at spin (file:///app/a.js:10:5)\n    at <anonymous> (file:///app/a.js:20:1)\n    at eval (unknown:1:1)'

t.test('the stack has a line for each frame, as in error.stack', async t => {
  const { session, stacks } = take(t)
  t.strictSame(session.posted, ['Debugger.enable', 'Debugger.pause'])
  session.emit('Debugger.scriptParsed', { params: { scriptId: '1', url: 'file:///app/a.js' } })
  session.emit('Debugger.paused', { params: { callFrames: CALL_FRAMES } })
  session.emit('Debugger.paused', { params: { callFrames: CALL_FRAMES } })
  t.strictSame(stacks, [LINES])
  t.equal(session.connected, false, 'the main thread goes on')
})

t.test('a stack that came late is that of the caller of native code, unless nobody of the app is left', async t => {
  for (const [url, expected] of [['file:///app/a.js', [`    at native code (stack taken when it returned)\n${LINES}`]], ['node:timers', []]] as const) {
    const { session, stacks } = take(t)
    await sleep(PATIENCE + 100)
    for (const scriptId of ['1', '2']) {
      if (scriptId === '1' || url.startsWith('node:')) session.emit('Debugger.scriptParsed', { params: { scriptId, url } })
    }
    session.emit('Debugger.paused', { params: { callFrames: CALL_FRAMES } })
    t.strictSame(stacks, expected)
    t.equal(session.connected, false)
  }
})

t.test('cancelled, it stops the main thread no more', async t => {
  const { session, stacks, cancel } = take(t)
  cancel()
  cancel()
  t.equal(session.connected, false)
  session.emit('Debugger.paused', { params: { callFrames: CALL_FRAMES } })
  t.strictSame(stacks, [])
})

t.test('there is none where it cannot be connected to, as from itself', async t => {
  stackOfMainThread(() => t.fail())()
})

t.test('the stack of a worker thread is not taken, nor where the inspector is forbidden', async t => {
  t.equal(mayTakeStack(), true)
  for (const allowed of [true, false]) {
    Object.defineProperty(process, 'permission', { value: { has: (scope: string) => scope === 'inspector' && allowed }, configurable: true })
    t.equal(mayTakeStack(), allowed)
    delete (process as { permission?: object }).permission
  }
  const worker = t.mockRequire<typeof import('../../../lib/watchdog/stack.js')>('../../../lib/watchdog/stack.js', {
    'node:worker_threads': { isMainThread: false }
  })
  t.equal(worker.mayTakeStack(), false)
})
