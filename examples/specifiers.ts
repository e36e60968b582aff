// Checks by specifier: the path of a module and the name of an export, with no import here. Run it with
//
//   npm run build && node dist/examples/specifiers.js
//
// and try the commands in `basic.ts`. A specifier that can't be loaded makes registration fail. Change one to see the error.
import Fastify from 'fastify'
import healthz from 'fastify-healthz'
import type { Database, Worker } from './checks.js'

const worker: Worker = { lastTurn: Date.now() }
setInterval(() => { worker.lastTurn = Date.now() }, 1000).unref()

let up = true
const database: Database = {
  async ping () {
    if (!up) throw new Error('connect ECONNREFUSED 127.0.0.1:5432')
  }
}

const app = Fastify({ logger: true })

app.decorate('worker', worker)
app.decorate('database', database)

app.register(healthz, {
  // In an ES module: `root: import.meta.url`.
  root: __dirname,
  live: './checks.js#liveness',
  ready: './checks.js#readiness',
  noLog: true,
  shutdown: true
})

app.post('/database/down', async () => {
  up = false
  return 'The database is down\n'
})

app.post('/database/up', async () => {
  up = true
  return 'The database is up\n'
})

app.listen({ port: Number(process.env.PORT ?? 8080), host: '0.0.0.0' }, error => {
  if (error) throw error
})
