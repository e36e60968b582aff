import type { Socket } from 'node:net'
import fastifyMysql, {
  type MySQLConnection, type MySQLPool, type MySQLPromiseConnection, type MySQLPromisePool
} from '@fastify/mysql'
import Fastify, { type FastifyInstance } from 'fastify'
import callbacks from 'mysql2'
import promises from 'mysql2/promise'
import t, { type Test } from 'tap'
import { mysql } from '../../lib/checks/index.js'
import healthz from '../../lib/index.js'
import { capture } from '../helpers/log.js'
import { proxyTo } from '../helpers/proxy.js'
import { readyWith } from '../helpers/ready.js'
import { needs, PORTS } from '../helpers/services.js'
import { eventually, hangs, ID } from '../helpers/sql.js'

const MAX = 10
const PASSWORD = 'correct horse'
const SERVER = { host: '127.0.0.1', port: PORTS.mysql, user: 'root', password: '', database: 'test' }

/** How many connections a pool has; the driver doesn't tell. */
function size (pool: callbacks.Pool): number {
  return (pool as any)._allConnections.length
}

async function take (pool: callbacks.Pool): Promise<promises.PoolConnection[]> {
  return Promise.all(Array.from({ length: pool.config.connectionLimit! }, () => pool.promise().getConnection()))
}

/** Opens all the connections that the pool may have. */
async function fill (pool: callbacks.Pool): Promise<void> {
  for (const connection of await take(pool)) connection.release()
}

