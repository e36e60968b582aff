// What a stall of the event loop does to checks whose answers arrive meanwhile, in a separate process.
import { once } from 'node:events'
import { type AddressInfo, createServer } from 'node:net'
import { createInterface } from 'node:readline'
import { setTimeout } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { spawnNode } from '../helpers/service.js'

/** A dependency that answers each message after 20 ms, in two packets. */
async function dependency (t: Test): Promise<number> {
  const server = createServer(socket => socket.setNoDelay().on('error', () => {}).on('data', async () => {
    await setTimeout(20)
    socket.write('po')
    await setTimeout(20)
    socket.write('ng')
  }))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return (server.address() as AddressInfo).port
}

/** Probes once, while a check on request and one in the background wait for their answers, and says what it came to. */
const PROGRAM = `
  const { connect } = require('node:net')
  const { once } = require('node:events')
  const [port, stall] = process.argv.slice(1)
  async function check () {
    const socket = await sockets.pop()
    socket.write('ping')
    let answer = ''
    while (answer !== 'pong') answer += await once(socket, 'data')
    socket.destroy()
  }
  const open = async () => {
    const socket = connect(+port, '127.0.0.1')
    await once(socket, 'connect')
    return socket
  }
  const sockets = [open(), open()]
  Promise.all(sockets).then(async () => {
    const app = require('fastify')()
    const timeout = 200
    app.register(require('./dist/lib/index.js'), { ready: { asked: { check, timeout }, background: { check, timeout, interval: 60_000 } } })
    await app.ready()
    const outcome = app.healthz.run('ready')
    if (stall === 'busy') setImmediate(() => { for (const end = Date.now() + 1000; Date.now() < end;); })
    else setImmediate(() => console.log('stop me'))
    const { asked } = (await outcome).checks
    setTimeout(() => console.log(JSON.stringify([asked.status, app.healthz.snapshot().ready.checks.background.status])), 100)
  })`

async function stalled (t: Test, how: 'busy' | 'stopped'): Promise<unknown> {
  const port = await dependency(t)
  const child = spawnNode(['--eval', PROGRAM, String(port), how])
  child.stderr.pipe(process.stderr)
  for await (const line of createInterface(child.stdout)) {
    if (line !== 'stop me') return JSON.parse(line)
    child.kill('SIGSTOP')
    await setTimeout(1000)
    child.kill('SIGCONT')
  }
}

t.jobs = 2

t.test('an answer that arrives while the event loop is blocked is in time', async t => {
  t.strictSame(await stalled(t, 'busy'), ['pass', 'pass'])
})

t.test('an answer that arrives while the process is stopped is in time', async t => {
  t.strictSame(await stalled(t, 'stopped'), ['pass', 'pass'])
})
