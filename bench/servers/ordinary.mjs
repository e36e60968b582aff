import Fastify from 'fastify'
import { listen } from './listen.mjs'

const plugins = {
  async healthz (app) {
    const { healthz } = await import('./plugin.mjs')
    await app.register(healthz, { live: () => {}, ready: async () => {}, noLog: true })
  },
  async 'under-pressure' (app) {
    const { default: underPressure } = await import('@fastify/under-pressure')
    await app.register(underPressure, { maxEventLoopDelay: 1000, exposeStatusRoute: true })
  }
}

/** An app with an ordinary route, and at most one of these plugins. */
export async function start ({ plugin }) {
  const app = Fastify()
  await plugins[plugin]?.(app)
  app.get('/', async () => ({ hello: 'world' }))
  return listen(app, '/')
}