async function suite (): Promise<void> {
  const admin = promises.createPool(SERVER)
  await admin.query(`CREATE TABLE ${ID} AS SELECT 0 AS pause`)
  t.teardown(async () => {
    await admin.query(`DROP TABLE ${ID}`)
    await admin.end()
  })

  const userOf = async (t: Test, name: string, limit = ''): Promise<string> => {
    const user = `${ID}_${name}`
    await admin.query(`CREATE USER ${user} IDENTIFIED BY '${PASSWORD}' ${limit}`)
    await admin.query(`GRANT ALL ON test.* TO ${user}`)
    t.teardown(() => admin.query(`DROP USER ${user}`))
    return user
  }

  /** A pool whose sessions can be told from all others by their user, through a proxy. */
  const proxied = async (t: Test, config: callbacks.PoolOptions = {}) => {
    const proxy = await proxyTo(PORTS.mysql)
    const user = await userOf(t, String(proxy.port))
    const pool = callbacks.createPool({ ...SERVER, port: proxy.port, user, password: PASSWORD, connectionLimit: MAX, ...config })
    t.teardown(() => proxy.close())
    t.teardown(() => pool.promise().end().catch(() => {}))
    return { proxy, pool, user }
  }

  /** How many sessions of that user there are, and how many of them have something to do. */
  const sessions = async (user: string): Promise<{ open: number, busy: number }> => {
    const [rows] = await admin.query<callbacks.RowDataPacket[]>(
      "SELECT count(*) AS open, count(CASE WHEN command <> 'Sleep' THEN 1 END) AS busy FROM information_schema.processlist WHERE user = ?",
      [user]
    )
    return { ...rows[0] } as { open: number, busy: number }
  }
  const busy = (user: string) => eventually(() => sessions(user), ({ busy }) => busy === 1)
  const idOf = async (pool: callbacks.Pool) => (await pool.promise().query<callbacks.RowDataPacket[]>('SELECT connection_id() AS id'))[0][0]!.id

  /** The pool serves its limit of queries at once, and the server has no more sessions of it, and nothing that runs in them. */
  const inGoodOrder = async (t: Test, pool: callbacks.Pool, user: string): Promise<void> => {
    const max = pool.config.connectionLimit!
    const seen = await eventually(() => sessions(user), ({ busy, open }) => busy === 0 && open <= max)
    t.equal(seen.busy, 0, 'no query of ours is running')
    t.ok(seen.open <= max, 'there are no more sessions than connections')
    const connections = await take(pool)
    const answers = await Promise.all(connections.map(connection => connection.query('SELECT @@max_statement_time AS time')))
    t.same([...new Set(answers.map(([rows]) => (rows as any)[0].time))], [0], 'all serve, without a limit of ours')
    for (const connection of connections) connection.release()
    t.same(await eventually(() => sessions(user), ({ open, busy }) => open === max && busy === 0), { open: max, busy: 0 })
  }

  t.test('pools and connections, with callbacks and with promises, and what the plugin decorates the app with', async t => {
    const pool = callbacks.createPool(SERVER)
    const promisePool = promises.createPool(SERVER)
    const connection = callbacks.createConnection(SERVER)
    const promiseConnection = await promises.createConnection(SERVER)
    t.teardown(() => Promise.all([pool.promise().end(), promisePool.end(), connection.promise().end(), promiseConnection.end()]))
    const app = Fastify()
    t.teardown(() => app.close())
    for (const [name, options] of Object.entries({ a: {}, b: { promise: true }, c: { type: 'connection' }, d: { type: 'connection', promise: true } })) {
      await app.register(fastifyMysql, { ...SERVER, ...options as { type?: 'connection' }, name })
    }
    const { mysql: { a, b, c, d } } = app as unknown as {
      mysql: { a: MySQLPool, b: MySQLPromisePool, c: MySQLConnection, d: MySQLPromiseConnection }
    }
    await app.register(healthz, {
      ready: {
        pool: mysql(pool),
        promisePool: mysql(promisePool),
        connection: mysql(connection),
        promiseConnection: mysql(promiseConnection),
        a: mysql(a),
        b: mysql(b),
        c: mysql(c),
        d: mysql(d),
        found: mysql((app: FastifyInstance & { mysql?: { a: MySQLPool } }) => app.mysql?.a),
        query: mysql(pool, { query: '\n select 1 from dual where 1 = 1' }),
        noSelect: mysql(pool, { query: 'SHOW TABLES' })
      }
    })
    await app.ready()
    const { title, checks } = await app.healthz.run('ready')
    t.equal(title, 'OK')
    t.equal(Object.values(checks).filter(({ status }) => status === 'pass').length, 11)
  })

  t.test('an outage over the wire, whose cause only the log is told', async t => {
    const { proxy, pool } = await proxied(t, { connectionLimit: 1 })
    const { lines, logger } = capture()
    const app = Fastify({ logger })
    t.teardown(() => app.close())
    await app.register(healthz, { ready: { database: mysql(pool) }, noLog: true })
    const ask = async () => (await app.inject('/healthz/ready')).json()
    t.same(await ask(), { status: 200, title: 'OK' })
    await proxy.refuse()
    proxy.cut()
    await eventually(() => size(pool), count => count === 0)
    t.same(await ask(), { status: 503, title: 'database: connection refused' })
    await proxy.resume()
    t.same(await ask(), { status: 200, title: 'OK' })
    const told = lines.filter(({ check }) => check === 'database')
    t.equal(told.length, 2)
    t.match(told, [
      { level: 40, err: { type: 'HealthError', message: /^connection refused: connect ECONNREFUSED 127\.0\.0\.1:\d+$/ } },
      { level: 30, lastedMs: Number }
    ])
  })

  t.test('what the network does shows, and passes when it is over', async t => {
    const { proxy, pool, user } = await proxied(t)
    const { ask, recovers } = await readyWith(t, { database: mysql(pool) })
    await proxy.refuse()
    t.equal(await ask(), 'database: connection refused')
    await proxy.resume()
    t.equal(await ask(), 'OK')

    proxy.swallow()
    t.equal(await ask(), 'database: no answer within 150 ms', 'on an idle connection')
    await eventually(() => size(pool), count => count === 0)
    t.equal(await ask(), 'database: no connection within 150 ms', 'on a new one')
    await proxy.resume()
    t.equal(await recovers(), 'OK')

    proxy.delay(2)
    t.equal(await ask(), 'OK', 'a delay that is short enough')
    await proxy.resume()

    await fill(pool)
    proxy.cut()
    t.equal(await recovers(), 'OK', 'after idle connections were cut')
    await inGoodOrder(t, pool, user)
  })

  t.test('a connection that is lost while it is asked is thrown away', async t => {
    for (const lose of ['cut', 'kill']) {
      const { proxy, pool, user } = await proxied(t)
      const { ask, recovers } = await readyWith(t, { database: mysql(pool, { query: `SELECT SLEEP(pause) FROM ${ID}` }) }, 2000)
      await admin.query(`UPDATE ${ID} SET pause = 30`)
      const id = await idOf(pool)
      const answer = ask()
      await busy(user)
      if (lose === 'cut') proxy.cut()
      else await admin.query(`KILL ${id}`)
      t.equal(await answer, 'database: connection lost', lose)
      await admin.query(`UPDATE ${ID} SET pause = 0`)
      t.equal(await recovers(), 'OK')
      await inGoodOrder(t, pool, user)
    }
  })

  t.test('what the server refuses', async t => {
    const poolOf = (config: callbacks.PoolOptions) => {
      const pool = callbacks.createPool({ ...SERVER, ...config })
      t.teardown(() => pool.promise().end())
      return pool
    }
    const user = await userOf(t, 'refused')
    const limited = await userOf(t, 'limited', 'WITH MAX_USER_CONNECTIONS 1')
    const first = await promises.createConnection({ ...SERVER, user: limited, password: PASSWORD })
    t.teardown(() => first.end())
    const { app } = await readyWith(t, {
      noUser: mysql(poolOf({ user: `${ID}_nobody` })),
      password: mysql(poolOf({ user, password: 'wrong' })),
      limited: mysql(poolOf({ user: limited, password: PASSWORD })),
      noDatabase: mysql(poolOf({ database: `${ID}_nowhere` })),
      otherDatabase: mysql(poolOf({ user, password: PASSWORD, database: 'mysql' })),
      noTable: mysql(poolOf({}), { query: `SELECT * FROM ${ID}_nothing` })
    }, 5000)
    const { checks } = await app.healthz.run('ready')
    t.same(Object.fromEntries(Object.entries(checks).map(([name, { title }]) => [name, title])), {
      noUser: 'login refused',
      password: 'login refused',
      limited: 'too many connections',
      noDatabase: 'no such database',
      otherDatabase: 'login refused',
      noTable: 'failed'
    })
  })

  t.test('a pool that was ended, and one with shorter limits of its own', async t => {
    const ended = callbacks.createPool(SERVER)
    await ended.promise().end()
    t.equal(await (await readyWith(t, { database: mysql(ended) })).ask(), 'database: not connected')

    const { proxy, pool } = await proxied(t, { connectionLimit: 1, waitForConnections: false, connectTimeout: 200 })
    const { ask } = await readyWith(t, { database: mysql(pool) }, 2000)
    const connection = await pool.promise().getConnection()
    t.equal(await ask(), 'database: no free connection')
    connection.destroy()
    proxy.swallow()
    t.equal(await ask(), 'database: connection timed out')
  })

  t.test('a query that waits for a lock is ended by the server, and its connection given back', async t => {
    const { pool, user } = await proxied(t, { connectionLimit: 1 })
    const id = await idOf(pool)
    const locker = await admin.getConnection()
    await locker.query(`LOCK TABLES ${ID} WRITE`)
    const { ask, recovers } = await readyWith(t, { database: mysql(pool, { query: `SELECT * FROM ${ID}` }) })
    t.equal(await ask(), 'database: no answer within 150 ms')
    t.match(await eventually(() => sessions(user), ({ busy }) => busy === 0), { busy: 0 }, 'though it is locked still')
    await locker.query('UNLOCK TABLES')
    locker.release()
    t.equal(await recovers(), 'OK')
    t.equal(await idOf(pool), id, 'it is the same connection')
  })

  t.test('a query that hangs while the network is down is ended by the server', async t => {
    const { proxy, pool, user } = await proxied(t, { connectionLimit: 1 })
    const locker = await admin.getConnection()
    await locker.query(`LOCK TABLES ${ID} WRITE`)
    const { ask, recovers } = await readyWith(t, { database: mysql(pool, { query: `SELECT * FROM ${ID}` }) }, 400)
    const taken = await pool.promise().getConnection()
    const { stream } = taken.connection as unknown as { stream: Socket }
    taken.release()
    const answer = ask()
    await busy(user)
    proxy.swallow()
    t.equal(await answer, 'database: no answer within 400 ms')
    t.same(await eventually(() => sessions(user), ({ busy }) => busy === 0), { open: 1, busy: 0 }, 'by itself')
    await locker.query('UNLOCK TABLES')
    locker.release()
    await eventually(() => size(pool), count => count === 0)
    t.equal(size(pool), 0, 'the connection is given up')
    t.ok(stream.destroyed, 'its socket does not wait for the network')
    await proxy.resume()
    t.equal(await recovers(), 'OK')
    await inGoodOrder(t, pool, user)
  })

  t.test('a connection is asked as it is, and left alone', async t => {
    const proxy = await proxyTo(PORTS.mysql)
    t.teardown(() => proxy.close())
    const connect = async () => {
      const connection = await promises.createConnection({ ...SERVER, port: proxy.port })
      connection.on('error', () => {})
      return connection
    }
    let connection: promises.Connection | undefined
    const { ask, recovers } = await readyWith(t, { database: mysql(() => connection, { query: `SELECT SLEEP(pause) FROM ${ID}` }) })
    t.equal(await ask(), 'database: not connected', 'it is not there yet')
    connection = await connect()
    t.equal(await ask(), 'OK')
    await admin.query(`UPDATE ${ID} SET pause = 30`)
    await connection.query('SET TRANSACTION ISOLATION LEVEL READ COMMITTED')
    await connection.query('BEGIN')
    await connection.query(`CREATE TEMPORARY TABLE ${ID}_kept SELECT 1 AS one`)
    await connection.query(`UPDATE ${ID}_kept SET one = 2`)
    t.equal(await ask(), 'database: no answer within 150 ms')
    await admin.query(`UPDATE ${ID} SET pause = 0`)
    t.equal(await recovers(), 'OK', 'the server has ended the query')
    t.match(await connection.query(`SELECT one, @@in_transaction AS inside, @@max_statement_time AS time FROM ${ID}_kept`), [
      [{ one: 2, inside: 1, time: 0 }]
    ], 'its transaction goes on')
    await connection.query('ROLLBACK')
    proxy.swallow()
    t.equal(await ask(), 'database: no answer within 150 ms')
    await proxy.resume()
    t.equal(await recovers(), 'OK')
    const lost = connection
    const ended = new Promise<void>(resolve => { lost.on('error', () => resolve()) })
    proxy.cut()
    await ended
    t.equal(await ask(), 'database: not connected')
    connection = await connect()
    t.equal(await ask(), 'OK', 'another one in its place')
    await connection.end()
    t.equal(await ask(), 'database: not connected')
  })

  t.test('after many hangs without a free connection', async t => {
    const { pool, user } = await proxied(t)
    t.same(await hangs(t, mysql(pool), 20, 50, async () => {
      const taken = await take(pool)
      return () => { for (const connection of taken) connection.release() }
    }), ['no free connection within 50 ms', 'OK'])
    await inGoodOrder(t, pool, user)
  })

  t.test('after many hangs of new connections', async t => {
    const { proxy, pool, user } = await proxied(t)
    t.same(await hangs(t, mysql(pool), MAX, 20, async () => {
      for (const connection of await take(pool)) connection.destroy()
      proxy.swallow()
      return () => proxy.resume()
    }), ['no connection within 20 ms', 'OK'])
    await inGoodOrder(t, pool, user)
  })

  t.test('after many answers that came late', async t => {
    const { proxy, pool, user } = await proxied(t)
    t.same(await hangs(t, mysql(pool), MAX, 20, async () => {
      await fill(pool)
      proxy.swallow()
      return () => proxy.resume()
    }), ['no answer within 20 ms', 'OK'])
    await inGoodOrder(t, pool, user)
  })

  t.test('after many answers that never came', async t => {
    const connectionLimit = 40
    const { proxy, pool, user } = await proxied(t, { connectionLimit })
    t.same(await hangs(t, mysql(pool), connectionLimit, 50, async () => {
      await fill(pool)
      proxy.swallow()
      return async () => {
        await eventually(() => size(pool), count => count === 0)
        await proxy.resume()
      }
    }), ['no answer within 50 ms', 'OK'])
    await inGoodOrder(t, pool, user)
  })

  t.test('after many hangs by a lock', async t => {
    const { pool, user } = await proxied(t)
    const locker = await admin.getConnection()
    t.same(await hangs(t, mysql(pool, { query: `SELECT * FROM ${ID}` }), MAX, 20, async () => {
      await fill(pool)
      await locker.query(`LOCK TABLES ${ID} WRITE`)
      return async () => {
        await eventually(() => sessions(user), ({ busy }) => busy === 0)
        await locker.query('UNLOCK TABLES')
      }
    }), ['no answer within 20 ms', 'OK'])
    locker.release()
    await inGoodOrder(t, pool, user)
  })

  t.test('after many queries that took too long', async t => {
    const { pool, user } = await proxied(t)
    // No SLEEP(): when its limit ends many of them, MariaDB 10.11 now and then stands still for 2 s, with any client.
    const query = `SELECT STRAIGHT_JOIN count(*) FROM ${ID}, seq_1_to_1000000 a, seq_1_to_1000000 b WHERE pause > 0 AND a.seq + b.seq < 0`
    t.same(await hangs(t, mysql(pool, { query }), MAX, 20, async () => {
      await fill(pool)
      await admin.query(`UPDATE ${ID} SET pause = 30`)
      return () => admin.query(`UPDATE ${ID} SET pause = 0`)
    }), ['no answer within 20 ms', 'OK'])
    await inGoodOrder(t, pool, user)
  })
}

t.test('what is no client and no option is refused', async t => {
  const pool = callbacks.createPool(SERVER)
  const wrong: any = {}
  t.throws(() => mysql(wrong), {
    code: 'HEALTHZ_ERR_OPTION_INVALID', message: /^Expected `client of mysql\(\)` to be a client with `query\(\)`, `execute\(\)`, or a function/
  })
  t.throws(() => mysql(pool, { query: '' }), { code: 'HEALTHZ_ERR_OPTION_INVALID', message: /^Expected `mysql\(\)\.query` to be a query, got/ })
})

needs(t, 'mysql').then(async there => {
  if (there) await suite()
})
