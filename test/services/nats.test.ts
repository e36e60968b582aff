import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { connect, type NatsConnection } from '@nats-io/transport-node'
import t, { type Test } from 'tap'
import { nats } from '../../lib/checks/index.js'
import { needsCommands, type OwnServer, ownServer } from '../helpers/own-server.js'
import { proxyTo } from '../helpers/proxy.js'
import { hangOften, readyWith } from '../helpers/ready.js'
import { needs, PORTS } from '../helpers/services.js'

/** It reconnects within 20 ms. */
async function open (t: Test, port: number, options: object = {}): Promise<NatsConnection> {
  const connection = await connect({
    servers: `127.0.0.1:${port}`, reconnectTimeWait: 20, reconnectJitter: 0, maxReconnectAttempts: -1, ...options
  })
  t.teardown(() => connection.close())
  return connection
}

async function told (connection: NatsConnection, type: string): Promise<void> {
  for await (const status of connection.status()) if (status.type === type) return
}

/** What the server says of its connections. */
async function connections ({ dir }: OwnServer): Promise<Array<Record<string, any>>> {
  const [file] = (await readdir(dir)).filter(name => name.endsWith('.ports'))
  const { monitoring } = JSON.parse(await readFile(join(dir, file!), 'utf8'))
  const answer = await fetch(`${monitoring[0]}/connz`)
  return (await answer.json() as any).connections
}

t.test('nats', async t => {
  if (!await needs(t, 'nats') || !needsCommands(t, 'nats-server')) return

  t.test('what happens to the network shows, and passes when it is over', async t => {
    const proxy = await proxyTo(PORTS.nats)
    t.teardown(() => proxy.close())
    const connection = await open(t, proxy.port)
    const { app, ask, recovers } = await readyWith(t, { events: nats(connection) })
    const address = await app.listen({ port: 0 })
    t.equal(await ask(), 'OK')

    proxy.swallow()
    const answer = await fetch(`${address}/healthz/ready`)
    t.strictSame([answer.status, await answer.json()], [503, { status: 503, title: 'events: no answer within 150 ms' }])
    await proxy.resume()
    t.equal(await recovers(), 'OK')

    await proxy.refuse()
    const disconnected = told(connection, 'disconnect')
    proxy.cut()
    await disconnected
    t.equal(await ask(), 'events: not connected')
    await proxy.resume()
    t.equal(await recovers(), 'OK')

    // The next connection is accepted, and then its handshake is lost.
    proxy.swallow()
    const accepted = proxy.next()
    proxy.cut()
    await accepted
    t.equal(await ask(), 'events: not connected')
    await proxy.resume()
    t.equal(await recovers(), 'OK')

    await connection.close()
    t.equal(await ask(), 'events: connection closed')
  })

  t.test('a connection that is cut under a PING is not connected', async t => {
    const proxy = await proxyTo(PORTS.nats)
    t.teardown(() => proxy.close())
    const { lines, ask, recovers } = await readyWith(t, { events: nats(await open(t, proxy.port)) }, 5000)
    proxy.swallow()
    const asked = ask()
    await setImmediate()
    proxy.cut()
    t.equal(await asked, 'events: not connected')
    t.match(lines.at(-1), { err: { message: 'not connected: connection disconnected' } })
    await proxy.resume()
    t.equal(await recovers(), 'OK')
  })

  t.test('a server that hangs, stops, or no longer knows the password shows', async t => {
    const server = await ownServer(t, 'nats-server', ['-a', '127.0.0.1', '-p', '{port}', '--user', 'app', '--pass', 'one'])
    await t.rejects(connect({ servers: `127.0.0.1:${server.port}`, user: 'app', pass: 'wrong' }), /Authorization Violation/)
    const connection = await open(t, server.port, { user: 'app', pass: 'one' })
    const { ask, recovers } = await readyWith(t, { events: nats(connection) })
    t.equal(await ask(), 'OK')

    await server.freeze()
    t.equal(await ask(), 'events: no answer within 150 ms')
    server.thaw()
    t.equal(await recovers(), 'OK')

    let disconnected = told(connection, 'disconnect')
    await server.stop()
    await disconnected
    t.equal(await ask(), 'events: not connected')
    await server.start()
    t.equal(await recovers(), 'OK')

    // It gives up after its password was refused twice.
    disconnected = told(connection, 'disconnect')
    await server.stop()
    await disconnected
    await server.start('--pass', 'two')
    await connection.closed()
    t.equal(await ask(), 'events: connection closed')
  })

  t.test('however often it hung, the client serves at once and the server holds nothing of it', async t => {
    const args = ['-a', '127.0.0.1', '-p', '{port}', '-m', '-1', '--ports_file_dir', '{dir}']
    const server = await ownServer(t, 'nats-server', args)
    const proxy = await proxyTo(server.port)
    t.teardown(() => proxy.close())
    const connection = await open(t, proxy.port)
    const hung = ['no answer within 20 ms']
    const swallowed = await hangOften(t, nats(connection), () => proxy.swallow(), () => proxy.resume())
    t.strictSame(swallowed, hung, 'on the way')
    const frozen = await hangOften(t, nats(connection), () => server.freeze(), () => server.thaw())
    t.strictSame(frozen, hung, 'inside the server')

    connection.subscribe('echo', { callback: (_error, message) => { message.respond(message.data) } })
    const before = performance.now()
    await Promise.all(Array.from({ length: 100 }, (_, i) => connection.request('echo', String(i))))
    t.ok(performance.now() - before < 500, 'it serves at once')
    const [ours, ...others] = await connections(server)
    t.strictSame(others, [], 'one connection')
    t.match(ours, { pending_bytes: 0, subscriptions: 2 })
  })
})

t.test('what is no connection is refused', async t => {
  for (const connection of [undefined, null, {}, { rtt () {} }, 'nats://localhost']) {
    t.throws(() => nats(connection as any), {
      code: 'HEALTHZ_ERR_OPTION_INVALID', message: /`client of nats\(\)` to be a client with `rtt\(\)`, `isClosed\(\)`/
    })
  }
})
