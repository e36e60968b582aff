import Fastify from 'fastify'
import { checks } from './checks.mjs'
import { listen } from './listen.mjs'
import { HealthError, healthz } from './plugin.mjs'

/** `fails`: `live` passes and `ready` fails. `count`: the checks of `ready`. */
export async function start ({ logger = false, path = '/healthz/live', count = 0, fails = false }) {
  const app = Fastify({ logger })
  const ready = fails ? () => { throw new HealthError('Away') } : checks(count)
  await app.register(healthz, { live: () => {}, ready, noLog: true })
  return listen(app, path)
}
