import underPressure from '@fastify/under-pressure'
import Fastify from 'fastify'
import { listen } from './listen.mjs'

export async function start ({ logger = false, logLevel }) {
  const app = Fastify({ logger })
  const exposeStatusRoute = logLevel === undefined ? true : { routeOpts: { logLevel } }
  await app.register(underPressure, { maxEventLoopDelay: 1000, exposeStatusRoute })
  return listen(app, '/status')
}
