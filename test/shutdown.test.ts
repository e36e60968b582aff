import Fastify from 'fastify'
import t, { type Test } from 'tap'
import healthz from '../lib/index.js'
import { closeOnSignal } from '../lib/shutdown.js'
import { capture, messages } from './helpers/log.js'
import { request } from './helpers/raw.js'
import { startService } from './helpers/service.js'

const EVENTS = [
  'SIGHUP', 'SIGINT', 'SIGQUIT', 'SIGILL', 'SIGTRAP', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGSEGV', 'SIGUSR2', 'SIGTERM',
  'uncaughtException', 'unhandledRejection', 'beforeExit'
]
const listeners = () => EVENTS.map(event => process.listenerCount(event))

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
  const child = service(t, { delay: 300 }, { more: "app.get('/', async () => 'served')" })
  const { port } = await child.line('up')
  child.kill('SIGTERM')
  const began = await child.line('SIGTERM: draining for 0.3 s, ready fails from now on')
  t.match(began, { level: 30, signal: 'SIGTERM', delayMs: 300 })
  t.match((await request(port, 'GET', '/healthz/ready')).body, /Shutting down/)
  t.match((await request(port, 'GET', '/healthz/live')).body, /OK/)
  t.equal((await request(port, 'GET', '/')).body, 'served')
  const { code, signal, lines, stderr } = await child.exit
  t.strictSame([code, signal, stderr], [0, null, ''])
  const ended = lines.find(({ msg }) => msg.startsWith('drained for'))
  t.ok(ended!.lastedMs >= 299, String(ended!.lastedMs))
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
  child.kill('SIGTERM')
  const { code, lines } = await child.exit
  t.equal(code, 1)
  t.match(lines.at(-1), { level: 50, msg: 'second SIGTERM: exiting at once' })
})

t.test('an app that does not close is ended at delay and timeout', async t => {
  const child = service(t, { delay: 50, timeout: 100 }, { more: "app.addHook('onClose', () => new Promise(() => { setInterval(() => {}, 1000) }))" })
  await child.line('up')
  child.kill('SIGTERM')
  const { code, lines } = await child.exit
  t.equal(code, 1)
  t.match(lines.at(-1), { level: 50, msg: 'not closed after 0.15 s: exiting at once', afterMs: 150 })
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
  t.test(`${what} thrown out of the event loop closes without a delay, and exits with 1`, async t => {
    for (const how of [`setImmediate(() => { throw ${thrown} })`, `Promise.reject(${thrown})`]) {
      const child = service(t, { delay: 60_000 }, { more: `app.addHook('onListen', () => { ${how} })` })
      const { code, lines, stderr } = await child.exit
      t.equal(code, 1)
      t.equal(stderr, '')
      const [fatal] = lines.filter(({ level }) => level === 60)
      t.match(fatal, { msg: 'an error was thrown out of the event loop: closing, to exit with 1' })
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
  t.strictSame(lines.filter(({ level }) => level === 60).map(({ err }) => err.message), ['first', 'second'])
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
  t.match(lines.filter(({ level }) => level === 50), [{ name: 'one', msg: 'closing failed: exiting with 1', err: { message: 'in onClose' } }])
  t.ok(lines.some(({ name, msg }) => name === 'two' && msg === 'closed'))
})

t.test('without the option no listener is installed', async t => {
  const before = listeners()
  const app = Fastify()
  app.register(healthz)
  await app.ready()
  t.strictSame(listeners(), before)
  await app.close()
})

t.test('only the signals asked for are taken, beside errors, and the listeners go with the last app', async t => {
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
  t.type(closeOnSignal, 'function')
})

t.test('a warning tells of another listener for the same signal', async t => {
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
