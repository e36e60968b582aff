import Fastify from 'fastify'
import customHealthCheck from 'fastify-custom-healthcheck'
import { listen } from './listen.mjs'

export async function start ({ logger = false }) {
  const app = Fastify({ logger })
  await app.register(customHealthCheck)
  app.addHealthCheck('live', () => {})
  return listen(app, '/health')
}
