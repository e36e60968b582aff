// What keeps a drain from ending and an app from closing: holds, a `close` of the user's, and traffic that still arrives.
import { request as fetch } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { messages } from '../helpers/log.js'
import { request } from '../helpers/raw.js'
import { startService } from '../helpers/service.js'

// Nearly all of them wait for a process.
t.jobs = 6
t.setTimeout(120_000)

/** A service that says when it is up; `more` may take holds. */
function service (t: Test, options: string, more = '') {
  return startService(t, `
    const app = Fastify({ logger: { stream } })
    await app.register(healthz, { noLog: true, details: true, ${options} })
    app.addHook('onClose', async () => { app.log.info('closed') })
    const wait = ms => new Promise(resolve => setTimeout(resolve, ms))
    ${more}
    await app.listen({ port: 0, host: '127.0.0.1' })
    say('up', { port: app.server.address().port })`)
}

t.test('on SIGTERM the app closes once what is held has been released, after the delay and not after the timeout', async t => {
  const child = service(t, 'shutdown: { delay: 100, timeout: 60_000 }', `
    const release = app.healthz.hold('job 42')
    app.healthz.drainSignal.addEventListener('abort', async () => {
      app.healthz.hold('upload')[Symbol.dispose]()
      await wait(700)
      say('done')
      release()
      release()
    })`)
  const { port } = await child.line('up')
  child.kill('SIGTERM')
  t.match(await child.line(/^waiting for/), { level: 30, msg: 'waiting for job 42', holds: ['job 42'] })
  const ready = JSON.parse((await request(port, 'GET', '/healthz/ready?verbose')).body)
  t.match(ready, { status: 503, title: 'Shutting down', holds: [{ name: 'job 42', heldMs: Number }] }, 'and requests are served')
  const { code, stderr } = await child.exit
  t.strictSame([code, stderr], [0, ''])
  t.match(messages(child.lines).slice(-5), [
    'waiting for job 42', 'request completed', 'done', /^drained for/, 'closed'
  ])
})

t.test('what is never released is named when the process exits with 1 at delay and timeout', async t => {
  const child = service(t, 'shutdown: { delay: 50, timeout: 200 }', "app.healthz.hold('job 42'); app.healthz.hold('upload')")
  await child.line('up')
  child.kill('SIGTERM')
  const { code, lines } = await child.exit
  t.equal(code, 1)
  t.match(lines.at(-1), {
    level: 50, msg: 'close timed out after 0.25 s, exiting (held by: job 42, upload)', afterMs: 250, holds: ['job 42', 'upload']
  })
})

t.test('an app whose own timeout is the shorter one closes without what it holds', async t => {
  const child = startService(t, `
    const log = require('pino')(stream)
    for (const [name, timeout] of [['one', 100], ['two', 60_000]]) {
      const app = Fastify({ loggerInstance: log.child({ name }) })
      await app.register(healthz, { shutdown: { delay: 10, timeout } })
      app.addHook('onClose', async () => { app.log.info('closed') })
      const release = app.healthz.hold('stuck')
      if (name === 'two') setTimeout(() => { say('release'); release() }, 2000)
      await app.listen({ port: 0, host: '127.0.0.1' })
    }
    say('up')`)
  await child.line('up')
  child.kill('SIGTERM')
  t.match(await child.line(/^stopped waiting/), { level: 40, name: 'one', msg: 'stopped waiting for stuck after 0.1 s' })
  t.match(await child.line('closed'), { name: 'one' })
  await child.line('release')
  t.match(await child.exit, { code: 1 }, 'since a job was cut off')
})

t.test('a loop that ends by the drain signal, and whose error nobody catches, cuts off no job', async t => {
  const child = service(t, 'shutdown: { delay: 0 }', `
    const { on } = require('node:events')
    const { setTimeout: sleep, setInterval: every } = require('node:timers/promises')
    const { drainSignal: signal } = app.healthz
    const jobs = new (require('node:events'))()
    const consume = async () => {
      for await (const [job] of on(jobs, 'job', { signal })) {
        const release = app.healthz.hold(job)
        wait(300).then(() => { say('done'); release() })
      }
    }
    consume()
    ;(async () => { for await (const _ of every(1000, undefined, { signal })); })()
    sleep(60_000, undefined, { signal: AbortSignal.any([signal]) })
    jobs.emit('job', 'job 1')`)
  await child.line('up')
  child.kill('SIGTERM')
  const { code, lines } = await child.exit
  t.equal(code, 0)
  t.strictSame(lines.filter(({ level }) => level > 30), [])
  t.ok(messages(lines).includes('done'))
})

