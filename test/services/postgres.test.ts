import fastifyPostgres from '@fastify/postgres'
import Fastify from 'fastify'
import pg from 'pg'
import t, { type Test } from 'tap'
import { postgres } from '../../lib/checks/index.js'
import healthz from '../../lib/index.js'
import { capture } from '../helpers/log.js'
import { proxyTo } from '../helpers/proxy.js'
import { readyWith } from '../helpers/ready.js'
import { needs, PORTS } from '../helpers/services.js'
import { eventually, hangs, ID } from '../helpers/sql.js'

const MAX = 10
const SERVER = { host: '127.0.0.1', port: PORTS.postgres, user: process.env.PGUSER ?? 'postgres', database: 'test' }

function poolOf (t: Test, config: pg.PoolConfig = {}): pg.Pool {
  const pool = new pg.Pool({ ...SERVER, max: MAX, ...config })
  // An idle connection was cut: without a listener that ends the process.
  pool.on('error', () => {})
  t.teardown(() => pool.end())
  return pool
}

/** A pool whose sessions can be told from all others, through a proxy. */
async function proxied (t: Test, config: pg.PoolConfig = {}) {
  const proxy = await proxyTo(PORTS.postgres)
  const name = `${ID}_${proxy.port}`
  const pool = poolOf(t, { port: proxy.port, application_name: name, ...config })
  t.teardown(() => proxy.close())
  return { proxy, pool, name }
}

/** Opens all the connections that the pool may have. */
async function fill (pool: pg.Pool): Promise<void> {
  const connections = await Promise.all(Array.from({ length: pool.options.max }, () => pool.connect()))
  for (const connection of connections) connection.release()
}

