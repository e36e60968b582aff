import { setImmediate } from 'node:timers/promises'
import fastifyRedis from '@fastify/redis'
import Fastify from 'fastify'
import { Cluster, Redis } from 'ioredis'
import { createClient, createClientPool, createCluster, createSentinel } from 'redis'
import t, { type Test } from 'tap'
import healthz from '../../lib/index.js'
import { redis } from '../../lib/checks/index.js'
import { needsCommands, ownServer } from '../helpers/own-server.js'
import { proxyTo } from '../helpers/proxy.js'
import { hangOften, next, readyWith } from '../helpers/ready.js'
import { needs, PORTS } from '../helpers/services.js'

const ARGS = ['--port', '{port}', '--bind', '127.0.0.1', '--dir', '{dir}', '--save', '']
const redisServer = (t: Test, ...args: string[]) => ownServer(t, 'redis-server', [...ARGS, ...args])

/** Both drivers with what the tests need of them; they reconnect within 20 ms. */
const DRIVERS = {
  async ioredis (t: Test, port: number, options: object = {}) {
    const client = new Redis({ port, host: '127.0.0.1', connectionName: 'healthz', retryStrategy: () => 20, ...options })
    client.on('error', () => {})
    t.teardown(() => client.disconnect())
    return {
      client,
      connected: () => client.status === 'ready' ? undefined : next(client, 'ready'),
      lost: () => next(client, 'reconnecting'),
      command: (...words: [string, ...string[]]) => client.call(...words)
    }
  },
  async redis (t: Test, port: number, options: object = {}) {
    const socket = { port, host: '127.0.0.1', reconnectStrategy: () => 20 }
    const client = createClient({ socket, name: 'healthz', ...options })
    client.on('error', () => {})
    // It rejects only when it gives up.
    client.connect().catch(() => {})
    t.teardown(() => client.destroy())
    return {
      client,
      connected: () => client.isReady ? undefined : next(client, 'ready'),
      lost: () => next(client, 'reconnecting'),
      command: (...words: [string, ...string[]]) => client.sendCommand(words)
    }
  }
}

/** The connections that a server has from clients of ours, each as it stands in `CLIENT LIST`. */
async function sessions (port: number): Promise<string[]> {
  const admin = new Redis({ port, host: '127.0.0.1' })
  const list = String(await admin.client('LIST'))
  admin.disconnect()
  return list.split('\n').filter(line => line.includes('name=healthz'))
}

