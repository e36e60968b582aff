import { setTimeout as sleep } from 'node:timers/promises'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import healthz from '../../lib/index.js'
import { HealthzLog } from '../../lib/telemetry/log.js'
import { deferred } from '../helpers/checks.js'
import { capture, messages } from '../helpers/log.js'
import { request } from '../helpers/raw.js'
import { PRELUDE, startService } from '../helpers/service.js'

const EVENTS = [
  'SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGSEGV', 'SIGUSR2', 'SIGTERM',
  'uncaughtException', 'unhandledRejection', 'beforeExit'
]
const listeners = () => EVENTS.map(event => process.listenerCount(event))

const WORKER = `${PRELUDE};(async () => {
  const { parentPort } = require('node:worker_threads')
  const app = Fastify({ logger: { stream } })
  app.register(healthz, { shutdown: true })
  app.addHook('onClose', async () => { app.log.info('closed') })
  await app.listen({ port: 0, host: '127.0.0.1' })
  parentPort.once('message', async () => {
    await app.healthz.drain(100)
    await app.close()
  })
  say('up')
})()`

// Nearly all of them wait for a process.
t.jobs = 6
t.setTimeout(120_000)

/** A service with these options that says when it is up, and when its onClose hook has run. */
function service (t: Test, shutdown: unknown, { more = '', logger = true } = {}) {
  return startService(t, `
    const app = Fastify({ logger: ${logger} && { stream } })
    app.register(healthz, { shutdown: ${JSON.stringify(shutdown)}, noLog: true })
    app.addHook('onClose', async () => { app.log.info('closed') })
    ${more}
    await app.listen({ port: 0, host: '127.0.0.1' })
    say('up', { port: app.server.address().port })`)
}

t.test('on SIGTERM the app drains for the delay, then closes, and the process exits with 0', async t => {
  const child = service(t, { delay: 1500 }, { more: "app.get('/', async () => 'served')" })
  const { port } = await child.line('up')
  child.kill('SIGTERM')
  const began = await child.line('SIGTERM: draining for 1.5 s, ready fails from now on')
  t.match(began, { level: 30, signal: 'SIGTERM', delayMs: 1500 })
  t.match((await request(port, 'GET', '/healthz/ready')).body, /Shutting down/)
  t.match((await request(port, 'GET', '/healthz/live')).body, /OK/)
  t.equal((await request(port, 'GET', '/')).body, 'served')
  const { code, signal, lines, stderr } = await child.exit
  t.strictSame([code, signal, stderr], [0, null, ''])
  const ended = lines.find(({ msg }) => msg.startsWith('drained for'))
  t.ok(ended!.lastedMs >= 1499, String(ended!.lastedMs))
  t.equal(lines.at(-1)!.msg, 'closed')
})

t.test('on SIGINT, and on a signal while it boots, the app closes without a delay', async t => {
  const child = service(t, { delay: 60_000 })
  await child.line('up')
  child.kill('SIGINT')
  t.match(await child.exit, { code: 0 })
  t.match(messages(child.lines).slice(-3), ['SIGINT: draining for 0 s, ready fails from now on', /^drained for 0(\.\d+)? s$/, 'closed'])

  const booting = startService(t, `
    const app = Fastify()
    app.register(healthz, { shutdown: { delay: 60_000 } })
    app.register(async () => { say('booting'); await new Promise(resolve => setTimeout(resolve, 300)) })
    app.addHook('onClose', async () => { say('closed') })
    await app.listen({ port: 0 }).catch(error => say(error.code))`)
  await booting.line('booting')
  booting.kill('SIGTERM')
  t.match(await booting.exit, { code: 0, stderr: '' })
  t.ok(messages(booting.lines).includes('closed'))
})

t.test('a drain that is under way is cut short by SIGINT and by an error, and a close by hand waits for none', async t => {
  const drains = "app.addHook('onListen', () => { app.healthz.drain(60_000) })"
  const interrupted = service(t, true, { more: drains })
  await interrupted.line('up')
  interrupted.kill('SIGINT')
  t.match(await interrupted.exit, { code: 0 })
  const failed = service(t, true, { more: `${drains}; app.addHook('onListen', () => { setImmediate(() => { throw new Error('boom') }) })` })
  t.match(await failed.exit, { code: 1 })
  t.ok(messages(failed.lines).includes('closed'))

  const byHand = service(t, { delay: 60_000 }, {
    more: "app.addHook('onListen', () => { app.close() }); app.addHook('onClose', async () => { say('closing'); await new Promise(resolve => setTimeout(resolve, 200)) })"
  })
  await byHand.line('closing')
  byHand.kill('SIGTERM')
  t.match(await byHand.exit, { code: 0 }, 'our listener is there until the last hook has run')
})

