import Fastify from 'fastify'

/** Whether Fastify rejects a route with an unknown log level. Older versions of Fastify 5 don't. */
export const refusesLogLevels = (() => {
  try {
    Fastify({ logger: { level: 'silent' } }).get('/', { logLevel: 'nosuch' as never }, () => {})
    return false
  } catch {
    return true
  }
})()
