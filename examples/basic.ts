// A service with a pretend database that can be taken away and brought back. Start it with `npm start` (PORT is 8080
// unless you set it), and in another terminal ask:
//
//   curl -i localhost:8080/healthz/live
//   curl -i localhost:8080/healthz/ready
//
// Both answer 200 and leave no line in the log. Take the database away:
//
//   curl -X POST localhost:8080/database/down
//   curl -i localhost:8080/healthz/ready
//
// It answers 503. The log has one `warn` line with the cause, however often you ask, and a `request completed` for
// each 503. Bring the database back:
//
//   curl -X POST localhost:8080/database/up
//   curl -i localhost:8080/healthz/ready
//
// It answers 200, and one `info` line tells how long the outage was. http://localhost:8080 has buttons for both, and
// http://localhost:8080/statusz is a page that shows what happens.
//
// End it with `kill` and the `pid` of its log lines, as a deployment would: `ready` fails, requests are served for another
// 5 s, then it closes and exits with 0. Ctrl-C ends it at once.
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
  // A process that answers is alive. A database that is away is for `ready`: a restart wouldn't bring it back.
  live: () => {},
  ready: async () => {
    try {
      await database.ping()
    } catch (cause) {
      throw new HealthError("Can't connect to the database", { cause })
    }
  },
  noLog: true,
  // Anybody may look at this demo. Yours has a function here, which knows your operators.
  details: true,
  // The default, which in a terminal is 0.
  shutdown: { delay: 5000 }
})

app.register(page, { name: 'fastify-healthz demo' })

app.get('/', async (_request, reply) => {
  const button = (to: string) => `<button onclick="fetch('/database/${to}', { method: 'POST' })">Database ${to}</button>`
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
