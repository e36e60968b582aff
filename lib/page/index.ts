import type { FastifyInstance, FastifyReply, FastifyRequest, FastifySchema } from 'fastify'
import fp from 'fastify-plugin'
import type { Healthz } from '../../types/healthz.js'
import { quietLogging } from '../http/request-logging.js'
import { PAGE_HOST, type PageHost } from '../page-host.js'
import { receiveMessages } from '../telemetry/metrics.js'
import { expectText, refuse, refuseUnknown } from '../validate.js'
import { History } from './history.js'
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
  if (typeof path !== 'string' || !/^(?:\/[\w.~-]+)+$/.test(path)) refuse('path', 'a path such as `/statusz`', path)
  expectText('name', name)
  const healthz: Healthz & { [PAGE_HOST]?: PageHost } = fastify.healthz
  const host = healthz[PAGE_HOST]!
  const history = new History(Date.now)
  const read = () => readStatus(healthz, history, name, Date.now())
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

  const route = { ...quietLogging('page'), schema: { hide: true } as FastifySchema }
  /** For those who may see it. */
  const guarded = (answer: (request: FastifyRequest, reply: FastifyReply) => unknown) => {
    return async (request: FastifyRequest, reply: FastifyReply) => {
      if (!await host.authorize(request)) return reply.callNotFound()
      return answer(request, reply)
    }
  }
  const url = path.slice(path.lastIndexOf('/') + 1)
  const routes = async (scope: FastifyInstance) => {
    scope.get(path, {
      ...route,
      handler: guarded(({ headers }, reply) => {
        reply.headers(HEADERS)
        if (wantsJson(headers.accept)) return reply.type('application/json').send(JSON.stringify(read()))
        return reply.type('text/html; charset=utf-8').send(renderPage(read(), `${url}/events`))
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