t.test('on SIGTERM a longer drain that is under way ends with the delay', async t => {
  const child = service(t, { delay: 300, timeout: 5000 }, { more: "app.addHook('onListen', () => { app.healthz.drain(60_000) })" })
  await child.line('draining for 60 s, ready fails from now on')
  child.kill('SIGTERM')
  t.match(await child.exit, { code: 0 })
  const { lastedMs } = child.lines.find(({ msg }) => msg.startsWith('drained for'))!
  t.ok(lastedMs >= 299, String(lastedMs))
  t.equal(child.lines.at(-1)!.msg, 'closed')
})

t.test('a timeout may be as long as a timer takes', async t => {
  const child = service(t, { delay: 100, timeout: 2 ** 31 - 1 })
  await child.line('up')
  child.kill('SIGTERM')
  t.match(await child.exit, { code: 0, stderr: '' })
})

t.test('a second signal exits at once with 1', async t => {
  const child = service(t, { delay: 60_000 })
  await child.line('up')
  child.kill('SIGTERM')
  await child.line(/draining/)
  await sleep(400)
  child.kill('SIGTERM')
  const { code, lines } = await child.exit
  t.equal(code, 1)
  t.match(lines.at(-1), { level: 50, msg: 'SIGTERM during shutdown, exiting' })
})

t.test('a signal that is repeated within 250 ms is the same request, and so is another one', async t => {
  for (const [first, second, gap] of [['SIGINT', 'SIGINT', 3], ['SIGTERM', 'SIGTERM', 25], ['SIGINT', 'SIGTERM', 3]] as const) {
    const child = service(t, { delay: 0 }, {
      more: "app.addHook('onClose', async () => { say('closing'); await new Promise(resolve => setTimeout(resolve, 300)) })"
    })
    await child.line('up')
    child.kill(first)
    // After the first one has been taken: two pending signals of a kind are one to the system.
    await child.line(/draining/)
    await sleep(gap)
    child.kill(second)
    const { code, lines, stderr } = await child.exit
    t.strictSame([code, stderr, lines.at(-1)!.msg], [0, '', 'closed'], `${first}, then ${second}`)
  }
})

t.test('a repeated signal that had to wait for a busy event loop is the same request, too', async t => {
  const child = service(t, { delay: 0 }, {
    more: `app.addHook('onClose', async () => {
      say('busy')
      for (const end = Date.now() + 400; Date.now() < end;);
      await new Promise(resolve => setTimeout(resolve, 50))
    })`
  })
  await child.line('up')
  child.kill('SIGINT')
  await child.line('busy')
  child.kill('SIGINT')
  const { code, lines } = await child.exit
  t.strictSame([code, lines.at(-1)!.msg], [0, 'closed'])
})

t.test('a delay can be given for each signal', async t => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const child = service(t, { delay: { SIGTERM: 200, SIGINT: 100 } })
    await child.line('up')
    child.kill(signal)
    await child.line(`${signal}: draining for ${signal === 'SIGTERM' ? 0.2 : 0.1} s, ready fails from now on`)
    t.match(await child.exit, { code: 0 })
  }
})

t.test('an exit code that was set before is kept, unless the end fails', async t => {
  const child = service(t, true, { more: "process.exitCode = 3; app.addHook('onClose', async () => { process.exitCode++ })" })
  await child.line('up')
  child.kill('SIGINT')
  t.match(await child.exit, { code: 4 })

  const failed = service(t, true, { more: "process.exitCode = 3; app.addHook('onClose', async () => { throw new Error('in onClose') })" })
  await failed.line('up')
  failed.kill('SIGINT')
  t.match(await failed.exit, { code: 1 })
})

t.test('an app that does not close is ended at delay and timeout', async t => {
  const child = service(t, { delay: 50, timeout: 100 }, { more: "app.addHook('onClose', () => new Promise(() => { setInterval(() => {}, 1000) }))" })
  await child.line('up')
  child.kill('SIGTERM')
  const { code, lines } = await child.exit
  t.equal(code, 1)
  t.match(lines.at(-1), { level: 50, msg: 'close timed out after 0.15 s, exiting', afterMs: 150 })
})

