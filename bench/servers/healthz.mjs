import Fastify from 'fastify'
import { checks } from './checks.mjs'
import { listen } from './listen.mjs'
import { HealthError, healthz, page } from './plugin.mjs'

const failing = () => { throw new HealthError('Away') }

/** `fails` makes `ready` fail, while `live` passes. `count` is the number of checks of `ready`. */
export async function start (options) {
  const { logger = false, path = '/healthz/live', count = 0, fails = false, thresholds = false, page: hasPage = false } = options
  const app = Fastify({ logger })
  const limits = { failureThreshold: 3, successThreshold: 3 }
  const passing = Object.entries(checks(count)).map(([name, check]) => [name, thresholds ? { check, ...limits } : check])
  await app.register(healthz, { live: () => {}, ready: fails ? failing : Object.fromEntries(passing), noLog: true })
  if (hasPage) await app.register(page())
  return listen(app, path)
}
