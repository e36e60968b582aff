import type { FastifyContextConfig, FastifyInstance, FastifyReply, FastifyRequest, FastifySchema } from 'fastify'
import fp from 'fastify-plugin'
import type { Healthz } from '../../types/healthz.js'
import { quietLogging } from '../http/request-logging.js'
import { PAGE_HOST, type PageHost } from '../page-host.js'
import { receiveMessages } from '../telemetry/metrics.js'
import { expectText, refuse, refuseUnknown } from '../validate.js'
import { truncate } from '../truncate.js'
import { History, MAX_TITLE_BYTES } from './history.js'
import { CONTENT_SECURITY_POLICY, renderMain, renderPage } from './render.js'
import { readStatus } from './status.js'
import { Viewers } from './viewers.js'

/**
 * Serves a page that shows the probes and checks of the `fastify-healthz` registered before it, with their last hour, to
 * whoever its option `details` allows. For everybody else there is no such page. It is where the probes are: on the app's
 * port, on the separate port, or on both. It runs no check.
 * @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
async function page (fastify: FastifyInstance, options: page.PageOptions): Promise<void> {
  refuseUnknown('', options, ['path', 'name'])
  const { path = '/statusz', name = nameOf(process.env) } = options
  if (typeof path !== 'string' || !/^(?:\/(?!\.{1,2}(?:\/|$))[\w.~-]+)+$/.test(path)) refuse('path', 'a path such as `/statusz`', path)
  const service = truncate(expectText('name', name), MAX_TITLE_BYTES)
  const healthz: Healthz & { [PAGE_HOST]?: PageHost } = fastify.healthz
  const host = healthz[PAGE_HOST]!
  const history = new History(Date.now)
  const read = () => readStatus(healthz, history, service, Date.now())
  const viewers = new Viewers(() => renderMain(read()), healthz.drainSignal)
  const ends = [
    receiveMessages(healthz, {
      ran (run) {
        history.ran(run)
        viewers.update()
      }
    }),
    healthz.onChange(change => {
      history.changed(change)
      viewers.update()
    })
  ]
  fastify.addHook('onClose', async () => {
    for (const end of ends) end()
    viewers.end()
  })

  const route = { ...quietLogging('page'), config: CONFIG, schema: { hide: true } as FastifySchema }
  /** For those who may see it. */
  const guarded = (answer: (request: FastifyRequest, reply: FastifyReply) => unknown) => {
    return async (request: FastifyRequest, reply: FastifyReply) => {
      if (!await host.authorize(request)) return reply.callNotFound()
      host.probed(request.raw)
      return answer(request, reply)
    }
  }
  const last = path.slice(path.lastIndexOf('/') + 1)
  /** Relative to the URL of the page, which ends with a slash where the app has `ignoreTrailingSlash`. */
  const eventsOf = (url: string) => /^[^?]*\/(?:$|\?)/.test(url) ? 'events' : `${last}/events`
  const routes = async (scope: FastifyInstance) => {
    scope.get(path, {
      ...route,
      handler: guarded(({ headers, url }, reply) => {
        reply.headers(HEADERS)
        if (wantsJson(headers.accept)) return reply.type('application/json').send(JSON.stringify(read()))
        return reply.type('text/html; charset=utf-8').send(renderPage(read(), eventsOf(url)))
      })
    })
    scope.get(`${path}/events`, {
      ...route,
      exposeHeadRoute: false,
      handler: guarded((_request, reply) => {
        // What makes an EventSource give up.
        if (viewers.full) return reply.code(204).send()
        reply.hijack()
        viewers.add(reply.raw)
      })
    })
  }
  await host.serve([path, `${path}/events`], routes)
  if (host.onApp) fastify.register(routes)
}

/** Opt-outs from other plugins. Not from those that act on a path that doesn't exist as well: a stranger would see it. */
const CONFIG = {
  disableMetrics: true, // fastify-metrics: an open page would be a request of hours
  otel: false, // @fastify/otel
  rateLimit: false // @fastify/rate-limit
} as FastifyContextConfig

const HEADERS = {
  'cache-control': 'no-store',
  'content-security-policy': CONTENT_SECURITY_POLICY,
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'x-robots-tag': 'noindex',
  vary: 'accept'
}

/** As `npm start` sets it, with the version. */
const nameOf = ({ npm_package_name: name = 'Health', npm_package_version: version }: NodeJS.ProcessEnv) =>
  version === undefined ? name : `${name} ${version}`

const wantsJson = (accept = '') => /\bapplication\/json\b/.test(accept) && !/\btext\/html\b/.test(accept)

declare namespace page {
  export interface PageOptions {
    /** Where it is served, below the prefix of the scope. Default: `/statusz`. */
    path?: string | undefined
    /** The service, with its version. Default: `npm_package_name` and `npm_package_version`, which npm sets, or `Health`. */
    name?: string | undefined
  }
  export { page, page as default }
}

fp(page, { fastify: '5.x || 6.x', name: 'fastify-healthz-page', dependencies: ['fastify-healthz'] })

// As in `index.ts` of the plugin.
module.exports = page
module.exports.default = page
module.exports.page = page

export = page
