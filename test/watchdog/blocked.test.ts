// The thread that serves the separate port, in a separate process whose event loop is blocked.
import { EventEmitter, once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { WebSocket } from 'ws'
import { ask, probe, startBlocking } from '../helpers/blocking.js'

t.jobs = 4

const BLOCKED = /^503 event loop blocked for \d+(\.\d)? s$/
/** The first frames of `block` in the helper. */
const CULPRIT = /at block \(|at spin \(.*\n +at block \(/

t.test('while a request blocks, live passes and all other probes fail, whoever asks and how', async t => {
  const service = startBlocking(t, { options: 'probes: { cache: { redis: async () => {} } }, details: true,' })
  const port = await service.probes()
  await service.app()
  t.equal(await probe(port, 'live'), '200 OK')
  t.equal(await probe(port, 'ready'), '200 OK')
  await service.block()
  const answers = await Promise.all([
    probe(port, 'live'), probe(port, 'live'), probe(port, 'live'),
    probe(port, 'ready'), probe(port, 'ready'), probe(port, 'startup'), probe(port, 'cache'),
    ask(port, '/healthz/live?verbose'), ask(port, '/healthz/live', 'HEAD'),
    ask(port, '/healthz/ready?verbose'), ask(port, '/healthz/ready', 'HEAD'), ask(port, '/'), ask(port, '/healthz/live', 'POST', '{}')
  ])
  t.strictSame([...answers.slice(0, 3), answers[7]], ['200 OK', '200 OK', '200 OK', '200 OK'])
  t.strictSame([answers[8], answers[10]], ['200', '503'], 'HEAD has no body')
  for (const answer of [3, 4, 5, 6, 9, 11, 12].map(i => answers[i]!)) t.match(answer, BLOCKED)
  await service.complaint(/event loop blocked.*\n/)
  service.release()
  await service.line(/^event loop blocked/)
  t.equal(await probe(port, 'ready'), '200 OK')
  service.kill('SIGTERM')
  t.equal((await service.exit).code, 0)
  t.strictSame(service.lines.filter(({ level }) => level >= 40).map(({ msg }) => msg.replace(/[\d.]+/, 'N')), ['event loop blocked for N s'],
    'no prober has hung up, and no probe is logged')
})

t.test('a block is written to stderr at once with its stack, and logged once it is over', async t => {
  const service = startBlocking(t)
  const port = await service.probes()
  await service.app()
  await service.block()
  await service.complaint(/"stack":.*\n/)
  t.strictSame(service.logged(), [], 'not logged yet')
  t.match(await probe(port, 'ready'), BLOCKED)
  service.release()
  await service.line(/^event loop blocked/)
  service.kill('SIGTERM')
  // On a busy machine the stack may take longer than the first line waits for it.
  const [line, ...more] = (await service.written()).filter(({ stack }) => stack !== undefined)
  t.strictSame(more, [], 'one line with a stack for a block')
  t.match(line, { level: 40, time: Number, pid: Number, hostname: String, msg: /^event loop blocked for [\d.]+ s$/ })
  t.match(line!.stack, CULPRIT)
  const [logged, ...others] = service.logged()
  t.strictSame(others, [])
  t.match(logged, { level: 40, stack: line!.stack })
  t.ok(logged!.blockedMs > line!.blockedMs, 'with its whole length')
})

t.test('a request that was handled when its check blocked is answered by the thread, and the late answer is discarded', async t => {
  const service = startBlocking(t, { setup: 'app.register(async () => { app.healthz.add("ready", "blocks", async () => { block() }) })' })
  const port = await service.probes()
  await service.app()
  t.match(await probe(port, 'ready'), BLOCKED)
  await service.complaint(/"stack":.*\n/)
  service.release()
  await service.line(/^event loop blocked/)
  t.equal(await probe(port, 'live'), '200 OK')
  service.kill('SIGTERM')
  await service.exit
  t.strictSame(service.lines.filter(({ msg }) => /abort|hung up/.test(msg)), [])
})

t.test('a kept connection is closed after an answer of the thread', async t => {
  const service = startBlocking(t)
  const port = await service.probes()
  await service.app()
  const socket = connect(port, '127.0.0.1').setEncoding('utf8')
  const ask = 'GET /healthz/ready HTTP/1.1\r\nHost: a\r\n\r\n'
  socket.write(ask)
  const [first] = await once(socket, 'data')
  t.match(first, /^HTTP\/1.1 200 /)
  await service.block()
  socket.write(ask)
  let second = ''
  for await (const chunk of socket) second += chunk
  t.match(second, /^HTTP\/1.1 503 [^]*connection: close/i)
  t.notMatch(second, /HTTP\/1.1 200/)
  service.release()
})

t.test('a boot that blocks: live passes, the others are starting', async t => {
  const service = startBlocking(t, { thread: '{ maxBlocked: 1000 }', setup: 'app.register(async () => { block() })' })
  const port = await service.probes()
  await service.line('blocking')
  await service.complaint(/"stack":.*\n/)
  t.strictSame(await Promise.all(['live', 'ready', 'startup'].map(name => probe(port, name))), ['200 OK', '503 Starting', '503 Starting'],
    'also after maxBlocked')
  service.release()
  await service.app()
  t.equal(await probe(port, 'startup'), '200 OK')
  service.kill('SIGTERM')
  t.match((await service.written()).map(({ stack }) => stack), [CULPRIT])
})

t.test('a request that blocks during the drain', async t => {
  const service = startBlocking(t, { options: 'shutdown: { delay: 60_000 },' })
  const port = await service.probes()
  await service.app()
  service.kill('SIGTERM')
  await service.line(/^SIGTERM: draining/)
  await service.block()
  t.match(await Promise.all([probe(port, 'live'), probe(port, 'ready')]), ['200 OK', BLOCKED])
  // A block of less than a second isn't logged.
  await service.complaint(/event loop blocked.*\n/)
  service.release()
  // Until the loop turns, which is after the line 'released', the thread still takes it as blocked.
  await service.line(/^event loop blocked/)
  t.equal(await probe(port, 'ready'), '503 Shutting down')
})

t.test('a hook that blocks while the app closes', async t => {
  const service = startBlocking(t, { setup: 'app.addHook("onClose", async () => { block() })' })
  const port = await service.probes()
  await service.app()
  service.kill('SIGTERM')
  await service.line('blocking')
  t.match(await Promise.all([probe(port, 'live'), probe(port, 'ready')]), ['200 OK', BLOCKED])
  await service.complaint(/"stack":.*\n/)
  service.release()
  t.match(await service.exit, { code: 0 })
  t.equal((await service.written()).length, 1)
})

t.test('live fails once the loop has been blocked for maxBlocked, and passes again after it', async t => {
  const service = startBlocking(t, { thread: '{ maxBlocked: 2000 }' })
  const port = await service.probes()
  await service.app()
  await service.block()
  const since = performance.now()
  const answers: string[] = []
  while (answers.at(-1)?.startsWith('503') !== true) answers.push(await probe(port, 'live'))
  t.ok(performance.now() - since > 1500, 'not before')
  t.ok(answers.length > 1, 'it passed before')
  t.match(answers.at(-1), BLOCKED)
  service.release()
  await service.line(/^event loop blocked/)
  t.equal(await probe(port, 'live'), '200 OK')
})

/** Blocks the service until it is reported, and returns the stack that the app's logger gets afterwards. */
async function reportedStack (service: ReturnType<typeof startBlocking>): Promise<unknown> {
  await service.app()
  await service.block()
  await service.complaint(/event loop blocked.*\n/)
  service.release()
  return (await service.line(/^event loop blocked/)).stack
}

t.test('no stack is taken with stack: false', async t => {
  const service = startBlocking(t, { thread: '{ stack: false }' })
  t.equal(await reportedStack(service), undefined)
  service.kill('SIGTERM')
  t.match(await service.written(), [{ level: 40, stack: undefined }])
})

t.test('no stack is taken where the permission model of Node forbids the inspector, which would abort the process', async t => {
  // Older versions have the first name only, and don't restrict the network.
  const flags = ['--experimental-permission', '--permission', '--allow-net'].filter(flag => process.allowedNodeEnvironmentFlags.has(flag))
  const service = startBlocking(t, { args: [...flags, '--allow-fs-read=*', '--allow-fs-write=*', '--allow-worker'] })
  t.equal(await reportedStack(service), undefined)
})

t.test('in a worker thread, whose stack cannot be taken, that of the main thread is not taken for it', async t => {
  const service = startBlocking(t, {
    thread: 'false',
    setup: `
      const { Worker } = require('node:worker_threads')
      new Worker(\`
        const app = require('fastify')()
        app.register(require('./dist/lib/index.js'), { listen: { port: 0, host: '127.0.0.1', thread: true } })
        app.ready().then(() => {
          for (const end = Date.now() + 2500; Date.now() < end;);
        })\`, { eval: true })`
  })
  const [line] = await service.complaint(/.*event loop blocked.*\n/)
  t.equal(JSON.parse(line!).stack, undefined)
})

t.test('each block has its line, and one in a minute has a stack', async t => {
  const service = startBlocking(t, {
    setup: `
      require('node:diagnostics_channel').channel('fastify-healthz:block').subscribe(({ app, ...block }) => {
        say('published', block)
      })
      const { register } = require('prom-client')
      app.register(require('./dist/lib/telemetry/prometheus.js'), { register })
      app.get('/metrics', async () => register.metrics())`
  })
  const app = await service.app()
  for (const [i, pattern] of [/event loop blocked.*\n/, /event loop blocked.*\n.*event loop blocked.*\n/].entries()) {
    await service.block()
    await service.complaint(pattern)
    service.release()
    while (service.logged().length <= i) await sleep(20)
  }
  const metrics = await fetch(`http://127.0.0.1:${app}/metrics`).then(response => response.text())
  const [first, second] = service.logged()
  t.match(metrics, /^healthz_loop_blocked_total(\{.*\})? 2$/m)
  const seconds = Number(/^healthz_loop_blocked_seconds_total(?:\{.*\})? (.*)$/m.exec(metrics)![1])
  t.ok(Math.abs(seconds - (first!.blockedMs + second!.blockedMs) / 1000) < 0.01)
  t.match(service.lines.filter(({ msg }) => msg === 'published'), [
    { blockedMs: first!.blockedMs, stack: first!.stack }, { blockedMs: second!.blockedMs, stack: undefined }
  ])
  t.match(first!.stack, CULPRIT)
  service.kill('SIGTERM')
  const lines = await service.written()
  t.equal(lines.length, 2)
  t.match(lines[0]!.stack, CULPRIT)
  t.equal(lines[1]!.stack, undefined)
})

t.test('the stack of native code is had when it returns, and the process goes on', async t => {
  const service = startBlocking(t, {
    setup: `app.get('/native', async () => {
      const { execSync } = require('node:child_process')
      say('native')
      execSync('while [ ! -e ' + file + ' ]; do sleep 0.05; done')
    })`
  })
  const app = await service.app()
  const answer = fetch(`http://127.0.0.1:${app}/native`)
  await service.complaint(/event loop blocked.*\n/)
  service.release()
  t.equal((await answer).status, 200)
  const { stack } = await service.line(/^event loop blocked/)
  t.match(stack, /^ +at native code \(stack taken when it returned\)\n[^]*at execSync/)
  service.kill('SIGTERM')
  t.match(await service.exit, { code: 0 })
  t.equal((await service.written())[0]!.stack, undefined)
})

t.test('an app that exits right after native code that blocked exits as usual', async t => {
  const service = startBlocking(t, {
    setup: `app.get('/native', async () => {
      const { execSync } = require('node:child_process')
      execSync('while [ ! -e ' + file + ' ]; do sleep 0.05; done')
      process.exit(7)
    })`
  })
  const app = await service.app()
  fetch(`http://127.0.0.1:${app}/native`).catch(() => {})
  await service.complaint(/event loop blocked.*\n/)
  service.release()
  t.equal((await service.exit).code, 7)
  for (const { msg } of await service.written()) t.match(msg, /^event loop blocked/)
})

/** Stops and continues the process until `until` resolves: it runs for `on` of each `period`, in ms. */
async function throttle (service: { kill (signal: NodeJS.Signals): void }, on: number, period: number, until: Promise<unknown>): Promise<void> {
  const run = async () => {
    service.kill('SIGCONT')
    await sleep(on)
    service.kill('SIGSTOP')
  }
  await run()
  const timer = setInterval(run, period)
  await until
  clearInterval(timer)
  await sleep(on)
  service.kill('SIGCONT')
}

t.test('a process that was stopped was not blocked', async t => {
  const service = startBlocking(t, { thread: '{ maxBlocked: 1000 }' })
  const port = await service.probes()
  await service.app()
  for (const ms of [1500, 5000]) {
    service.kill('SIGSTOP')
    const waiting = Promise.all([probe(port, 'live'), probe(port, 'ready')])
    await sleep(ms)
    service.kill('SIGCONT')
    t.strictSame(await waiting, ['200 OK', '200 OK'], 'asked while it was stopped')
    t.strictSame(await Promise.all([probe(port, 'live'), probe(port, 'ready')]), ['200 OK', '200 OK'], 'and right after')
  }
  await sleep(500)
  service.kill('SIGTERM')
  t.strictSame(await service.written(), [])
  t.strictSame(service.logged(), [])
})

t.test('a process that has 5 % of a CPU is not blocked', async t => {
  const service = startBlocking(t, { thread: '{ maxBlocked: 1000 }' })
  const port = await service.probes()
  await service.app()
  const answers: string[] = []
  const probed = (async () => { for (let i = 0; i < 5; i++) answers.push(await probe(port, 'live'), await probe(port, 'ready')) })()
  // In longer pieces than those of the kernel, which has 100 ms. So each of them is a stall.
  await throttle(service, 50, 1000, Promise.all([probed, sleep(4000)]))
  t.strictSame(answers, Array.from({ length: 10 }, () => '200 OK'))
  service.kill('SIGTERM')
  t.strictSame(await service.written(), [])
  t.strictSame(service.logged(), [])
})

t.test('a wall clock that jumps is no block', async t => {
  const service = startBlocking(t, {
    thread: '{ maxBlocked: 1000 }',
    setup: `
      const { now } = Date
      let ahead = 0
      Date.now = () => now() + ahead
      setInterval(() => { ahead = ahead === 0 ? 3_600_000 : 0 }, 300)`
  })
  const port = await service.probes()
  await service.app()
  const answers: string[] = []
  for (let i = 0; i < 10; i++) {
    answers.push(await probe(port, 'live'), await probe(port, 'ready'))
    await sleep(150)
  }
  t.strictSame(answers, Array.from({ length: 20 }, () => '200 OK'))
  service.kill('SIGTERM')
  t.strictSame(await service.written(), [])
})

/** A debugger, as Chrome's. */
async function attach (url: string) {
  const socket = new WebSocket(url)
  await once(socket, 'open')
  let ids = 0
  const events = new EventEmitter()
  socket.on('message', data => {
    const message = JSON.parse(String(data))
    events.emit(message.method ?? `answer ${message.id}`, message.params ?? message.result)
  })
  async function post (method: string, params = {}) {
    const id = ++ids
    const answer = once(events, `answer ${id}`)
    socket.send(JSON.stringify({ id, method, params }))
    return (await answer)[0]
  }
  return { post, stop: (event: string) => once(events, event).then(([params]) => params), close: () => socket.close() }
}

for (const [how, args] of [['--inspect', ['--inspect=127.0.0.1:0']], ['SIGUSR1', ['--inspect-port=127.0.0.1:0']]] as const) {
  t.test(`a debugger that is attached by ${how} stops the app as long as it likes`, async t => {
    const service = startBlocking(t, {
      thread: '{ maxBlocked: 1000 }',
      args,
      setup: 'app.get("/stop", async () => { const value = 42; debugger; say("goes on", { value }) })'
    })
    const port = await service.probes()
    const app = await service.app()
    if (how === 'SIGUSR1') service.kill('SIGUSR1')
    const [url] = await service.complaint(/ws:\/\/\S+/)
    const debug = await attach(url!)
    await debug.post('Debugger.enable')
    // A beat passes.
    await sleep(1000)
    t.equal(await probe(port, 'live'), '200 OK')
    const stopped = debug.stop('Debugger.paused')
    const answer = fetch(`http://127.0.0.1:${app}/stop`)
    const { callFrames } = await stopped
    let isOver = false
    const resumed = debug.stop('Debugger.resumed').then(() => { isOver = true })
    const answers = [probe(port, 'live'), probe(port, 'ready')]
    await sleep(2500)
    t.notOk(isOver, 'nobody else made it go on')
    const { result } = await debug.post('Debugger.evaluateOnCallFrame', { callFrameId: callFrames[0].callFrameId, expression: 'value' })
    t.equal(result.value, 42)
    await debug.post('Debugger.resume')
    await resumed
    t.equal((await answer).status, 200)
    t.strictSame(await Promise.all(answers), ['200 OK', '200 OK'], 'the probes are answered when it goes on')
    debug.close()
    await sleep(500)
    service.kill('SIGTERM')
    const { stderr } = await service.exit
    t.notMatch(stderr, /event loop blocked/)
    t.strictSame(service.logged(), [])
  })
}
