import { setImmediate } from 'node:timers/promises'
import { connect, type MqttClient } from 'mqtt'
import t, { type Test } from 'tap'
import { mqtt } from '../../lib/checks/index.js'
import { needsCommands, ownServer } from '../helpers/own-server.js'
import { proxyTo } from '../helpers/proxy.js'
import { hangOften, next, readyWith } from '../helpers/ready.js'
import { needs, PORTS } from '../helpers/services.js'

/** It reconnects within 20 ms. */
function open (t: Test, port: number, options: object = {}): MqttClient {
  const client = connect(`mqtt://127.0.0.1:${port}`, { reconnectPeriod: 20, reconnectOnConnackError: true, ...options })
  client.on('error', () => {})
  t.teardown(() => { client.end(true) })
  return client
}

const mosquitto = (t: Test, conf: string) =>
  ownServer(t, 'mosquitto', ['-c', '{dir}/conf'], `user root\nlistener {port} 127.0.0.1\n${conf}`)

t.test('mqtt', async t => {
  if (!await needs(t, 'mqtt') || !needsCommands(t, 'mosquitto')) return

  for (const protocolVersion of [4, 5]) {
    t.test(`version ${protocolVersion}: what happens to the network shows, and passes when it is over`, async t => {
      const proxy = await proxyTo(PORTS.mqtt)
      t.teardown(() => proxy.close())
      await proxy.refuse()
      const client = open(t, proxy.port, { protocolVersion })
      const { app, ask, recovers } = await readyWith(t, { devices: mqtt(client) })
      const address = await app.listen({ port: 0 })
      t.equal(await ask(), 'devices: not connected')
      await proxy.resume()
      t.equal(await recovers(), 'OK')

      proxy.swallow()
      const answer = await fetch(`${address}/healthz/ready`)
      t.strictSame([answer.status, await answer.json()], [503, { status: 503, title: 'devices: no answer within 150 ms' }])
      await proxy.resume()
      t.equal(await recovers(), 'OK')

      // The next connection is accepted, and then its handshake is lost.
      proxy.swallow()
      const accepted = proxy.next()
      proxy.cut()
      await accepted
      t.equal(await ask(), 'devices: not connected')
      await proxy.resume()
      t.equal(await recovers(), 'OK')

      await client.endAsync()
      t.equal(await ask(), 'devices: not connected')
    })
  }

  t.test('a connection that is cut under a PINGREQ is lost', async t => {
    const proxy = await proxyTo(PORTS.mqtt)
    t.teardown(() => proxy.close())
    const client = open(t, proxy.port)
    await next(client, 'connect')
    const { ask, recovers } = await readyWith(t, { devices: mqtt(client) }, 5000)
    proxy.swallow()
    const asked = ask()
    await setImmediate()
    proxy.cut()
    t.equal(await asked, 'devices: connection lost')
    await proxy.resume()
    t.equal(await recovers(), 'OK')
  })

  t.test('only the answer to a ping counts, and it disturbs nobody', async t => {
    const client = open(t, PORTS.mqtt)
    await next(client, 'connect')
    await client.subscribeAsync('healthz/#')
    const { ask } = await readyWith(t, { devices: mqtt(client) })
    const [title] = await Promise.all([ask(), client.publishAsync('healthz/test', 'x', { qos: 1 })])
    t.equal(title, 'OK')
    const topics: string[] = []
    client.on('message', topic => { topics.push(topic) })
    t.equal(await ask(), 'OK')
    t.strictSame(topics, [])
  })

  t.test('a server that hangs or stops shows, and passes when it is over', async t => {
    const server = await mosquitto(t, 'allow_anonymous true')
    const client = open(t, server.port, { username: 'app', password: 'one' })
    await next(client, 'connect')
    const { ask, recovers } = await readyWith(t, { devices: mqtt(client) })
    t.equal(await ask(), 'OK')

    await server.freeze()
    t.equal(await ask(), 'devices: no answer within 150 ms')
    server.thaw()
    t.equal(await recovers(), 'OK')

    const closed = next(client, 'close')
    await server.stop()
    await closed
    t.equal(await ask(), 'devices: not connected')
    await server.start()
    t.equal(await recovers(), 'OK')
  })

  t.test('a wrong password is not connected', async t => {
    const server = await mosquitto(t, 'allow_anonymous false')
    const client = open(t, server.port, { username: 'app', password: 'one' })
    const { ask } = await readyWith(t, { devices: mqtt(client) })
    const refused = await new Promise<Error>(resolve => { client.once('error', resolve) })
    t.match(refused, /Not authorized/)
    t.equal(await ask(), 'devices: not connected')
  })

  t.test('however often it hung, the client serves at once and nothing of it is left', async t => {
    const server = await mosquitto(t, 'allow_anonymous true\nsys_interval 1')
    const proxy = await proxyTo(server.port)
    t.teardown(() => proxy.close())
    const client = open(t, proxy.port)
    client.setMaxListeners(300)
    await next(client, 'connect')
    // The check doesn't wait for a late answer, which would count for the next one.
    const pings = { unanswered: 0 }
    client.on('packetsend', ({ cmd }) => { if (cmd === 'pingreq') pings.unanswered++ })
    client.on('packetreceive', ({ cmd }) => { if (cmd === 'pingresp') pings.unanswered-- })
    const answered = async () => { while (pings.unanswered > 0) await next(client, 'packetreceive') }
    const listeners = () => client.listenerCount('packetreceive') + client.listenerCount('close')
    const before = listeners()
    const hung = ['no answer within 20 ms']
    t.strictSame(await hangOften(t, mqtt(client), () => proxy.swallow(), () => Promise.all([answered(), proxy.resume()])), hung, 'on the way')
    t.strictSame(await hangOften(t, mqtt(client), () => server.freeze(), () => { server.thaw(); return answered() }), hung, 'inside the server')
    t.equal(listeners(), before, 'no listener')
    t.equal(client.queue.length, 0, 'nothing in its queue')

    const start = performance.now()
    await Promise.all(Array.from({ length: 20 }, (_, i) => client.publishAsync('healthz', String(i), { qos: 1 })))
    t.ok(performance.now() - start < 500, 'it serves at once')
    // It is published each second in which it changed; the first one, retained, may be from before we connected.
    const total = new Promise(resolve => {
      client.on('message', (_topic, payload) => { if (String(payload) !== '0') resolve(String(payload)) })
    })
    await client.subscribeAsync('$SYS/broker/clients/total')
    t.equal(await total, '1', 'one connection')
  })
})

t.test('what is no client is refused', async t => {
  for (const client of [undefined, null, {}, { sendPing () {} }, 'mqtt://localhost']) {
    t.throws(() => mqtt(client as any), {
      code: 'HEALTHZ_ERR_OPTION_INVALID', message: /`client of mqtt\(\)` to be a client with `sendPing\(\)`, `on\(\)`, `removeListener\(\)`/
    })
  }
})
