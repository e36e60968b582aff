// A service whose database plugin, `database-plugin.ts`, adds its own check with `app.healthz.add`. Run it with
//
//   npm run build && node dist/examples/contributed.js
//
// and try the commands in `basic.ts`. The title of the 503 starts with the name of the check: `database: Can't connect`.
import Fastify from 'fastify'
import healthz from 'fastify-healthz'
import database from './database-plugin.js'

const app = Fastify({ logger: true })

// Register healthz before the plugins that add checks.
app.register(healthz, { noLog: true, shutdown: true })
app.register(database)

app.post('/database/down', async () => {
  app.db.up = false
  return 'The database is down\n'
})

app.post('/database/up', async () => {
  app.db.up = true
  return 'The database is up\n'
})

app.listen({ port: Number(process.env.PORT ?? 8080), host: '0.0.0.0' }, error => {
  if (error) throw error
})
