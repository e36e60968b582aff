import Fastify from 'fastify'
import healthcheck from 'fastify-healthcheck'
import { listen } from './listen.mjs'

export async function start ({ logger = false }) {
  const app = Fastify({ logger })
  await app.register(healthcheck)
  return listen(app, '/health')
}
