import Fastify, { type FastifyServerOptions } from 'fastify'

type RouterOptions = NonNullable<FastifyServerOptions['routerOptions']>

/** Options of the app's router, as the installed Fastify takes them. Older versions of Fastify 5 have no `routerOptions`. */
export function router (options: RouterOptions): FastifyServerOptions {
  const known = 'routerOptions' in Fastify({ routerOptions: {} }).initialConfig
  return known ? { routerOptions: options } : options
}