t.test('several apps drain side by side, and all have closed before the exit, whichever is done first', async t => {
  for (const delays of [[50, 300], [300, 50]]) {
    const child = startService(t, `
      const log = require('pino')(stream)
      for (const [name, delay] of Object.entries(${JSON.stringify({ one: delays[0], two: delays[1] })})) {
        const app = Fastify({ loggerInstance: log.child({ name }) })
        app.register(healthz, { shutdown: { delay } })
        app.addHook('onClose', async () => { await new Promise(resolve => setTimeout(resolve, 100)); app.log.info('closed') })
        await app.listen({ port: 0, host: '127.0.0.1' })
      }
      say('up')`)
    await child.line('up')
    child.kill('SIGTERM')
    const { code, lines } = await child.exit
    t.equal(code, 0)
    const told = lines.filter(({ level, msg }) => level === 30 && /draining|drained|closed/.test(msg)).map(({ name, msg }) => `${name} ${msg.split(' ')[0]}`)
    const [first, second] = delays[0]! < delays[1]! ? ['one', 'two'] : ['two', 'one']
    t.strictSame(told, ['one SIGTERM:', 'two SIGTERM:', `${first} drained`, `${first} closed`, `${second} drained`, `${second} closed`])
  }
})

t.test('an app that takes another signal is closed on this one, too, with the delay of its own', async t => {
  const child = startService(t, `
    const log = require('pino')(stream)
    for (const [name, signals, delay] of [['one', ['SIGTERM'], 50], ['two', ['SIGHUP'], 150]]) {
      const app = Fastify({ loggerInstance: log.child({ name }) })
      app.register(healthz, { shutdown: { signals, delay } })
      await app.listen({ port: 0, host: '127.0.0.1' })
    }
    say('up')`)
  await child.line('up')
  child.kill('SIGTERM')
  t.match(await child.exit, { code: 0 })
  t.strictSame(child.lines.filter(({ delayMs }) => delayMs).map(({ name, delayMs }) => [name, delayMs]), [['one', 50], ['two', 150]])
})

t.test('apps of two copies of the package drain side by side, and all have closed before the exit', async t => {
  const child = startService(t, `
    const folder = require('node:path').dirname(require.resolve('./dist/lib/index.js'))
    const once = Object.keys(require.cache).filter(file => file.startsWith(folder))
    for (const file of once) delete require.cache[file]
    const copy = require('./dist/lib/index.js')
    say('copies', { two: copy !== healthz })
    const before = process.listenerCount('SIGTERM')
    const log = require('pino')(stream)
    for (const [name, plugin, delay] of [['one', healthz, 50], ['two', copy, 200]]) {
      const app = Fastify({ loggerInstance: log.child({ name }) })
      app.register(plugin, { shutdown: { delay } })
      app.addHook('onClose', async () => { app.log.info('closed') })
      await app.listen({ port: 0, host: '127.0.0.1' })
    }
    say('up', { added: process.listenerCount('SIGTERM') - before })`)
  t.match(await child.line('copies'), { two: true })
  t.match(await child.line('up'), { added: 1 })
  child.kill('SIGTERM')
  const { code, lines } = await child.exit
  t.equal(code, 0)
  t.strictSame(lines.filter(({ msg }) => msg === 'closed').map(({ name }) => name), ['one', 'two'])
})

t.test('in a worker thread an app is told that it gets no signal', { buffered: false }, async t => {
  const { warnOfSignals } = t.mockRequire<typeof import('../../lib/shutdown/signals.js')>('../../lib/shutdown/signals.js', {
    'node:worker_threads': { isMainThread: false }
  })
  const { lines, logger } = capture()
  warnOfSignals(['SIGTERM', 'SIGINT'], new HealthzLog(Fastify({ logger }).log))
  t.match(lines, [{ level: 40, msg: /^shutdown receives no signals in a worker thread/ }])
  t.equal(lines.length, 1)
})

t.test('an app in a worker thread warns once at boot, and a message drains and closes it', async t => {
  const child = startService(t, `
    const { Worker } = require('node:worker_threads')
    const worker = new Worker(${JSON.stringify(WORKER)}, { eval: true, execArgv: [] })
    process.once('SIGTERM', () => worker.postMessage('shutdown'))
    worker.once('exit', code => process.exit(code))`)
  await child.line('up')
  t.match(child.lines.filter(({ level }) => level >= 40), [{
    level: 40, msg: 'shutdown receives no signals in a worker thread: post it a message that drains and closes the app'
  }])
  child.kill('SIGTERM')
  const { code, lines, stderr } = await child.exit
  t.strictSame([code, stderr], [0, ''])
  t.match(messages(lines).slice(-3), [/^draining for 0.1 s/, /^drained for/, 'closed'])
})

