import type {
  FastifyBaseLogger, FastifyContextConfig, FastifyInstance, FastifyReply, FastifyRequest, FastifySchema, RouteOptions
} from 'fastify'
import type { ProbeRouteOptions } from '../types/options.js'
import { Problem } from '../types/wire.js'
import type { Details } from './details.js'
import type { Probe } from './probe.js'
import { body, CONTENT_TYPE, HEADERS, titleOf } from './problem.js'
import { QuietLogger } from './quiet-logger.js'
import { MAX_MS } from './refusal.js'
import { blame } from './route-options.js'

export interface RoutesOptions {
  readonly probes: readonly Probe[]
  /** What the plugin's paths start with; below it a 404 is the plugin's. `''`: none is. */
  readonly root: string
  readonly noLog: boolean
  readonly details: Details
  readonly routeOptions: Readonly<ProbeRouteOptions>
}

/** What a request was answered with by us. The hook that runs the checks leaves it to the handler. */
const kProblem = Symbol('fastify-healthz.problem')
type ProbeRequest = FastifyRequest & { [kProblem]: Problem | null }

/** What a probe opts out of, by the keys that the plugins named read from a route. */
const OPT_OUTS = {
  compress: false, // @fastify/compress
  helmet: false // @fastify/helmet
} as const
const CONFIG_OPT_OUTS = {
  cors: false, // @fastify/cors
  disableMetrics: true, // fastify-metrics
  otel: false, // @fastify/otel
  pressureHandler: () => {}, // @fastify/under-pressure
  rateLimit: false // @fastify/rate-limit
}

/**
 * Requests → probe → reply, in a scope of their own. The app's hooks run as for any route; its error handler,
 * serializers, validators and `handlerTimeout` can't change what a prober sees.
 */
export async function routes (fastify: FastifyInstance, options: RoutesOptions): Promise<void> {
  try {
    addRoutes(fastify, options)
  } catch (error) {
    throw blame(options.routeOptions, error)
  }
}

function addRoutes (fastify: FastifyInstance, options: RoutesOptions): void {
  const { details, root } = options
  // Below the prefix a 404 is ours; elsewhere it is the app's.
  const noCheck = (path: string) => root !== '' && path.startsWith(`${root}/`) ? notSetUp(path.slice(root.length + 1)) : undefined
  const others = fastify.supportedMethods.filter(method => !['GET', 'HEAD', 'OPTIONS'].includes(method))
  fastify.decorateRequest(kProblem, null)

  for (const probe of options.probes) {
    const route = probeRoute(fastify, probe, options)
    fastify.route({
      ...route,
      method: 'GET',
      exposeHeadRoute: true,
      schema: describe(probe.name, options.routeOptions.schema),
      preHandler (request, _reply, done) {
        const outcome = request.url.includes('?') ? details.ask(probe, request) : probe.run()
        if (outcome instanceof Promise) {
          outcome.then(settled => { keep(request, 'problem' in settled ? settled.problem : settled); done() })
        } else {
          keep(request, outcome.problem)
          done()
        }
      },
      handler (request, reply) { send(reply, kept(request)!) }
    })
    fastify.route({ ...route, method: others, schema: HIDDEN, onRequest: refuseMethod, handler: refuseMethod })
    // Below the root there are the app's own paths.
    if (details.everAllowed && probe.path !== '/') {
      fastify.route({
        ...route,
        url: `${probe.path}/:check`,
        method: 'GET',
        exposeHeadRoute: true,
        schema: HIDDEN,
        async preHandler (request) {
          const { check } = request.params as { check: string }
          const problem = await details.askOne(probe, check, request) ?? noCheck(`${probe.path}/${check}`)
          if (problem !== undefined) keep(request, problem)
        },
        handler (request, reply) {
          const problem = kept(request)
          if (problem === null) reply.callNotFound()
          else send(reply, problem)
        }
      })
    }
  }

  if (root !== '') {
    fastify.route({
      method: ['GET', 'HEAD', ...others],
      url: `${root}/*`,
      constraints: { ...options.routeOptions.constraints },
      schema: HIDDEN,
      onRequest: refusePath,
      handler: (_request, reply) => { reply.callNotFound() }
    })
  }
}

const HIDDEN = { hide: true } as FastifySchema

/** What the routes on a probe's path have in common. */
function probeRoute (fastify: FastifyInstance, { name, path }: Probe, { noLog, routeOptions }: RoutesOptions) {
  const { constraints, config, logLevel } = routeOptions
  return {
    ...OPT_OUTS,
    url: path,
    constraints: { ...constraints },
    config: { ...CONFIG_OPT_OUTS, disableRequestLogging: noLog, ...config, healthz: { probe: name } } as FastifyContextConfig,
    ...(logLevel !== undefined && { logLevel }),
    // A schema of a probe documents it; nothing is validated or serialized by it, so nothing is compiled either.
    validatorCompiler: () => () => true,
    serializerCompiler: () => JSON.stringify,
    // A route can't switch the app's `handlerTimeout` off, but it can have a longer one.
    ...((fastify.initialConfig as { handlerTimeout?: number }).handlerTimeout && { handlerTimeout: MAX_MS }),
    ...(noLog && quiet(name))
  } satisfies Partial<RouteOptions> & typeof OPT_OUTS
}

function quiet (probe: string): Pick<RouteOptions, 'childLoggerFactory' | 'onSend'> {
  return {
    childLoggerFactory (logger, bindings, options, raw) {
      const make = () => this.childLoggerFactory(logger, bindings, options, raw)
      return new QuietLogger(probe, make) as unknown as FastifyBaseLogger
    },
    // Also reached by an answer that a hook of the app's gave before our code ran.
    onSend (request, _reply, payload, done) {
      const problem = kept(request)
      if (problem?.status !== 200 && request.log instanceof QuietLogger) {
        request.log.tell(problem === null ? undefined : titleOf(problem))
      }
      done(null, payload)
    }
  }
}

/** Answers in `onRequest`, before Fastify can refuse the request's body. The handler is there because a route has one. */
function refuseMethod (request: FastifyRequest, reply: FastifyReply): void {
  reply.header('allow', 'GET, HEAD')
  send(reply, keep(request, { status: 405, title: 'Method Not Allowed' }))
}

/** `{prefix}/` comes this way too, and is the app's: its handler passes it on. */
function refusePath (request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  const { '*': name } = request.params as { '*': string }
  if (name === '') return done()
  send(reply, notSetUp(name))
}

function notSetUp (name: string): Problem {
  return { status: 404, title: `The ${name} check endpoint is not setup` }
}

function keep (request: FastifyRequest, problem: Problem): Problem {
  (request as ProbeRequest)[kProblem] = problem
  return problem
}

function kept (request: FastifyRequest): Problem | null {
  return (request as ProbeRequest)[kProblem]
}

function send (reply: FastifyReply, problem: Problem): void {
  // With a serializer of its own a string passes the app's serializers by, and gets no charset.
  reply.code(problem.status).headers(HEADERS).serializer(identity).send(body(problem))
}

function identity (payload: string): string {
  return payload
}

function describe (probe: string, schema: FastifySchema | undefined): FastifySchema {
  const response = (description: string) => ({ description, content: { [CONTENT_TYPE]: { schema: Problem } } })
  return {
    tags: ['health'],
    summary: `The ${probe} probe`,
    response: {
      200: response('It passes'),
      404: response('There is no such probe'),
      500: response('A check failed unexpectedly'),
      503: response('A check failed')
    },
    ...schema
  } as FastifySchema
}
