// A service with PostgreSQL and Redis, whose plugins add the checks for them. Run it with
//
//   npm run build
//   DATABASE_URL=postgres://postgres@localhost/test REDIS_URL=redis://localhost node dist/examples/postgres-redis.js
//
// and call
//
//   curl localhost:8080/time
//   curl -i localhost:8080/healthz/ready
//
// While the database is down, the second responds with 503 and the cause, e.g. `database: connection refused`. While Redis
// is down, it passes and a warning is logged, since the service works without its cache.
import fastifyPostgres from '@fastify/postgres'
import Fastify from 'fastify'
import healthz from 'fastify-healthz'
import { postgres, redis } from 'fastify-healthz/checks'
import fp from 'fastify-plugin'
import { Redis } from 'ioredis'

declare module 'fastify' {
  interface FastifyInstance {
    cache: Redis
  }
}

const { DATABASE_URL, REDIS_URL = 'redis://localhost' } = process.env
if (DATABASE_URL === undefined) throw new Error('DATABASE_URL is not set')

const database = fp(async app => {
  // Without this timeout, a connection attempt whose packets are dropped occupies a slot of the pool indefinitely.
  await app.register(fastifyPostgres, { connectionString: DATABASE_URL, connectionTimeoutMillis: 5000 })
  // Without a listener, the error of an idle connection crashes the process.
  app.pg.pool.on('error', err => app.log.warn({ err }, 'an idle connection to the database was lost'))
  app.healthz.add('ready', 'database', postgres(app.pg))
}, { name: 'database', dependencies: ['fastify-healthz'] })

const cache = fp(async app => {
  // Not @fastify/redis, with which the app doesn't boot while Redis is down. With these options requests don't wait long for
  // a Redis that is down. The timeout is longer than that of the check, so that the check reports the cause.
  const client = new Redis(REDIS_URL, { commandTimeout: 1000, maxRetriesPerRequest: 0 })
  // Emitted on every attempt to reconnect. The failing check is logged once.
  client.on('error', () => {})
  app.decorate('cache', client)
  app.addHook('onClose', async () => { client.disconnect() })
  app.healthz.add('ready', 'cache', { check: redis(client), critical: false })
}, { name: 'cache', dependencies: ['fastify-healthz'] })

const app = Fastify({ logger: true })

app.register(healthz, { noLog: true, shutdown: true })
app.register(database)
app.register(cache)

app.get('/time', async () => {
  const known = await app.cache.get('example:time').catch(() => null)
  if (known !== null) return { time: known, cached: true }
  const { rows: [row] } = await app.pg.query<{ time: string }>('SELECT now()::text AS time')
  await app.cache.set('example:time', row!.time, 'EX', 1).catch(() => {})
  return { time: row!.time, cached: false }
})

app.listen({ port: Number(process.env.PORT ?? 8080), host: '0.0.0.0' }, error => {
  if (error) throw error
})
