import { drizzle } from 'drizzle-orm/node-postgres'
import knex from 'knex'
import pg from 'pg'
import t from 'tap'
import { database as drizzleCheck } from '../../../examples/recipes/drizzle.js'
import { database as knexCheck } from '../../../examples/recipes/knex.js'
import { withPrisma } from '../../../examples/recipes/prisma.js'
import { proxyTo } from '../../helpers/proxy.js'
import { readyWith } from '../../helpers/ready.js'
import { needs, PORTS } from '../../helpers/services.js'
import { eventually } from '../../helpers/sql.js'

const SERVER = { host: '127.0.0.1', user: process.env.PGUSER ?? 'postgres', database: 'test' }

async function suite (): Promise<void> {
  const admin = new pg.Pool({ ...SERVER, port: PORTS.postgres })
  t.teardown(() => admin.end())
  const sessions = async (name: string): Promise<{ open: number, busy: number }> => {
    const { rows } = await admin.query(
      "SELECT count(*)::int AS open, count(*) FILTER (WHERE state <> 'idle')::int AS busy FROM pg_stat_activity WHERE application_name = $1",
      [name]
    )
    return rows[0]
  }

  t.test('Knex', async t => {
    const proxy = await proxyTo(PORTS.postgres)
    const name = `healthz_knex_${proxy.port}`
    const db = knex({ client: 'pg', connection: { ...SERVER, port: proxy.port, application_name: name }, pool: { min: 0, max: 2 } })
    t.teardown(() => proxy.close())
    t.teardown(() => db.destroy())
    const { ask, recovers } = await readyWith(t, { database: knexCheck(db) }, 300)
    t.equal(await ask(), 'OK')
    const slow = await readyWith(t, { database: knexCheck(db, 'SELECT pg_sleep(30)') })
    // The server's clock may be a moment ahead of the check's.
    t.match(await slow.ask(), /^database: no answer(?: within 150 ms)?$/)
    t.match(await eventually(() => sessions(name), ({ busy }) => busy === 0), { busy: 0 }, 'the server has ended the query')
    t.equal(await recovers(), 'OK')
    proxy.swallow()
    t.equal(await ask(), 'database: no answer within 300 ms')
    await eventually(() => db.client.pool.numUsed(), used => used === 0)
    await proxy.resume()
    t.equal(await recovers(), 'OK', 'on a new connection')
    const answers = await Promise.all([db.raw('SHOW statement_timeout'), db.raw('SHOW statement_timeout')])
    t.same(answers.map(({ rows }) => rows), [[{ statement_timeout: '0' }], [{ statement_timeout: '0' }]])
    t.ok((await eventually(() => sessions(name), ({ open }) => open <= 2)).open <= 2)
  })

  t.test('Drizzle', async t => {
    const proxy = await proxyTo(PORTS.postgres)
    const db = drizzle({ connection: { ...SERVER, port: proxy.port } })
    db.$client.on('error', () => {})
    t.teardown(() => proxy.close())
    t.teardown(() => db.$client.end())
    const { ask, recovers } = await readyWith(t, { database: drizzleCheck(db) })
    t.equal(await ask(), 'OK')
    t.equal(db.$client.idleCount, 1, 'its own pool was asked')
    proxy.swallow()
    t.equal(await ask(), 'database: no answer within 150 ms')
    await proxy.resume()
    t.equal(await recovers(), 'OK')
  })

  // Prisma's client would have to be generated, by a program that is downloaded for it: its adapter is asked instead.
  t.test('Prisma', async t => {
    const proxy = await proxyTo(PORTS.postgres)
    const pool = new pg.Pool({ ...SERVER, port: proxy.port, max: 1 })
    t.teardown(() => proxy.close())
    t.teardown(() => pool.end())
    const { adapter, database } = withPrisma(pool)
    const prisma = await adapter.connect()
    const { ask, recovers } = await readyWith(t, { database })
    t.match(await prisma.queryRaw({ sql: 'SELECT 1 AS one', args: [], argTypes: [] }), { rows: [[1]] })
    t.equal(await ask(), 'OK')
    t.equal(pool.totalCount, 1, 'both share its connection')
    const slow = prisma.queryRaw({ sql: 'SELECT 1 FROM pg_sleep(0.4)', args: [], argTypes: [] })
    t.equal(await ask(), 'database: no free connection within 150 ms')
    await slow
    t.equal(await recovers(), 'OK')
  })
}

needs(t, 'postgres').then(async there => {
  if (there) await suite()
})
