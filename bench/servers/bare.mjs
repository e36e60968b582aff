import Fastify from 'fastify'
import { body, headers } from './answer.mjs'
import { checks } from './checks.mjs'
import { listen } from './listen.mjs'

/** A Fastify route that sends the same bytes. With a `count`, it awaits that many checks first. */
export async function start ({ logger = false, count }) {
  const app = Fastify({ logger })
  if (count === undefined) {
    app.get('/', (_request, reply) => { reply.headers(headers).send(body) })
  } else {
    const functions = Object.values(checks(count))
    app.get('/', async (_request, reply) => {
      await Promise.all(functions.map(check => check()))
      return reply.headers(headers).send(body)
    })
  }
  return listen(app, '/')
}
