// A service that exports its probe and check metrics to Prometheus. Run it with
//
//   npm run build && node dist/examples/metrics.js
//
// and call
//
//   curl localhost:8080/healthz/ready
//   curl localhost:8080/metrics | grep healthz_
//
// A scrape exports the latest results and runs no checks. A check has no samples until its probe has been called.
import Fastify from 'fastify'
import healthz, { HealthError } from 'fastify-healthz'
import prometheus from 'fastify-healthz/prometheus'
import { register } from 'prom-client'

const app = Fastify({ logger: true })

app.register(healthz, {
  ready: {
    database: () => {},
    cache: {
      check: () => { throw new HealthError('not connected') },
      critical: false
    }
  },
  noLog: true,
  shutdown: true
})
// `register` is optional if only one Prometheus client is installed. This project has two, for its tests.
app.register(prometheus, { register })

// fastify-metrics adds this route.
app.get('/metrics', async (_request, reply) => {
  reply.type(register.contentType)
  return register.metrics()
})

app.listen({ port: Number(process.env.PORT ?? 8080), host: '0.0.0.0' }, error => {
  if (error) throw error
})
