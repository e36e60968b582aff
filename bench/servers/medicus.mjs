import Fastify from 'fastify'
import { fastifyMedicusPlugin } from 'medicus/fastify.js'
import { listen } from './listen.mjs'

export async function start ({ logger = false }) {
  const app = Fastify({ logger })
  await app.register(fastifyMedicusPlugin, { checkers: { live: () => true } })
  return listen(app, '/health')
}
