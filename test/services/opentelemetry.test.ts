// The instrumentations of drivers with the SDK of OpenTelemetry, which exports to a receiver over OTLP.
import t from 'tap'
import { type ReceivedSpan, startTraced } from '../helpers/otlp.js'
import { needs, PORTS } from '../helpers/services.js'

/** The first connection of the pool is opened by a check, and then used by a request. */
const program = (given: string) => `
  const { Pool } = require('pg')
  const { Redis } = require('ioredis')
  const { postgres, redis } = require('./dist/lib/checks/index.js')
  const pool = new Pool({ host: '127.0.0.1', port: ${PORTS.postgres}, user: 'postgres', database: 'test', max: 1 })
  const client = new Redis({ host: '127.0.0.1', port: ${PORTS.redis} })
  await require('node:events').once(client, 'ready')
  app.addHook('onClose', async () => {
    client.disconnect()
    await pool.end()
  })
  app.register(healthz, { ready: { database: postgres(pool), cache: redis(client) }, timeout: 30_000, shutdown: { delay: 0 } })
  app.register(opentelemetry, { ${given} })
  app.get('/orders', async () => {
    await client.get('orders')
    return (await pool.query('SELECT 1 AS orders')).rows
  })
`

const PG = '@opentelemetry/instrumentation-pg'
const REDIS = '@opentelemetry/instrumentation-ioredis'

/** The spans of drivers below the span with that id, at any depth. */
function queriesBelow (spans: readonly ReceivedSpan[], id: string): string[] {
  return spans.filter(({ parent }) => parent === id)
    .flatMap(span => [...[PG, REDIS].includes(span.scope) ? [span.scope] : [], ...queriesBelow(spans, span.id)])
}

t.test('beside the instrumentations of pg and ioredis', async t => {
  if (!await needs(t, 'postgres', 'redis')) return

  t.test('checks leave no span, and requests that use the same connections do', async t => {
    const { get, probe, stop } = await startTraced(t, program(''))
    for (let i = 0; i < 3; i++) t.equal(await probe('/healthz/ready'), 200)
    t.equal(await get('/orders'), 200)
    const spans = await stop()
    // The client of Redis sends commands of its own when it connects.
    const [request, ...others] = spans.filter(({ parent, scope }) => parent === undefined && scope !== REDIS)
    t.strictSame(others, [])
    t.match(request, { attributes: { 'url.path': '/orders' } })
    t.strictSame([...new Set(queriesBelow(spans, request!.id))].sort(), [REDIS, PG])
    t.notOk(spans.some(({ name }) => name === 'ping'))
  })

  t.test('with `traces` each run leaves one span, and its query is its child', async t => {
    const { probe, stop } = await startTraced(t, program('traces: true'))
    for (let i = 0; i < 3; i++) t.equal(await probe('/healthz/ready'), 200)
    const spans = await stop()
    const runs = spans.filter(({ scope }) => scope === 'fastify-healthz')
    t.strictSame(runs.map(({ name }) => name).sort(), [
      ...Array.from({ length: 3 }, () => 'check ready/cache'), ...Array.from({ length: 3 }, () => 'check ready/database')
    ])
    for (const { id, name, parent, attributes } of runs) {
      t.equal(parent, undefined)
      t.equal(attributes['healthz.check.state'], 'pass')
      t.ok(queriesBelow(spans, id).includes(name === 'check ready/cache' ? REDIS : PG), name)
    }
    t.strictSame(spans.filter(({ attributes }) => attributes['url.path'] !== undefined), [])
  })
})