t.test('an app that was closed by hand is out of it, and the other keeps its own delay', async t => {
  const child = startService(t, `
    const one = Fastify()
    one.register(healthz, { shutdown: { delay: 60_000 } })
    await one.listen({ port: 0, host: '127.0.0.1' })
    const two = Fastify({ logger: { stream } })
    two.register(healthz, { shutdown: { delay: 50 } })
    await two.listen({ port: 0, host: '127.0.0.1' })
    await one.close()
    say('up')`)
  await child.line('up')
  child.kill('SIGTERM')
  t.match(await child.exit, { code: 0 })
  t.equal(messages(child.lines).filter(msg => /draining/.test(msg)).length, 1)
})

for (const [what, thrown, told] of [
  ['an error', "new Error('boom')", /boom/], ['undefined', 'undefined', undefined], ['null', 'null', undefined]
] as const) {
  t.test(`${what} that is thrown and not caught, or rejected with and not handled, closes without a delay, and exits with 1`, async t => {
    for (const [how, origin] of [[`setImmediate(() => { throw ${thrown} })`, 'uncaught exception'], [`Promise.reject(${thrown})`, 'unhandled rejection']]) {
      const child = service(t, { delay: 60_000 }, { more: `app.addHook('onListen', () => { ${how} })` })
      const { code, lines, stderr } = await child.exit
      t.equal(code, 1)
      t.equal(stderr, '')
      const [fatal] = lines.filter(({ level }) => level === 60)
      t.match(fatal, { msg: `${origin}, closing before exit with code 1` })
      if (told) t.match(fatal!.err.message, told)
      t.ok(messages(lines).includes('closed'))
    }
  })
}

t.test('an app that does not log tells of such an error on stderr', async t => {
  const child = service(t, true, { logger: false, more: "app.addHook('onListen', () => { setImmediate(() => { throw new Error('boom') }) })" })
  const { code, stderr } = await child.exit
  t.equal(code, 1)
  t.match(stderr, /Error: boom/)
})

t.test('a second error, while it closes, is told and exits at once', async t => {
  const child = service(t, { delay: 60_000 }, {
    more: `app.addHook('onClose', () => { setImmediate(() => { throw new Error('second') }); return new Promise(() => {}) })
      app.addHook('onListen', () => { setImmediate(() => { throw new Error('first') }) })`
  })
  const { code, lines } = await child.exit
  t.equal(code, 1)
  t.strictSame(lines.filter(({ level }) => level === 60).map(({ err, msg }) => [err.message, msg]), [
    ['first', 'uncaught exception, closing before exit with code 1'], ['second', 'uncaught exception during shutdown, exiting']
  ])
})

t.test('an app whose close fails is told about, keeps no other from closing, and makes the exit code 1', async t => {
  const child = startService(t, `
    const log = require('pino')(stream)
    for (const name of ['one', 'two']) {
      const app = Fastify({ loggerInstance: log.child({ name }) })
      app.register(healthz, { shutdown: { delay: 0 } })
      app.addHook('onClose', async () => {
        if (name === 'one') throw new Error('in onClose')
        await new Promise(resolve => setTimeout(resolve, 100))
        app.log.info('closed')
      })
      await app.listen({ port: 0, host: '127.0.0.1' })
    }
    say('up')`)
  await child.line('up')
  child.kill('SIGTERM')
  const { code, lines } = await child.exit
  t.equal(code, 1)
  t.match(lines.filter(({ level }) => level === 50), [{ name: 'one', msg: 'close failed, exiting with code 1', err: { message: 'in onClose' } }])
  t.ok(lines.some(({ name, msg }) => name === 'two' && msg === 'closed'))
})