async function suite (): Promise<void> {
  const admin = new pg.Pool({ ...SERVER, application_name: ID })
  await admin.query(`CREATE TABLE ${ID} AS SELECT 0::float AS pause`)
  t.teardown(async () => {
    await admin.query(`DROP TABLE ${ID}`)
    await admin.end()
  })

  /** How many sessions of that name there are, and how many of them have something to do. */
  const sessions = async (name: string): Promise<{ open: number, busy: number }> => {
    const { rows } = await admin.query(
      "SELECT count(*)::int AS open, count(*) FILTER (WHERE state <> 'idle')::int AS busy FROM pg_stat_activity WHERE application_name = $1",
      [name]
    )
    return rows[0]
  }
  const busy = (name: string) => eventually(() => sessions(name), ({ busy }) => busy === 1)

  /** The pool serves its max of queries at once, and the server has no more sessions of it, and nothing that runs in them. */
  const inGoodOrder = async (t: Test, pool: pg.Pool, name: string): Promise<void> => {
    const { max } = pool.options
    const seen = await eventually(() => sessions(name), ({ busy, open }) => busy === 0 && open <= max)
    t.equal(seen.busy, 0, 'no query of ours is running')
    t.ok(seen.open <= max, 'there are no more sessions than connections')
    const connections = await Promise.all(Array.from({ length: max }, () => pool.connect()))
    const answers = await Promise.all(connections.map(connection => connection.query('SHOW statement_timeout')))
    t.same([...new Set(answers.map(({ rows }) => rows[0].statement_timeout))], ['0'], 'all serve, without a limit of ours')
    for (const connection of connections) connection.release()
    t.same(await eventually(() => sessions(name), ({ open }) => open === max), { open: max, busy: 0 })
  }

  t.test('a pool, a client, and what the plugin decorates the app with', async t => {
    const client = new pg.Client(SERVER)
    await client.connect()
    t.teardown(() => client.end())
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(fastifyPostgres, SERVER)
    await app.register(fastifyPostgres, { ...SERVER, name: 'second' })
    await app.register(healthz, {
      ready: {
        client: postgres(client),
        decorator: postgres(app.pg),
        found: postgres(app => app.pg),
        foundByName: postgres(app => app.pg.second),
        pool: postgres(app.pg.pool),
        query: postgres(app.pg, { query: 'SELECT count(*) FROM pg_class; SELECT 2;' }),
        queryUndefined: postgres(app.pg, { query: undefined })
      }
    })
    await app.ready()
    const { title, checks } = await app.healthz.run('ready')
    t.equal(title, 'OK')
    t.equal(Object.values(checks).filter(({ status }) => status === 'pass').length, 7)
    t.equal(app.pg.pool.idleCount, app.pg.pool.totalCount, 'every connection is given back')
  })

  t.test('how full the pool is, over the wire', async t => {
    const { pool, name } = await proxied(t, { max: 2 })
    const client = new pg.Client(SERVER)
    await client.connect()
    t.teardown(() => client.end())
    const app = Fastify()
    t.teardown(() => app.close())
    await app.register(healthz, {
      ready: { client: postgres(client), pool: { check: postgres(pool), timeout: 2000 } }, details: true
    })
    const url = await app.listen({ port: 0, host: '127.0.0.1' })
    const reportOf = async (check: string) => {
      const response = await fetch(`${url}/healthz/ready/${check}`)
      return (await response.json() as any).checks[check]
    }
    t.match(await reportOf('pool'), { status: 'pass', data: { total: 1, idle: 1, waiting: 0 } }, 'its own connection is idle again')
    t.notOk('data' in await reportOf('client'))

    const taken = await Promise.all([pool.connect(), pool.connect()])
    const title = 'no free connection within 2000 ms'
    t.match(await reportOf('pool'), { status: 'fail', title, data: { total: 2, idle: 0, waiting: 1 } }, 'it waits itself')
    for (const connection of taken) connection.release()
    await eventually(() => pool.idleCount, count => count === 2)
    t.match(await reportOf('pool'), { status: 'pass', data: { total: 2, idle: 2, waiting: 0 } })
    t.notMatch(await (await fetch(`${url}/healthz/ready`)).text(), /data|idle/)
    await inGoodOrder(t, pool, name)
  })

  t.test('an outage over the wire, whose cause only the log is told', async t => {
    const { proxy, pool } = await proxied(t, { max: 1 })
    const { lines, logger } = capture()
    const app = Fastify({ logger })
    t.teardown(() => app.close())
    await app.register(healthz, { ready: { database: postgres(pool) }, noLog: true })
    const ask = async () => (await app.inject('/healthz/ready')).json()
    t.same(await ask(), { status: 200, title: 'OK' })
    await proxy.refuse()
    proxy.cut()
    await eventually(() => pool.totalCount, count => count === 0)
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
    const { proxy, pool, name } = await proxied(t)
    const { ask, recovers } = await readyWith(t, { database: postgres(pool) })
    await proxy.refuse()
    t.equal(await ask(), 'database: connection refused')
    await proxy.resume()
    t.equal(await ask(), 'OK')

    proxy.swallow()
    t.equal(await ask(), 'database: no answer within 150 ms', 'on an idle connection')
    await eventually(() => pool.totalCount, count => count === 0)
    t.equal(await ask(), 'database: no connection within 150 ms', 'on a new one')
    await proxy.resume()
    t.equal(await recovers(), 'OK')

    proxy.delay(2)
    t.equal(await ask(), 'OK', 'a delay that is short enough')
    await proxy.resume()

    await fill(pool)
    proxy.cut()
    t.equal(await recovers(), 'OK', 'after idle connections were cut')
    await inGoodOrder(t, pool, name)
  })

  t.test('a connection that is lost while it is asked is thrown away, and not told to the pool', async t => {
    for (const lose of ['cut', 'terminate']) {
      const { proxy, pool, name } = await proxied(t)
      pool.removeAllListeners('error')
      pool.on('error', error => t.fail(error))
      const { ask, recovers } = await readyWith(t, { database: postgres(pool, { query: `SELECT pg_sleep(pause) FROM ${ID}` }) }, 2000)
      await admin.query(`UPDATE ${ID} SET pause = 30`)
      const answer = ask()
      await busy(name)
      if (lose === 'cut') proxy.cut()
      else await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = $1', [name])
      t.equal(await answer, 'database: connection lost', lose)
      await admin.query(`UPDATE ${ID} SET pause = 0`)
      t.equal(await recovers(), 'OK')
      await inGoodOrder(t, pool, name)
    }
  })

  t.test('what the server refuses', async t => {
    await admin.query(`CREATE ROLE ${ID}_nologin NOLOGIN`)
    await admin.query(`CREATE ROLE ${ID}_limited LOGIN CONNECTION LIMIT 0`)
    t.teardown(() => admin.query(`DROP ROLE ${ID}_nologin, ${ID}_limited`))
    const { app } = await readyWith(t, {
      noRole: postgres(poolOf(t, { user: `${ID}_nobody` })),
      noLogin: postgres(poolOf(t, { user: `${ID}_nologin` })),
      limited: postgres(poolOf(t, { user: `${ID}_limited` })),
      noDatabase: postgres(poolOf(t, { database: `${ID}_nowhere` })),
      noTable: postgres(poolOf(t), { query: `SELECT * FROM ${ID}_nothing` })
    }, 5000)
    const { checks } = await app.healthz.run('ready')
    t.same(Object.fromEntries(Object.entries(checks).map(([name, { title }]) => [name, title])), {
      noRole: 'login refused',
      noLogin: 'login refused',
      limited: 'too many connections',
      noDatabase: 'no such database',
      noTable: 'failed'
    })
  })

  t.test('a pool that was ended, and one with a shorter time limit of its own', async t => {
    const ended = new pg.Pool(SERVER)
    await ended.end()
    t.equal(await (await readyWith(t, { database: postgres(ended) })).ask(), 'database: not connected')

    const { proxy, pool } = await proxied(t, { max: 1, connectionTimeoutMillis: 200 })
    const { ask } = await readyWith(t, { database: postgres(pool) }, 2000)
    const connection = await pool.connect()
    t.equal(await ask(), 'database: no free connection')
    connection.release(true)
    proxy.swallow()
    t.equal(await ask(), 'database: connection timed out')
  })

  t.test('a query that waits for a lock is ended by the server, and its connection given back', async t => {
    const { pool, name } = await proxied(t, { max: 1 })
    const { rows } = await pool.query('SELECT pg_backend_pid() AS pid')
    const locker = await admin.connect()
    await locker.query(`BEGIN; LOCK TABLE ${ID}`)
    const { ask, recovers } = await readyWith(t, { database: postgres(pool, { query: `SELECT * FROM ${ID}` }) })
    t.equal(await ask(), 'database: no answer within 150 ms')
    t.match(await eventually(() => sessions(name), ({ busy }) => busy === 0), { busy: 0 }, 'though it is locked still')
    await locker.query('ROLLBACK')
    locker.release()
    t.equal(await recovers(), 'OK')
    t.same((await pool.query('SELECT pg_backend_pid() AS pid')).rows, rows, 'it is the same connection')
  })

  t.test('a query that hangs while the network is down is ended by the server', async t => {
    const { proxy, pool, name } = await proxied(t, { max: 1 })
    const locker = await admin.connect()
    await locker.query(`BEGIN; LOCK TABLE ${ID}`)
    const { ask, recovers } = await readyWith(t, { database: postgres(pool, { query: `SELECT * FROM ${ID}` }) }, 400)
    const answer = ask()
    await busy(name)
    proxy.swallow()
    t.equal(await answer, 'database: no answer within 400 ms')
    t.same(await eventually(() => sessions(name), ({ busy }) => busy === 0), { open: 1, busy: 0 }, 'by itself')
    await locker.query('ROLLBACK')
    locker.release()
    await eventually(() => pool.totalCount, count => count === 0)
    t.equal(pool.totalCount, 0, 'the connection is given up')
    await proxy.resume()
    t.equal(await recovers(), 'OK')
    await inGoodOrder(t, pool, name)
  })

  t.test('a query that somebody else cancels', async t => {
    const { pool, name } = await proxied(t, { max: 1 })
    const { rows } = await pool.query('SELECT pg_backend_pid() AS pid')
    const { ask } = await readyWith(t, { database: postgres(pool, { query: 'SELECT pg_sleep(30)' }) }, 500)
    const answer = ask()
    await busy(name)
    await admin.query('SELECT pg_cancel_backend($1)', [rows[0].pid])
    t.equal(await answer, 'database: no answer within 500 ms')
    t.same((await pool.query('SELECT pg_backend_pid() AS pid')).rows, rows)
  })

  t.test('a client is asked as it is, and left alone', async t => {
    const proxy = await proxyTo(PORTS.postgres)
    t.teardown(() => proxy.close())
    const connect = async () => {
      const client = new pg.Client({ ...SERVER, port: proxy.port })
      client.on('error', () => {})
      await client.connect()
      return client
    }
    let client: pg.Client | undefined
    const { ask, recovers } = await readyWith(t, { database: postgres(() => client) })
    t.equal(await ask(), 'database: not connected', 'it is not there yet')
    client = await connect()
    t.equal(await ask(), 'OK')
    await client.query('BEGIN')
    t.equal(await ask(), 'OK')
    t.same((await client.query('SHOW statement_timeout')).rows, [{ statement_timeout: '0' }], 'its transaction has no limit of ours')
    await client.query('ROLLBACK')
    proxy.swallow()
    t.equal(await ask(), 'database: no answer within 150 ms')
    await proxy.resume()
    t.equal(await recovers(), 'OK')
    const lost = client
    const ended = new Promise<void>(resolve => { lost.once('end', resolve) })
    proxy.cut()
    await ended
    t.equal(await ask(), 'database: not connected')
    client = await connect()
    t.equal(await ask(), 'OK', 'another one in its place')
    await client.end()
    t.equal(await ask(), 'database: not connected')
  })

  t.test('a client with a time limit of its own', async t => {
    const client = new pg.Client({ ...SERVER, statement_timeout: 50 })
    await client.connect()
    t.teardown(() => client.end())
    const { ask } = await readyWith(t, { database: postgres(client, { query: 'SELECT pg_sleep(30)' }) }, 5000)
    t.equal(await ask(), 'database: no answer')
  })

  t.test('after many hangs without a free connection', async t => {
    const { pool, name } = await proxied(t)
    t.same(await hangs(t, postgres(pool), 20, 50, async () => {
      const taken = await Promise.all(Array.from({ length: MAX }, () => pool.connect()))
      return () => { for (const connection of taken) connection.release() }
    }), ['no free connection within 50 ms', 'OK'])
    await inGoodOrder(t, pool, name)
  })

  t.test('after many hangs of new connections', async t => {
    const { proxy, pool, name } = await proxied(t)
    t.same(await hangs(t, postgres(pool), MAX, 20, async () => {
      proxy.cut()
      await eventually(() => pool.totalCount, count => count === 0)
      proxy.swallow()
      return () => proxy.resume()
    }), ['no connection within 20 ms', 'OK'])
    await inGoodOrder(t, pool, name)
  })

  t.test('after many answers that came late', async t => {
    const { proxy, pool, name } = await proxied(t)
    t.same(await hangs(t, postgres(pool), MAX, 20, async () => {
      await fill(pool)
      proxy.swallow()
      return () => proxy.resume()
    }), ['no answer within 20 ms', 'OK'])
    await inGoodOrder(t, pool, name)
  })

  t.test('after many answers that never came', async t => {
    const max = 40
    const { proxy, pool, name } = await proxied(t, { max })
    t.same(await hangs(t, postgres(pool), max, 50, async () => {
      await fill(pool)
      proxy.swallow()
      return async () => {
        await eventually(() => pool.totalCount, count => count === 0)
        await proxy.resume()
      }
    }), ['no answer within 50 ms', 'OK'])
    await inGoodOrder(t, pool, name)
  })

  t.test('after many hangs by a lock', async t => {
    const { pool, name } = await proxied(t)
    const locker = await admin.connect()
    t.same(await hangs(t, postgres(pool, { query: `SELECT * FROM ${ID}` }), MAX, 20, async () => {
      await fill(pool)
      await locker.query(`BEGIN; LOCK TABLE ${ID}`)
      return async () => {
        await eventually(() => sessions(name), ({ busy }) => busy === 0)
        await locker.query('ROLLBACK')
      }
    }), ['no answer within 20 ms', 'OK'])
    locker.release()
    await inGoodOrder(t, pool, name)
  })

  t.test('after many queries that took too long', async t => {
    const { pool, name } = await proxied(t)
    t.same(await hangs(t, postgres(pool, { query: `SELECT pg_sleep(pause) FROM ${ID}` }), MAX, 20, async () => {
      await fill(pool)
      await admin.query(`UPDATE ${ID} SET pause = 30`)
      return () => admin.query(`UPDATE ${ID} SET pause = 0`)
    }), ['no answer within 20 ms', 'OK'])
    await inGoodOrder(t, pool, name)
  })
}

t.test('what is no client and no option is refused', async t => {
  const pool = new pg.Pool(SERVER)
  const wrong: any = 5
  t.throws(() => postgres(wrong), {
    code: 'HEALTHZ_ERR_OPTION_INVALID', message: 'Expected `client of postgres()` to be a client with `query()`, or a function that returns one, got `5` (number)'
  })
  t.throws(() => postgres(pool, wrong), {
    code: 'HEALTHZ_ERR_OPTION_INVALID', message: 'Expected `options of postgres()` to be an object, got `5` (number)'
  })
  t.throws(() => postgres(pool, { query: wrong }), {
    code: 'HEALTHZ_ERR_OPTION_INVALID', message: 'Expected `postgres().query` to be a query, got `5` (number)'
  })
})

needs(t, 'postgres').then(async there => {
  if (there) await suite()
})