t.test('redis', async t => {
  if (!await needs(t, 'redis') || !needsCommands(t, 'redis-server')) return

  for (const [name, driver] of Object.entries(DRIVERS)) {
    t.test(`${name}: what happens to the network shows, and passes when it is over`, async t => {
      const proxy = await proxyTo(PORTS.redis)
      t.teardown(() => proxy.close())
      await proxy.refuse()
      const { client, lost } = await driver(t, proxy.port)
      const { ask, recovers } = await readyWith(t, { cache: redis(client) })
      t.equal(await ask(), 'cache: not connected')

      await proxy.resume()
      t.equal(await recovers(), 'OK')

      proxy.swallow()
      t.equal(await ask(), 'cache: no answer within 150 ms')
      await proxy.resume()
      t.equal(await recovers(), 'OK')

      await proxy.refuse()
      let reconnecting = lost()
      proxy.cut()
      await reconnecting
      t.equal(await ask(), 'cache: not connected')
      await proxy.resume()
      t.equal(await recovers(), 'OK')

      // The next connection is accepted, and then its handshake is lost.
      proxy.swallow()
      reconnecting = lost()
      const accepted = proxy.next()
      proxy.cut()
      await reconnecting
      await accepted
      t.equal(await ask(), 'cache: not connected')
      await proxy.resume()
      t.equal(await recovers(), 'OK')
    })

    t.test(`${name}: a server that hangs shows, and passes when it is over`, async t => {
      const server = await redisServer(t)
      const { client, connected, lost, command } = await driver(t, server.port)
      await connected()
      const { ask, recovers } = await readyWith(t, { cache: redis(client) })

      await command('CLIENT', 'PAUSE', '400', 'ALL')
      t.equal(await ask(), 'cache: no answer within 150 ms')
      t.equal(await recovers(), 'OK')

      await server.freeze()
      t.equal(await ask(), 'cache: no answer within 150 ms')
      server.thaw()
      t.equal(await recovers(), 'OK')

      const reconnecting = lost()
      await server.stop()
      await reconnecting
      t.equal(await ask(), 'cache: not connected')
      await server.start()
      t.equal(await recovers(), 'OK')
    })

    t.test(`${name}: however often it hung, the client serves at once and the server holds nothing of it`, async t => {
      const server = await redisServer(t)
      const proxy = await proxyTo(server.port)
      t.teardown(() => proxy.close())
      const { client, connected, command } = await driver(t, proxy.port)
      await connected()
      const hung = ['no answer within 20 ms']
      const swallowed = await hangOften(t, redis(client), () => proxy.swallow(), () => proxy.resume())
      t.strictSame(swallowed, hung, 'on the way')
      const admin = new Redis({ port: server.port, host: '127.0.0.1' })
      t.teardown(() => admin.disconnect())
      // It holds `UNPAUSE` back, too: the pause ends by itself.
      const paused = await hangOften(t, redis(client), () => admin.client('PAUSE', 300, 'ALL'), () => {})
      t.strictSame(paused, hung, 'inside the server')

      const before = performance.now()
      await Promise.all(Array.from({ length: 100 }, (_, i) => command('ECHO', String(i))))
      t.ok(performance.now() - before < 500, 'it serves at once')
      const [session, ...others] = await sessions(server.port)
      t.strictSame(others, [], 'one connection')
      t.match(session, / qbuf=0 .* oll=0 omem=0 /, 'nothing waits in it')
    })
  }

  t.test('a connection that is cut under a PING is lost, unless the client asks the next one', async t => {
    const proxy = await proxyTo(PORTS.redis)
    t.teardown(() => proxy.close())
    const cases = [
      [await DRIVERS.redis(t, proxy.port), 'cache: connection lost'],
      [await DRIVERS.ioredis(t, proxy.port, { maxRetriesPerRequest: 0 }), 'cache: connection lost'],
      [await DRIVERS.ioredis(t, proxy.port), 'OK']
    ] as const
    for (const [{ client, connected }, expected] of cases) {
      await connected()
      const { lines, ask, recovers } = await readyWith(t, { cache: redis(client) }, 5000)
      t.equal(await ask(), 'OK')
      proxy.swallow()
      const asked = ask()
      // So that the PING is on its way.
      await setImmediate()
      await setImmediate()
      proxy.cut()
      await proxy.resume()
      t.equal(await asked, expected)
      if (expected !== 'OK') t.ok(lines.at(-1)?.err.cause ?? lines.at(-1)?.err.stack, 'the cause is in the log')
      t.equal(await recovers(), 'OK')
    }
  })

  t.test('what Redis says instead of an answer has words of its own', async t => {
    const server = await redisServer(t, '--requirepass', 'secret', '--replica-serve-stale-data', 'no',
      '--lua-time-limit', '1', '--enable-debug-command', 'yes')
    const { port } = server
    const admin = new Redis({ port, host: '127.0.0.1', password: 'secret' })
    t.teardown(() => admin.disconnect())
    await admin.call('ACL', 'SETUSER', 'app', 'on', '>app', 'allcommands', '-ping')

    // Without its handshake and its ready check, which would find it out before us.
    const stranger = await DRIVERS.ioredis(t, port, { protocol: 2, enableReadyCheck: false })
    await stranger.connected()
    const { ask, lines } = await readyWith(t, { cache: redis(stranger.client) })
    t.equal(await ask(), 'cache: not authenticated')
    t.match(lines.at(-1), { err: { message: /not authenticated/, stack: /NOAUTH Authentication required/ } })

    const user = await DRIVERS.redis(t, port, { username: 'app', password: 'app' })
    await user.connected()
    t.equal(await (await readyWith(t, { cache: redis(user.client) })).ask(), 'cache: not permitted')

    const wrong = await DRIVERS.ioredis(t, port, { password: 'wrong', lazyConnect: true })
    const wrongly = await readyWith(t, { cache: redis(wrong.client) })
    t.equal(await wrongly.ask(), 'cache: wrong password')
    t.equal(await wrongly.ask(), 'cache: not connected')
    const wrongToo = await DRIVERS.redis(t, port, { password: 'wrong' })
    t.equal(await (await readyWith(t, { cache: redis(wrongToo.client) })).ask(), 'cache: not connected')

    const client = await DRIVERS.redis(t, port, { password: 'secret' })
    await client.connected()
    const told = await readyWith(t, { cache: redis(client.client) }, 500)
    const script = admin.eval('while true do end', 0).catch(() => {})
    t.equal(await told.ask(), 'cache: busy with a script')
    const killer = new Redis({ port, host: '127.0.0.1', password: 'secret', enableReadyCheck: false })
    t.teardown(() => killer.disconnect())
    await killer.script('KILL')
    await script
    t.equal(await told.recovers(), 'OK')

    await admin.call('REPLICAOF', '127.0.0.1', '1')
    t.equal(await told.ask(), 'cache: disconnected from its master')
    await admin.call('REPLICAOF', 'NO', 'ONE')
    t.equal(await told.recovers(), 'OK')

    await admin.call('DEBUG', 'POPULATE', '20000')
    await admin.save()
    await server.stop()
    // 20,000 keys at 50 µs are a second.
    const reconnected = next(client.client, 'ready')
    await server.start('--key-load-delay', '50', '--loading-process-events-interval-bytes', '1024')
    await reconnected
    const titles = new Set<string>()
    for (let title = ''; title !== 'OK';) titles.add(title = await told.ask())
    t.ok(titles.has('cache: still loading its data'), [...titles].join())
    admin.disconnect()
  })

  t.test('an error that is not known is not told', async t => {
    const server = await redisServer(t, '--rename-command', 'PING', '')
    const { client, connected } = await DRIVERS.ioredis(t, server.port)
    await connected()
    const { ask, lines } = await readyWith(t, { cache: redis(client) })
    t.equal(await ask(), 'cache: failed')
    t.match(lines.at(-1), { err: { stack: /unknown command 'ping'/ } })
  })

  t.test('every kind of client will do', async t => {
    const server = await redisServer(t, '--cluster-enabled', 'yes', '--cluster-announce-ip', '127.0.0.1')
    const { port } = server
    const node = await DRIVERS.ioredis(t, port)
    await node.command('CLUSTER', 'ADDSLOTSRANGE', '0', '16383')
    while (!String(await node.command('CLUSTER', 'INFO')).includes('cluster_state:ok')) await setImmediate()
    const clients = [
      new Cluster([{ port, host: '127.0.0.1' }]),
      createCluster({ rootNodes: [{ socket: { port, host: '127.0.0.1' } }] }),
      createClientPool({ socket: { port, host: '127.0.0.1' } })
    ] as const
    const [ioredisCluster, cluster, pool] = clients
    for (const client of clients) client.on('error', () => {})
    const { ask, recovers } = await readyWith(t, {
      ioredisCluster: redis(ioredisCluster), cluster: redis(cluster), pool: redis(pool)
    }, 2000)
    t.match(await ask(), 'ioredisCluster: not connected; cluster: not connected; pool: ')
    await Promise.all([cluster.connect(), pool.connect()])
    t.equal(await recovers(), 'OK')
    ioredisCluster.disconnect()
    cluster.destroy()
    pool.destroy()
    t.match(await ask(), 'ioredisCluster: not connected; cluster: not connected; pool: ')
  })

  t.test('clients of @fastify/redis will do, and may be registered after the check', async t => {
    const app = Fastify()
    t.teardown(() => app.close())
    app.register(healthz, { ready: { cache: redis(app => app.redis.cache), sessions: redis(app => app.redis.sessions) } })
    app.register(fastifyRedis, { host: '127.0.0.1', namespace: 'cache' })
    await app.ready()
    const answer = await app.inject('/healthz/ready')
    t.strictSame([answer.statusCode, answer.json().title], [503, 'sessions: not connected'])
  })
})

t.test('what is no client is refused', async t => {
  for (const client of [undefined, null, {}, { ping: true }, 'redis://localhost']) {
    t.throws(() => redis(client as any), { code: 'HEALTHZ_ERR_OPTION_INVALID', message: /`client of redis\(\)` to be a client with `ping\(\)`/ })
  }
})

/** Compiles only if the types accept the clients of both drivers. */
export const ofSentinel = (sentinel: ReturnType<typeof createSentinel>) => redis(sentinel)
