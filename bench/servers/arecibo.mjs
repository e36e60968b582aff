import arecibo from 'arecibo'
import Fastify from 'fastify'
import { listen } from './listen.mjs'

export async function start ({ logger = false, logLevel }) {
  const app = Fastify({ logger })
  await app.register(arecibo, { message: 'OK', logLevel })
  return listen(app, '/arecibo/liveness')
}
