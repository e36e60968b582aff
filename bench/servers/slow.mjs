import Fastify from 'fastify'
import { body, headers } from './answer.mjs'
import { listen } from './listen.mjs'
import { healthz } from './plugin.mjs'

/** A probe whose check takes `ms`, and a bare route that awaits the same check. `/runs` returns the number of runs. */
export async function start ({ ms }) {
  const app = Fastify()
  let runs = 0
  const check = () => {
    runs++
    return new Promise(resolve => { setTimeout(resolve, ms) })
  }
  await app.register(healthz, { ready: check })
  app.get('/bare', async (_request, reply) => {
    await check()
    return reply.headers(headers).send(body)
  })
  app.get('/runs', async () => runs)
  return listen(app, '/healthz/ready')
}
