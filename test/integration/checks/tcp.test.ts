import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { tcp } from '../../../lib/checks/index.js'
import { proxyTo } from '../../helpers/proxy.js'
import { hangOften, readyWith } from '../../helpers/ready.js'

async function serve (t: Test, accept?: (socket: Socket) => void): Promise<{ server: Server, port: number }> {
  const server = createServer(accept).listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  return { server, port: (server.address() as { port: number }).port }
}

t.test('a host and a port that could not be meant are refused', async t => {
  for (const host of ['', 5, null, undefined]) {
    t.throws(() => tcp({ host, port: 5 } as any), { message: /^Expected `tcp\(\)\.host` to be a host name or an address, got / })
  }
  for (const port of [0, 65536, 1.5, '5432', undefined]) {
    t.throws(() => tcp({ host: 'a', port } as any), { message: /^Expected `tcp\(\)\.port` to be an integer from 1 to 65535, got / })
  }
})

/** Connections of this process, made or in the making. */
function connections (): number {
  return process.getActiveResourcesInfo().filter(name => /^TCP(Socket|Connect)Wrap$/.test(name)).length
}

/** A server that is stopped where it is, and whose queue of connections is full: one more is neither taken nor refused. */
async function stuckServer (t: Test): Promise<{ port: number, thaw (): void }> {
  const program = `
    const server = require('node:net').createServer(socket => socket.on('error', () => {}).destroy())
    server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => { require('node:fs').writeSync(1, String(server.address().port)) })
  `
  const { NODE_OPTIONS, ...env } = process.env
  const child = spawn(process.execPath, ['--eval', program], { stdio: ['ignore', 'pipe', 'inherit'], env })
  t.teardown(() => child.kill('SIGKILL'))
  const [port] = (await once(child.stdout, 'data')).map(Number) as [number]
  child.kill('SIGSTOP')
  const fillers: Socket[] = []
  t.teardown(() => fillers.forEach(socket => socket.destroy()))
  for (let taken = true; taken;) {
    const socket = connect(port, '127.0.0.1')
    fillers.push(socket)
    taken = await Promise.race([once(socket, 'connect').then(() => true), sleep(100, false)])
  }
  return {
    port,
    thaw () {
      fillers.forEach(socket => socket.destroy())
      child.kill('SIGCONT')
    }
  }
}

t.test('what listens passes, and is left at once', async t => {
  const closed: Array<Promise<unknown>> = []
  const { port } = await serve(t, socket => { closed.push(once(socket.resume(), 'close')) })
  const { ask } = await readyWith(t, { port: tcp({ host: '127.0.0.1', port }) }, 5000)
  t.equal(await ask(), 'OK')
  t.equal(await ask(), 'OK')
  await Promise.all(closed)
  t.equal(closed.length, 2)
})

t.test('what is refused, or cut off, or has no name, says so without saying what', async t => {
  const { server, port } = await serve(t)
  server.close()
  await once(server, 'close')
  const { ask, app, lines } = await readyWith(t, {
    one: tcp({ host: '127.0.0.1', port }),
    many: tcp({ host: 'localhost', port })
  }, 5000)
  t.equal(await ask(), 'one: connection refused; many: connection refused')
  t.match(lines.find(({ check }) => check === 'one')!.err.message, /127\.0\.0\.1/, 'the log has the cause')
  app.healthz.add('ready', 'name', tcp({ host: 'secret.invalid', port }))
  t.equal(await ask(), 'one: connection refused; many: connection refused; name: host not found')
})

t.test('it passes again by itself', async t => {
  const { port } = await serve(t)
  const proxy = await proxyTo(port)
  t.teardown(() => proxy.refuse())
  const { ask, recovers } = await readyWith(t, { port: tcp({ host: '127.0.0.1', port: proxy.port }) }, 5000)
  t.equal(await ask(), 'OK')
  await proxy.refuse()
  t.equal(await ask(), 'port: connection refused')
  await proxy.resume()
  t.equal(await recovers(), 'OK')
})

t.test('what neither takes nor refuses a connection times out, however often, and nothing is left of it', async t => {
  const { port, thaw } = await stuckServer(t)
  const check = tcp({ host: '127.0.0.1', port })
  const { ask, recovers } = await readyWith(t, { port: check })
  const before = connections()
  t.equal(await ask(), 'port: no connection within 150 ms')
  t.same(await hangOften(t, check, () => {}, () => {}), ['no connection within 20 ms'])
  while (connections() > before) await sleep(1)
  t.equal(connections(), before)
  thaw()
  t.equal(await recovers(), 'OK')
})
