import Fastify from 'fastify'

/** Whether Fastify refuses a route with a level that its logger doesn't have. The older versions of Fastify 5 do not. */
export const refusesLogLevels = (() => {
  try {
    Fastify({ logger: { level: 'silent' } }).get('/', { logLevel: 'nosuch' as never }, () => {})
    return false
  } catch {
    return true
  }
})()