t.test('the listeners of this process, whose exit is only recorded', { buffered: false }, async t => {
  const KEY = Symbol.for('fastify-healthz:shutdown:2')
  const shared = process as { [KEY]?: unknown }
  const codes: unknown[] = []
  const errors: unknown[][] = []
  const signals: unknown[] = []
  const [{ exit }, { error }] = [process, console]
  process.exit = (code => { codes.push(code) }) as typeof process.exit
  console.error = (...written) => { errors.push(written) }
  t.teardown(async () => {
    // For the timers of the apps below.
    await sleep(500)
    Object.assign(process, { exit })
    Object.assign(console, { error })
    delete shared[KEY]
  })
  /** An app that closes when the returned function is called, and our listener for an event. One without a log still boots. */
  const boot = async (event: 'SIGTERM' | 'uncaughtException' | 'unhandledRejection', logs = true) => {
    delete shared[KEY]
    const before = process.rawListeners(event as 'SIGTERM')
    const { lines, logger } = capture()
    const { promise, resolve, reject } = deferred<void>()
    const app = Fastify(logs ? { logger } : {})
    app.addHook('onClose', () => promise)
    await app.register(healthz, { shutdown: { delay: 20, timeout: 400, ...(logs && { close: (signal?: string) => { signals.push(signal) } }) } })
    if (logs) await app.listen({ port: 0, host: '127.0.0.1' })
    const [listener] = process.rawListeners(event as 'SIGTERM').filter(listener => !before.includes(listener)) as Array<(value: unknown) => void>
    const close = async (error?: Error) => {
      if (error === undefined) resolve()
      else reject(error)
      await app.close().catch(() => {})
      await sleep(0)
    }
    return { app, lines, listener: listener!, close }
  }

  const signalled = await boot('SIGTERM')
  signalled.app.healthz.hold('job 42')
  signalled.listener('SIGTERM')
  signalled.listener('SIGTERM')
  t.strictSame(codes, [], 'a repeated signal is the same request')
  while (codes.length === 0) {
    await sleep(10)
    signalled.listener('SIGTERM')
  }
  t.equal(signalled.lines.at(-1)!.msg, 'SIGTERM during shutdown, exiting')
  while (codes.length === 1) await sleep(10)
  t.ok(messages(signalled.lines).includes('close timed out after 0.42 s, exiting (held by: job 42)'))
  await signalled.close()
  t.strictSame(codes.splice(0), [1, 1, 1])

  const ended = await boot('SIGTERM')
  ended.listener('SIGTERM')
  await ended.close()
  while (codes.length === 0) await sleep(10)
  t.strictSame(codes.splice(0), [process.exitCode])

  const failed = await boot('unhandledRejection')
  failed.listener(new Error('first'))
  failed.listener(new Error('second'))
  await failed.close(new Error('in onClose'))
  t.strictSame(codes, [1, 1])
  t.match(failed.lines.at(-1), { level: 50, msg: 'close failed, exiting with code 1', err: { message: 'in onClose' } })
  t.strictSame(failed.lines.filter(({ level }) => level === 60).map(({ err }) => err.message), ['first', 'second'])

  t.strictSame(signals, ['SIGTERM', 'SIGTERM', undefined])

  const silent = await boot('uncaughtException', false)
  silent.listener(new Error('boom'))
  await silent.close()
  t.match(errors, [[/^uncaught exception/, { err: { message: 'boom' } }]])
})

t.test('without the option no listener is installed', { buffered: false }, async t => {
  const before = listeners()
  const app = Fastify()
  app.register(healthz)
  await app.ready()
  t.strictSame(listeners(), before)
  await app.close()
})

t.test('only the signals asked for are taken, beside errors, and the listeners go with the last app', { buffered: false }, async t => {
  const before = listeners()
  const added = () => EVENTS.filter((_event, i) => listeners()[i]! > before[i]!)
  const boot = async (shutdown: healthz.HealthzOptions['shutdown']) => {
    const app = Fastify()
    app.register(healthz, { shutdown })
    await app.ready()
    return app
  }
  const one = await boot({ signals: ['SIGHUP'] })
  t.strictSame(added(), ['SIGHUP', 'uncaughtException', 'unhandledRejection'])
  const two = await boot(true)
  t.strictSame(added(), ['SIGHUP', 'SIGINT', 'SIGTERM', 'uncaughtException', 'unhandledRejection'])
  t.ok(listeners().every((count, i) => count <= before[i]! + 1), 'once for the process')
  await one.close()
  t.strictSame(added(), ['SIGINT', 'SIGTERM', 'uncaughtException', 'unhandledRejection'])
  await two.close()
  t.strictSame(listeners(), before)
})

t.test('a warning tells of another listener for the same signal', { buffered: false }, async t => {
  const other = () => {}
  // Those of tap.
  const others = process.rawListeners('SIGUSR2') as Array<() => void>
  process.removeAllListeners('SIGUSR2')
  t.teardown(() => { for (const other of others) process.on('SIGUSR2', other) })
  process.on('SIGHUP', other)
  t.teardown(() => process.removeListener('SIGHUP', other))
  const { lines, logger } = capture()
  const app = Fastify({ logger })
  app.register(healthz, { shutdown: { signals: ['SIGHUP', 'SIGUSR2'] } })
  await app.ready()
  await app.close()
  t.match(lines, [{ level: 40, signal: 'SIGHUP' }])
  t.equal(lines.length, 1)
})
