// The thread of the separate port: how it ends, and what is without it. Each in a process of its own.
import { cpSync, rmSync } from 'node:fs'
import { once } from 'node:events'
import { get } from 'node:http'
import { connect, createServer, type Socket } from 'node:net'
import { join, relative } from 'node:path'
import t, { type Test } from 'tap'
import { request } from '../helpers/raw.js'
import { follow, PRELUDE, spawnNode, startService } from '../helpers/service.js'

t.jobs = 2

/** Keeps the threads that are started. Before the plugin is loaded, which looks for `Worker` then. */
const KEEP_WORKERS = `
  const threads = require('node:worker_threads')
  const workers = []
  threads.Worker = class extends threads.Worker { constructor (...args) { super(...args); workers.push(this) } }
`

const ready = async (port: number) => (await request(port, 'GET', '/healthz/ready')).body
const OK = '{"status":200,"title":"OK"}'

async function free (t: Test, port: number): Promise<void> {
  const server = createServer().listen(port, '127.0.0.1')
  await once(server, 'listening')
  server.close()
  t.pass('the port is free')
}

const deaths = {
  'is terminated': 'worker.terminate()',
  'throws an error': 'worker.postMessage(null)',
  'runs out of memory': 'worker.postMessage(Array.from({ length: 5_000_000 }, () => ({})))'
}
for (const [death, program] of Object.entries(deaths)) {
  t.test(`when the thread ${death}, that is logged as fatal, and the main thread serves the port`, async t => {
    const child = startService(t, `
      ${KEEP_WORKERS}
      const app = Fastify({ logger: { stream } })
      const check = { check: () => new Promise(() => {}), timeout: 5000 }
      app.register(healthz, { listen: { port: 0, host: '127.0.0.1', thread: { stack: false } }, noLog: true, probes: { stuck: { hangs: check } } })
      await app.listen({ port: 0, host: '127.0.0.1' })
      const [worker] = workers
      process.once('SIGUSR2', () => {
        process.once('SIGUSR2', async () => {
          say('address', app.healthz.address)
          await app.close()
          say('closed')
        })
        ${program}
      })
      say('port', { port: app.healthz.address.port })`)
    const { port } = await child.line('port')
    t.equal(await ready(port), OK)
    const pending = connect(port, '127.0.0.1').on('error', () => {}).resume()
    pending.write('GET /healthz/stuck HTTP/1.1\r\nHost: a\r\n\r\n')
    const silent = connect(port, '127.0.0.1').on('error', () => {}).resume()
    const closed = [once(pending, 'close'), once(silent, 'close')]
    await once(silent, 'connect')
    t.equal(await ready(port), OK, 'both are there')
    child.kill('SIGUSR2')
    t.match(await child.line(/^the thread of the separate port died/), { level: 60, err: { message: /thread exited|reading 'type'|out of memory/ } })
    await Promise.all(closed)
    for (let i = 0; i < 3; i++) t.equal(await ready(port), OK)
    child.kill('SIGUSR2')
    t.match(await child.line('address'), { port, address: '127.0.0.1' })
    await child.line('closed')
    await free(t, port)
    t.match(await child.exit, { code: 0 })
    t.notOk(child.lines.some(({ msg }) => /aborted/.test(msg)), 'no prober has hung up')
  })
}

t.test('each of many apps has a thread, which ends with its app', async t => {
  const child = startService(t, `
    ${KEEP_WORKERS}
    const apps = []
    for (let i = 0; i < 8; i++) {
      const app = Fastify()
      app.register(healthz, { listen: { port: 0, host: '127.0.0.1', thread: true }, ready: () => { throw new healthz.HealthError('app ' + i) } })
      await app.listen({ port: 0, host: '127.0.0.1' })
      apps.push(app)
    }
    const ends = workers.map(worker => new Promise(resolve => worker.once('exit', resolve)))
    const signal = () => new Promise(resolve => process.once('SIGUSR2', resolve))
    let signalled = signal()
    say('ports', { ports: apps.map(app => app.healthz.address.port) })
    await signalled
    await Promise.all(apps.slice(1).map(app => app.close()))
    const codes = await Promise.all(ends.slice(1))
    signalled = signal()
    say('ended', { codes })
    await signalled
    await apps[0].close()`)
  const { ports } = await child.line('ports')
  const titles = await Promise.all(ports.map(async (port: number) => JSON.parse(await ready(port)).title))
  t.strictSame(titles, Array.from({ length: 8 }, (_, i) => `app ${i}`))
  child.kill('SIGUSR2')
  t.strictSame((await child.line('ended')).codes, Array(7).fill(0))
  t.match(await ready(ports[0]), /app 0/, 'the first is still there')
  await Promise.all(ports.slice(1).map((port: number) => free(t, port)))
  child.kill('SIGUSR2')
  t.match(await child.exit, { code: 0, stderr: '' })
})

t.test('an app of @fastify/restartable that takes the port over logs the blocks from then on', async t => {
  const child = startService(t, `
    const { restartable } = require('@fastify/restartable')
    let boots = 0
    const app = await restartable(async (fastify, options) => {
      const boot = ++boots
      const app = fastify({ ...options, logger: { stream: { write: line => say(boot + ': ' + JSON.parse(line).msg) } } })
      app.register(healthz, { listen: { port: 0, host: '127.0.0.1', thread: { stack: false } } })
      return app
    })
    const block = () => {
      for (const end = performance.now() + 1300; performance.now() < end;);
    }
    await app.listen({ port: 0, host: '127.0.0.1' })
    await app.restart()
    block()
    process.once('SIGUSR2', () => app.close())`)
  await child.line(/^\d: event loop blocked/)
  child.kill('SIGUSR2')
  t.equal((await child.exit).code, 0)
  t.match(child.lines.map(({ msg }) => msg).filter(msg => msg.includes('blocked')), [/^2: event loop blocked for [\d.]+ s$/])
})

