import { execFile } from 'node:child_process'
import { setImmediate } from 'node:timers/promises'
import { promisify } from 'node:util'
import { type ChannelModel, connect } from 'amqplib'
import { connect as connectWithCallbacks } from 'amqplib/callback_api'
import t, { type Test } from 'tap'
import { amqp, type AmqpConnection } from '../../lib/checks/index.js'
import { needsCommands } from '../helpers/own-server.js'
import { proxyTo } from '../helpers/proxy.js'
import { hangOften, next, readyWith } from '../helpers/ready.js'
import { needs, PORTS } from '../helpers/services.js'

async function open (t: Test, port: number, options: object = {}, credentials = 'guest:guest'): Promise<ChannelModel> {
  const connection = await connect(`amqp://${credentials}@127.0.0.1:${port}`, options)
  connection.on('error', () => {})
  t.teardown(() => connection.close().catch(() => {}))
  return connection
}

const ctl = (...args: string[]) => promisify(execFile)('rabbitmqctl', ['--quiet', ...args])

t.test('amqp', async t => {
  if (!await needs(t, 'amqp')) return

  t.test('what happens to the network shows, and passes when it is over', async t => {
    const proxy = await proxyTo(PORTS.amqp)
    t.teardown(() => proxy.close())
    let connection: ChannelModel | undefined
    const { app, ask, recovers } = await readyWith(t, { queue: amqp(() => connection) })
    const address = await app.listen({ port: 0 })
    t.equal(await ask(), 'queue: not connected')

    connection = await open(t, proxy.port)
    t.equal(await ask(), 'OK')

    proxy.swallow()
    const answer = await fetch(`${address}/healthz/ready`)
    t.strictSame([answer.status, await answer.json()], [503, { status: 503, title: 'queue: no channel within 150 ms' }])
    await proxy.resume()
    t.equal(await recovers(), 'OK')

    const closed = next(connection, 'close')
    proxy.cut()
    await closed
    t.equal(await ask(), 'queue: connection closed')
    t.equal(await ask(), 'queue: connection closed')
    connection = await open(t, proxy.port)
    t.equal(await ask(), 'OK')
  })

  t.test('a connection that recovers by itself passes by itself', async t => {
    const proxy = await proxyTo(PORTS.amqp)
    t.teardown(() => proxy.close())
    await proxy.refuse()
    const connection = await open(t, proxy.port, { recovery: { initialDelay: 20, maxDelay: 20, waitForConnect: false } })
    const { ask, recovers } = await readyWith(t, { queue: amqp(connection) })
    t.equal(await ask(), 'queue: no channel within 150 ms', 'refused')
    await proxy.resume()
    t.equal(await recovers(), 'OK')

    // The next connection is accepted, and then its handshake is lost.
    proxy.swallow()
    const accepted = proxy.next()
    proxy.cut()
    await accepted
    t.equal(await ask(), 'queue: no channel within 150 ms', 'swallowed')
    await proxy.resume()
    t.equal(await recovers(), 'OK')

    await connection.close()
    t.equal(await ask(), 'queue: connection closed')
  })

  t.test('a connection that gave up says why it did', async t => {
    const options = { recovery: { initialMaxRetries: 0, waitForConnect: false } }
    const wrong = await open(t, PORTS.amqp, options, 'guest:wrong')
    // Nobody listens there.
    const refused = await open(t, 1, options)
    const { ask, lines } = await readyWith(t, { queue: amqp(wrong), other: amqp(refused) }, 2000)
    t.equal(await ask(), 'queue: access refused; other: connection refused')
    t.match(lines.find(({ check }) => check === 'queue'), { err: { message: /ACCESS.REFUSED/ } })
  })

  t.test('a connection that is cut under the check is lost, at either of its steps', async t => {
    const proxy = await proxyTo(PORTS.amqp)
    t.teardown(() => proxy.close())
    let connection = await open(t, proxy.port)
    const opening = await readyWith(t, { queue: amqp(() => connection) }, 5000)
    proxy.swallow()
    const asked = opening.ask()
    // So that the channel is being opened.
    await setImmediate()
    proxy.cut()
    t.equal(await asked, 'queue: connection lost')
    t.match(opening.lines.at(-1), { err: { stack: /no reply will be forthcoming/ } })

    await proxy.resume()
    connection = await open(t, proxy.port)
    const swallowing: AmqpConnection = {
      async createChannel () {
        const channel = await connection.createChannel()
        proxy.swallow()
        return channel
      }
    }
    let source: AmqpConnection = swallowing
    const closing = await readyWith(t, { queue: amqp(() => source) })
    t.equal(await closing.ask(), 'queue: no answer within 150 ms')
    proxy.cut()
    await proxy.resume()
    source = await open(t, proxy.port)
    // A run that hung on would be in the way of the next for half a minute.
    t.equal(await closing.recovers(1000), 'OK')
  })

  t.test('a connection whose channels are all in use has none free', async t => {
    const connection = await open(t, PORTS.amqp, {}, 'guest:guest')
    const one = await connect('amqp://guest:guest@127.0.0.1?channelMax=1')
    t.teardown(() => one.close())
    const { ask } = await readyWith(t, { queue: amqp(one), other: amqp(connection) })
    t.equal(await ask(), 'OK')
    const channel = await one.createChannel()
    t.equal(await ask(), 'queue: no free channel')
    await channel.close()
    t.equal(await ask(), 'OK')
  })

  t.test('however often it hung, the client serves at once and the server holds nothing of it', async t => {
    const proxy = await proxyTo(PORTS.amqp)
    t.teardown(() => proxy.close())
    const name = `healthz-${process.pid}`
    const connection = await open(t, proxy.port, { clientProperties: { connection_name: name } })
    const titles = await hangOften(t, amqp(connection), () => proxy.swallow(), () => proxy.resume())
    t.strictSame(titles, ['no channel within 20 ms'])

    const before = performance.now()
    const channels = await Promise.all(Array.from({ length: 20 }, () => connection.createChannel()))
    t.ok(performance.now() - before < 500, 'it serves at once')
    // A number that is in use on either side would not be given.
    t.strictSame(channels.map(channel => (channel as unknown as { ch: number }).ch).sort((a, b) => a - b), Array.from({ length: 20 }, (_, i) => i + 1))
    await Promise.all(channels.map(channel => channel.close()))
    if (!needsCommands(t, 'rabbitmqctl')) return
    const { stdout } = await ctl('list_connections', 'client_properties', 'channels')
    const ours = stdout.split('\n').filter(line => line.includes(name))
    t.equal(ours.length, 1, 'one connection')
    t.match(ours[0], /\t0$/, 'no channel')
  })

  // It changes a setting of the server for a moment, which is nobody's wish on a machine of one's own.
  const skip = process.env.HEALTHZ_REQUIRE_SERVICES === '1' ? false : 'only where HEALTHZ_REQUIRE_SERVICES=1'
  t.test("a server that doesn't read from those that publish hangs, until its alarm is over", { skip }, async t => {
    if (!needsCommands(t, 'rabbitmqctl')) return
    const connection = await open(t, PORTS.amqp)
    const { ask, recovers } = await readyWith(t, { queue: amqp(connection) })
    t.equal(await ask(), 'OK')
    const { stdout } = await ctl('eval', 'vm_memory_monitor:get_vm_memory_high_watermark().')
    const restore = () => ctl('set_vm_memory_high_watermark', stdout.trim())
    t.teardown(restore)
    const channel = await connection.createChannel()
    await ctl('set_vm_memory_high_watermark', '0.00001')
    t.equal(await ask(), 'OK', 'one that has published nothing is served')
    const blocked = next(connection, 'blocked')
    channel.publish('', 'healthz-nobody', Buffer.from('x'))
    await blocked
    t.equal(await ask(), 'queue: no channel within 150 ms')
    await restore()
    t.equal(await recovers(), 'OK')
  })
})

t.test('what is no connection is refused', async t => {
  for (const connection of [undefined, null, {}, 'amqp://localhost']) {
    t.throws(() => amqp(connection as any), {
      code: 'HEALTHZ_ERR_OPTION_INVALID', message: /`client of amqp\(\)` to be a client with `createChannel\(\)`/
    })
  }
})

t.test('a connection of the callback API fails, as nobody would wait for its answer', async t => {
  if (!await needs(t, 'amqp')) return
  const connection = await promisify((callback: (error: unknown, connection: any) => void) =>
    connectWithCallbacks('amqp://guest:guest@127.0.0.1', callback))()
  t.teardown(() => connection.close())
  const { ask } = await readyWith(t, { queue: amqp(connection) })
  t.equal(await ask(), 'queue: failed')
})
