// The service that the Dockerfile and the Kubernetes and OpenShift manifests run. Its database is simulated. Stop it with
//
//   curl -X POST localhost:8080/database/down
//
// and `ready` and the HEALTHCHECK fail until you call `/database/up`.
import Fastify from 'fastify'
import healthz, { HealthError } from 'fastify-healthz'
import prometheus from 'fastify-healthz/prometheus'
import { register } from 'prom-client'

const { PORT = '8080', PROBES_PORT, DRAIN_MS = '5000' } = process.env

const database = {
  up: true,
  async ping () {
    if (!this.up) throw new Error('connect ECONNREFUSED 127.0.0.1:5432')
  }
}

const app = Fastify({ logger: true })

app.register(healthz, {
  ready: {
    database: async () => {
      try {
        await database.ping()
      } catch (cause) {
        throw new HealthError("Can't connect", { cause })
      }
    }
  },
  noLog: true,
  shutdown: { delay: Number(DRAIN_MS) },
  listen: PROBES_PORT === undefined ? undefined : { port: Number(PROBES_PORT) }
})

app.register(prometheus, { register })

app.get('/', async () => 'served\n')

app.get('/metrics', async (_request, reply) => {
  reply.type(register.contentType)
  return register.metrics()
})

app.post('/database/down', async () => {
  database.up = false
  return 'The database is down\n'
})

app.post('/database/up', async () => {
  database.up = true
  return 'The database is up\n'
})

await app.listen({ port: Number(PORT), host: '0.0.0.0' })
