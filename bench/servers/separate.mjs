import Fastify from 'fastify'
import { healthz } from './plugin.mjs'
import { listen } from './listen.mjs'

/** The probes on a separate port, with or without a thread. With a `path`, the load goes to an ordinary route of the app. */
export async function start ({ thread, path }) {
  const app = Fastify()
  await app.register(healthz, { live: () => {}, noLog: true, listen: { port: 0, host: '127.0.0.1', thread } })
  app.get('/', async () => ({ hello: 'world' }))
  const main = await listen(app, path)
  return path === undefined ? { port: app.healthz.address.port, path: '/healthz/live' } : main
}
