import Fastify from 'fastify'
import healthz, { HealthError } from 'fastify-healthz'
const app = Fastify({ logger: true })
let up = true
app.register(healthz, {
  ready: async () => { if (!up) throw new HealthError("Can't connect to the database", { cause: new Error('connect ECONNREFUSED') }) },
  noLog: true
})
app.post('/database/down', async () => { up = false; return 'down\n' })
app.listen({ port: 8080, host: '0.0.0.0' })
