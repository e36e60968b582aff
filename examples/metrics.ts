// A service that tells Prometheus how its probes and checks are. Run it with
//
//   npm run build && node dist/examples/metrics.js
//
// and ask
//
//   curl localhost:8080/healthz/ready
//   curl localhost:8080/metrics | grep healthz_
//
// A scrape reads the last results: it shows nothing of a check before somebody, such as the kubelet, has asked for it.
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
app.register(prometheus)

// With fastify-metrics this route is there already.
app.get('/metrics', async (_request, reply) => {
  reply.type(register.contentType)
  return register.metrics()
})

app.listen({ port: Number(process.env.PORT ?? 8080), host: '0.0.0.0' }, error => {
  if (error) throw error
})