t.test('a hold may be taken while the app drains', async t => {
  const child = service(t, 'shutdown: { delay: 300, timeout: 60_000 }', `
    app.healthz.drainSignal.addEventListener('abort', async () => {
      for (let job = 1; job <= 3; job++) {
        const release = app.healthz.hold('job ' + job)
        await wait(200)
        say('done ' + job)
        release()
      }
    })`)
  await child.line('up')
  child.kill('SIGTERM')
  t.match(await child.exit, { code: 0 })
  t.strictSame(messages(child.lines).filter(msg => /^done|^closed/.test(msg)), ['done 1', 'done 2', 'done 3', 'closed'])
})

t.test('a hold that is taken when the drain is over keeps the app from closing', async t => {
  const child = service(t, '', `
    app.addHook('onListen', () => { setImmediate(async () => {
      await app.healthz.drain(0)
      say('drained')
      const release = app.healthz.hold('late')
      setTimeout(() => { say('done'); release() }, 300)
      await app.close()
    }) })`)
  t.match(await child.exit, { code: 0 })
  t.match(messages(child.lines).slice(-5), [/^drained for/, 'drained', 'waiting for late', 'done', 'closed'])
})

t.test('of thousands of holds the line names the first ten, and the exit follows the last', async t => {
  const child = service(t, 'shutdown: { delay: 0, timeout: 60_000 }', `
    const releases = Array.from({ length: 10_000 }, (_, i) => app.healthz.hold('job ' + i))
    app.healthz.drainSignal.addEventListener('abort', async () => {
      await wait(100)
      for (const release of releases.splice(1)) release()
      await wait(100)
      say('last', { holds: app.healthz.holds.map(({ name }) => name) })
      releases[0]()
    })`)
  await child.line('up')
  child.kill('SIGTERM')
  t.match(await child.exit, { code: 0, stderr: '' })
  t.match(child.lines.find(({ msg }) => msg === 'last'), { holds: ['job 0'] })
  const ten = Array.from({ length: 10 }, (_, i) => `job ${i}`).join(', ')
  t.match(messages(child.lines).slice(-4), [`waiting for ${ten} and 9990 more`, 'last', /^drained for/, 'closed'])
})

t.test('drain() alone waits for what is held, and app.close() alone does before anything closes', async t => {
  for (const [end, told] of [
    ['await app.healthz.drain(50); say("drained"); await app.close()', ['draining for 0.05 s, ready fails from now on', 'waiting for job', 'done', /^drained for/, 'drained', 'closed']],
    ['await app.close()', ['waiting for job', 'done', 'closed']],
    ['app.healthz.drain(60_000); await app.close()', ['draining for 60 s, ready fails from now on', 'waiting for job', 'done', /^drained for/, 'closed']]
  ] as const) {
    const child = service(t, '', `
      const release = app.healthz.hold('job')
      app.healthz.drainSignal.addEventListener('abort', async () => { await wait(300); say('done'); release() })
      app.addHook('onListen', () => { setImmediate(async () => { ${end} }) })`)
    const { code } = await child.exit
    t.equal(code, 0, end)
    t.match(messages(child.lines).slice(-told.length), told)
  }
})

t.test('a hold of an app that is never ready is waited for, too', async t => {
  const child = startService(t, `
    const app = Fastify({ logger: { stream } })
    await app.register(healthz)
    const release = app.healthz.hold('migration')
    app.healthz.drainSignal.addEventListener('abort', () => setTimeout(() => { say('done'); release() }, 100))
    await app.close()
    say('closed')`)
  t.match(await child.exit, { code: 0 })
  t.strictSame(messages(child.lines), ['waiting for migration', 'done', 'closed'])
})

t.test('an uncaught exception waits for no delay, but for what is held', async t => {
  const child = service(t, 'shutdown: { delay: 60_000 }', `
    const release = app.healthz.hold('job')
    app.healthz.drainSignal.addEventListener('abort', () => setTimeout(() => { say('done'); release() }, 100))
    app.addHook('onListen', () => { setImmediate(() => { throw new Error('boom') }) })`)
  t.match(await child.exit, { code: 1 })
  t.match(messages(child.lines).slice(-3), ['done', /^drained for/, 'closed'])
})

