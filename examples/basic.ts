// A service with a simulated database that can be stopped and started. Run it with `npm start` (set PORT to use another
// port than 8080), and in another terminal call
//
//   curl -i localhost:8080/healthz/live
//   curl -i localhost:8080/healthz/ready
//
// Both respond with 200 and log nothing. Stop the database:
//
//   curl -X POST localhost:8080/database/down
//   curl -i localhost:8080/healthz/ready
//
// It responds with 503. The cause is logged once at level `warn`, no matter how often you call the probe, and each 503 is
// logged as `request completed`. Start the database again:
//
//   curl -X POST localhost:8080/database/up
//   curl -i localhost:8080/healthz/ready
//
// It responds with 200, and the duration of the outage is logged at level `info`. http://localhost:8080 has buttons for
// both, and http://localhost:8080/statusz is the status page.
//
// Stop the service with `kill` and the `pid` in its log lines, as Kubernetes would: `ready` fails, requests are served for
// another 5 s, then the app closes and the process exits with code 0. Ctrl-C closes it without the delay.
import Fastify from 'fastify'
import healthz, { HealthError } from 'fastify-healthz'
import page from 'fastify-healthz/page'

const database = {
  up: true,
  async ping () {
    if (!this.up) throw new Error('connect ECONNREFUSED 127.0.0.1:5432')
  }
}

const app = Fastify({ logger: true })

app.register(healthz, {
  // Not in `live`: a restart wouldn't bring the database back.
  ready: {
    async database () {
      try {
        await database.ping()
      } catch (cause) {
        throw new HealthError("Can't connect", { cause })
      }
    }
  },
  noLog: true,
  // Everyone may see the details of this demo. In production, pass a function that recognizes operators.
  details: true,
  // The default outside a terminal. In a terminal the default is 0.
  shutdown: { delay: 5000 }
})

app.register(page, { name: 'fastify-healthz demo' })

app.get('/', async (_request, reply) => {
  // Afterwards it calls the probe, as the kubelet would.
  const click = (to: string) => `fetch('/database/${to}', { method: 'POST' }).then(() => fetch('/healthz/ready'))`
  const button = (to: string) => `<button onclick="${click(to)}">Database ${to}</button>`
  return reply.type('text/html').send(`<p>${button('down')} ${button('up')} <a href="/statusz" target="_blank">Status page</a></p>`)
})

app.post('/database/down', async () => {
  database.up = false
  return 'The database is down\n'
})

app.post('/database/up', async () => {
  database.up = true
  return 'The database is up\n'
})

app.listen({ port: Number(process.env.PORT ?? 8080), host: '0.0.0.0' }, (error, address) => {
  if (error) throw error
  app.log.info(`Status page at ${address}/statusz`)
})
