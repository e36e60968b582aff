// A service with PostgreSQL and Redis, whose plugins bring along the checks for them. Run it with
//
//   npm run build
//   DATABASE_URL=postgres://postgres@localhost/test REDIS_URL=redis://localhost node dist/examples/postgres-redis.js
//
// and ask
//
//   curl localhost:8080/time
//   curl -i localhost:8080/healthz/ready
//
// While the database is away, the second answers 503 and says why, e.g. `database: connection refused`. While Redis is
// away, it passes and leaves a warning in the log: the service can do without.
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
  // Without the timeout, a connection that the network swallows while it is made keeps its place in the pool for ever.
  await app.register(fastifyPostgres, { connectionString: DATABASE_URL, connectionTimeoutMillis: 5000 })
  // An error that nobody listens to ends the process.
  app.pg.pool.on('error', err => app.log.warn({ err }, 'an idle connection to the database was lost'))
  app.healthz.add('ready', 'database', postgres(app.pg))
}, { name: 'database', dependencies: ['fastify-healthz'] })

const cache = fp(async app => {
  // Not by @fastify/redis, with which no app boots while Redis is away. No request waits long for one that is. The
  // timeout is longer than that of the check, which tells why.
  const client = new Redis(REDIS_URL, { commandTimeout: 1000, maxRetriesPerRequest: 0 })
  // There is one with each attempt to connect again. The check tells of it once.
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