t.test('`close` is called after the drain with the signal, and the app is closed in any case', async t => {
  const child = service(t, "shutdown: { delay: 100, close: async signal => { say('close', { signal }); await server.close() } }", `
    const server = Fastify()
    server.addHook('onClose', async () => { say('other closed') })
    await server.listen({ port: 0, host: '127.0.0.1' })`)
  await child.line('up')
  child.kill('SIGTERM')
  t.match(await child.exit, { code: 0, stderr: '' })
  t.match(child.lines.find(({ msg }) => msg === 'close'), { signal: 'SIGTERM' })
  t.match(messages(child.lines).slice(-4), [/^drained for/, 'close', 'other closed', 'closed'])
})

t.test('`close` may close the app itself, and one that fails exits with 1', async t => {
  const itself = service(t, 'shutdown: { delay: 0, close: () => app.close() }')
  await itself.line('up')
  itself.kill('SIGTERM')
  t.match(await itself.exit, { code: 0 })
  t.equal(messages(itself.lines).at(-1), 'closed')

  for (const close of ["() => { throw new Error('no') }", "async () => { throw new Error('no') }"]) {
    const child = service(t, `shutdown: { delay: 0, close: ${close} }`)
    await child.line('up')
    child.kill('SIGTERM')
    const { code, lines } = await child.exit
    t.equal(code, 1)
    t.match(lines.at(-2), { level: 50, msg: 'close failed, exiting with code 1', err: { message: 'no' } })
    t.equal(lines.at(-1)!.msg, 'closed', 'the app closes all the same')
  }
})

t.test('a drain that ends while traffic still arrives says so, and one whose traffic ended does not', async t => {
  for (const [what, traffic, told] of [['goes on', 60_000, true], ['ends', 200, false]] as const) {
    const child = service(t, 'shutdown: { delay: 2000 }', "app.get('/', async () => 'served')")
    const { port } = await child.line('up')
    child.kill('SIGTERM')
    await child.line(/draining/)
    const until = Date.now() + traffic
    const load = setInterval(() => {
      // Probes go on, each on a connection of its own.
      for (const path of Date.now() < until ? ['/', '/healthz/ready', '/healthz/live'] : ['/healthz/ready']) {
        fetch({ port, host: '127.0.0.1', path, agent: false }, response => response.resume()).on('error', () => {}).end()
      }
    }, 50)
    const { code, lines } = await child.exit
    clearInterval(load)
    t.equal(code, 0)
    const warnings = lines.filter(({ level }) => level === 40)
    t.equal(warnings.length, told ? 1 : 0, what)
    if (told) {
      t.match(warnings[0], { newConnections: Number })
      t.match(warnings[0]!.msg, /^drain ended while traffic was still arriving: \d+ new connections in the last second, raise shutdown.delay$/)
      t.ok(warnings[0]!.newConnections <= 30, 'without those of probes')
    }
  }
})

t.test('the boot says how long it took', async t => {
  const child = service(t, '', 'await wait(300)')
  const { port } = await child.line('up')
  const { msg, bootMs } = await child.line(/^serving after/)
  t.equal(msg, `serving after ${bootMs / 1000} s`)
  t.ok(bootMs >= 300, String(bootMs))
  const startup = JSON.parse((await request(port, 'GET', '/healthz/startup?verbose')).body)
  t.equal(startup.bootMs, bootMs)
  t.notMatch(JSON.parse((await request(port, 'GET', '/healthz/ready?verbose')).body), { bootMs })
  await sleep(0)
  child.kill('SIGKILL')
})

t.test('an app that never listens serves once it is ready with `serving: onReady`, and exits as soon as nothing is held', async t => {
  const child = startService(t, `
    const app = Fastify({ logger: { stream } })
    await app.register(healthz, { listen: { port: 0, host: '127.0.0.1', serving: 'onReady' }, shutdown: true })
    app.addHook('onClose', async () => { app.log.info('closed') })
    const release = app.healthz.hold('job')
    app.healthz.drainSignal.addEventListener('abort', () => setTimeout(release, 100))
    await app.ready()
    // What a consumer's connection does.
    setInterval(() => {}, 1000)
    say('up', { port: app.healthz.address.port, state: app.healthz.state })`)
  const { port, state } = await child.line('up')
  t.equal(state, 'serving')
  t.equal((await request(port, 'GET', '/healthz/ready')).body, '{"status":200,"title":"OK"}')
  child.kill('SIGTERM')
  t.match(await child.exit, { code: 0, stderr: '' })
  t.match(messages(child.lines).slice(-4), [
    'SIGTERM: draining for 0 s, ready fails from now on', 'waiting for job', /^drained for 0\.\d+ s$/, 'closed'
  ])
})