t.test('an app closes while another blocks the event loop, and the port is free at once', async t => {
  const child = startService(t, `
    const serve = async () => {
      const app = Fastify()
      app.register(healthz, { listen: { port: 0, host: '127.0.0.1', thread: { stack: false } } })
      await app.listen({ port: 0, host: '127.0.0.1' })
      return app
    }
    const [closes, blocks] = [await serve(), await serve()]
    const block = ms => { const until = Date.now() + ms; while (Date.now() < until); }
    const { port } = closes.healthz.address
    const signal = new Promise(resolve => process.once('SIGUSR2', resolve))
    say('ports', { closes: port, blocks: blocks.healthz.address.port })
    await signal
    const closed = closes.close()
    process.nextTick(block, 600)
    setImmediate(block, 600)
    setTimeout(block, 1, 600)
    await closed
    require('node:net').createServer().listen(port, '127.0.0.1', function () {
      say('free')
      this.close()
      blocks.close()
    })`)
  const { closes, blocks } = await child.line('ports')
  const sockets = [closes, blocks].map(port => connect(port, '127.0.0.1').on('error', () => {}).resume())
  for (const socket of sockets) await once(socket, 'connect')
  child.kill('SIGUSR2')
  await child.line('free')
  t.match(await child.exit, { code: 0 })
})

t.test('where there are no threads, that is logged once, and the probes are served as without the option', async t => {
  const program = `
    const app = Fastify({ logger: { stream } })
    app.register(healthz, { listen: { port: 0, host: '127.0.0.1', thread: true }, noLog: true })
    await app.listen({ port: 0, host: '127.0.0.1' })
    process.once('SIGUSR2', () => app.close())
    say('port', { port: app.healthz.address.port })`
  const folder = t.testdir({})
  cpSync(join(__dirname, '../../dist'), join(folder, 'dist'), { recursive: true })
  rmSync(join(folder, 'dist/lib/watchdog/thread.js'))
  const bundled = PRELUDE.replace('./dist/', `./${relative(process.cwd(), folder)}/dist/`)
  const start = (prelude: string, ...args: string[]) => {
    return follow(t, spawnNode([...args, '--eval', `${prelude};(async () => {${program}})()`]))
  }
  const without = {
    'in a runtime whose threads throw': start(`require('node:worker_threads').Worker = class { constructor () { throw new Error('no threads') } }\n${PRELUDE}`),
    'without the file of the thread, as in a bundle': start(bundled)
  }
  for (const [name, child] of Object.entries(without)) {
    const { port } = await child.line('port')
    t.equal(await ready(port), OK, name)
    child.kill('SIGUSR2')
    t.match(await child.exit, { code: 0, stderr: '' })
    t.match(child.lines.filter(({ level }) => level > 30), [{ level: 40, msg: /^listen.thread is unavailable/, err: { message: /no threads|Cannot find module/ } }])
    await free(t, port)
  }
})

t.test('what NODE_OPTIONS preloads is not loaded in the thread', async t => {
  const folder = t.testdir({ 'agent.js': "require('node:fs').writeSync(1, JSON.stringify({ msg: 'preloaded' }) + '\\n')" })
  const child = follow(t, spawnNode(['--eval', `${PRELUDE};(async () => {
    const app = Fastify()
    app.register(healthz, { listen: { port: 0, host: '127.0.0.1', thread: true } })
    await app.listen({ port: 0, host: '127.0.0.1' })
    await app.close()
  })()`], { NODE_OPTIONS: `--require=${join(folder, 'agent.js')}` }))
  t.match(await child.exit, { code: 0, stderr: '' })
  t.equal(child.lines.filter(({ msg }) => msg === 'preloaded').length, 1)
})

t.test('ten thousand requests and two thousand silent connections, over and over, leave nothing behind', { timeout: 100_000 }, async t => {
  const child = startService(t, `
    const app = Fastify()
    app.register(healthz, { listen: { port: 0, host: '127.0.0.1', thread: true } })
    await app.listen({ port: 0, host: '127.0.0.1' })
    let measured = 0
    process.on('SIGUSR2', () => { say('memory ' + ++measured, { mb: process.memoryUsage().rss / 1e6 }) })
    process.once('SIGTERM', () => {
      process.removeAllListeners('SIGUSR2')
      app.close()
    })
    say('port', { port: app.healthz.address.port })`)
  const { port } = await child.line('port')
  const one = () => new Promise<void>((resolve, reject) => {
    get({ port, host: '127.0.0.1', path: '/healthz/ready', agent: false }, response => { response.resume().on('end', resolve) }).on('error', reject)
  })
  const memory: number[] = []
  for (let round = 1; round <= 4; round++) {
    const silent: Socket[] = []
    while (silent.length < 2000) {
      const some = Array.from({ length: 100 }, () => connect(port, '127.0.0.1').on('error', () => {}).resume())
      silent.push(...some)
      await Promise.all(some.map(socket => once(socket, 'connect')))
    }
    const closed = Promise.all(silent.map(socket => socket.closed || once(socket, 'close')))
    for (let i = 0; i < 100; i++) await Promise.all(Array.from({ length: 100 }, one))
    await closed
    child.kill('SIGUSR2')
    memory.push((await child.line(`memory ${round}`)).mb)
  }
  t.comment(memory.map(Math.round))
  t.ok(memory[3]! < memory[1]! + 30, `${memory.map(Math.round)} MB`)
  child.kill('SIGTERM')
  t.match(await child.exit, { code: 0, stderr: '' })
})
