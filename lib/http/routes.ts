import { type IncomingMessage, STATUS_CODES } from 'node:http'
import type {
  FastifyContextConfig, FastifyInstance, FastifyReply, FastifyRequest, FastifySchema, RouteOptions
} from 'fastify'
import type { ProbeRouteOptions } from '../../types/options.js'
import { Problem } from '../../types/wire.js'
import type { Aborts } from './aborts.js'
import { detailsQuery, type VerboseAccess } from './verbose.js'
import { messageOf } from '../errors.js'
import type { Probe } from '../engine/probe.js'
import { body, CONTENT_TYPE, headersOf, titleOf } from './problem.js'
import { QuietLogger, quietLogging } from './request-logging.js'
import { MAX_MS } from '../clock.js'

export interface RoutesOptions {
  readonly probes: readonly Probe[]
  /** Prefix of the plugin's paths. Requests for unknown paths below it get a problem. `''`: no prefix, and no such responses. */
  readonly root: string
  readonly noLog: boolean
  readonly verbose: VerboseAccess
  readonly aborts: Aborts
  /** Called with each request to a probe. */
  readonly probed: (request: IncomingMessage) => void
  readonly routeOptions: Readonly<ProbeRouteOptions>
}

/** The problem sent in response to a request. Set by `send`, for the `onSend` hook and the error handler. */
const kProblem = Symbol('fastify-healthz.problem')
type ProbeRequest = FastifyRequest & { [kProblem]?: Problem }

/** Opt-outs from other plugins, by the keys that they read from a route. */
const OPT_OUTS = {
  compress: false, // @fastify/compress
  helmet: false, // @fastify/helmet
  responseValidation: false // @fastify/response-validation
} as const
const CONFIG_OPT_OUTS = {
  cors: false, // @fastify/cors
  disableMetrics: true, // fastify-metrics
  otel: false, // @fastify/otel
  pressureHandler: () => {}, // @fastify/under-pressure
  rateLimit: false // @fastify/rate-limit
}

/**
 * Registers the routes of the probes: request → probe → reply. The app's hooks run as for any route; its error handler,
 * serializers, validators and `handlerTimeout` don't affect the response.
 */
export async function routes (fastify: FastifyInstance, options: RoutesOptions): Promise<void> {
  const { verbose, aborts, probed, root, routeOptions } = options
  const others = fastify.supportedMethods.filter(method => !['GET', 'HEAD', 'OPTIONS'].includes(method))

  for (const probe of options.probes) {
    const route = probeRoute(fastify, probe, options)
    fastify.route({
      ...route,
      method: 'GET',
      exposeHeadRoute: true,
      schema: describe(probe.name, routeOptions.schema),
      handler (request, reply) {
        probed(request.raw)
        const query = detailsQuery(request.url)
        const outcome = query === undefined ? probe.run() : verbose.run(probe, query, request)
        // Not `instanceof Promise`: an app may replace the global one, and async functions keep returning Node's.
        if (!('then' in outcome)) {
          aborts.answered(probe)
          send(reply, outcome.problem)
          return
        }
        // Not for details: an operator's interrupted `curl` is no outage.
        const answered = query === undefined ? aborts.watch(probe, reply.raw) : undefined
        outcome.then(({ problem }) => {
          answered?.()
          send(reply, problem)
        }).catch(error => { reply.send(error) })
      }
    })
    fastify.route({ ...route, method: others, schema: HIDDEN, onRequest: refuseMethod, handler: refuseMethod })
    // Always registered, so that clients can't detect the value of `details`.
    if (root !== '') {
      fastify.route({
        ...route,
        url: `${root}/${probe.name}/*`,
        method: 'GET',
        exposeHeadRoute: true,
        schema: HIDDEN,
        async handler (request, reply) {
          probed(request.raw)
          const name = wildcard(request)
          const outcome = await verbose.runOne(probe, name, request)
          return send(reply, outcome?.problem ?? notFound(`${probe.name}/${name}`))
        }
      })
    }
  }

  if (root !== '') {
    fastify.route({
      ...ANSWERS,
      method: ['GET', 'HEAD', ...others],
      url: `${root}/*`,
      constraints: { ...routeOptions.constraints },
      config: { ...routeOptions.config } as FastifyContextConfig,
      schema: HIDDEN,
      onRequest: refusePath,
      handler: (_request, reply) => { reply.callNotFound() },
      errorHandler (error, request, reply) {
        // Rethrown, it reaches the app's error handler.
        if (wildcard(request) === '') throw error
        errorHandler(error, request, reply)
      }
    })
  }
}

/**
 * Whether these routes match the path of a request: that of a probe, and all below the prefix.
 * @param scope the prefix of the Fastify scope that they are registered in
 */
export function isProbePath ({ probes, root }: Pick<RoutesOptions, 'probes' | 'root'>, url: string, scope = ''): boolean {
  const [full] = url.split('?', 1) as [string]
  if (!full.startsWith(scope)) return false
  const path = full.slice(scope.length)
  return (root !== '' && path.startsWith(`${root}/`) && path !== `${root}/`) || probes.some(probe => probe.path === path)
}

const HIDDEN = { hide: true } as FastifySchema

/** Options of every route of the plugin. */
const ANSWERS = {
  // Hooks of a route run after those of the app.
  onSend (request: ProbeRequest, reply, payload, done) {
    const problem = request[kProblem]
    // A hook of the app responded with 304, which a prober would take for a pass.
    if (problem !== undefined && reply.statusCode === 304) {
      reply.code(problem.status)
      payload = body(problem)
    }
    logUnlessPass(request, problem)
    done(null, payload)
  },
  errorHandler
} satisfies Partial<RouteOptions>

/** Options that the routes of a probe have in common. */
function probeRoute (fastify: FastifyInstance, { name, path }: Probe, { noLog, routeOptions }: RoutesOptions) {
  const { constraints, config, logLevel, schema } = routeOptions
  return {
    ...OPT_OUTS,
    ...ANSWERS,
    url: path,
    constraints: { ...constraints },
    config: {
      ...CONFIG_OPT_OUTS,
      // The response schemas are JSON Schema, which the app's `transform` for @fastify/swagger may not accept.
      ...(schema?.response === undefined && { swaggerTransform: false }),
      // Not read by Fastify or the plugin: it is for a `LogController` of the app.
      disableRequestLogging: noLog,
      ...config,
      healthz: { probe: name }
    } as FastifyContextConfig,
    ...(logLevel !== undefined && { logLevel }),
    // The schema only documents the probe. Nothing is validated or serialized by it, so nothing is compiled.
    validatorCompiler: () => () => true,
    serializerCompiler: () => JSON.stringify,
    // A route can't disable the app's `handlerTimeout`, but it can have a longer one.
    ...((fastify.initialConfig as { handlerTimeout?: number }).handlerTimeout && { handlerTimeout: MAX_MS }),
    ...(noLog && quietLogging(name))
  } satisfies Partial<RouteOptions> & typeof OPT_OUTS
}

/** Also for a response that a hook of the app sent before the probe ran. */
function logUnlessPass ({ log }: FastifyRequest, problem: Problem | undefined): void {
  if (problem?.status !== 200 && log instanceof QuietLogger) log.open(problem && titleOf(problem))
}

/**
 * Responds when a hook of the app threw: the app's error handler might respond with any status, even 200. The probe fails,
 * with the reason from the checks if they have one. The response bypasses the app's hooks, one of which has just failed.
 */
function errorHandler (error: unknown, request: ProbeRequest, reply: FastifyReply): void {
  const sent = request[kProblem]
  const problem = sent !== undefined && sent.status !== 200 ? sent : failureOf(error, reply)
  logUnlessPass(request, problem)
  reply.code(problem.status)
  try {
    request.log[problem.status < 500 ? 'info' : 'error']({ req: request, res: reply, err: error }, messageOf(error))
  } catch {
    // A logger that throws doesn't change the response.
  }
  const bytes = Buffer.from(body(problem))
  reply.hijack()
  reply.raw.writeHead(problem.status, { ...headersOf(problem), 'content-length': bytes.length }).end(bytes)
}

/** The status that Fastify would respond with to an error, and its standard title, since the message may not be public. */
function failureOf (error: unknown, { statusCode: given }: FastifyReply): Problem {
  const { statusCode, status } = Object(error) as { statusCode?: unknown, status?: unknown }
  const code = [given, statusCode, status].find(code => Number(code) >= 400 && STATUS_CODES[String(code)] !== undefined) ?? 500
  return { status: Number(code), title: STATUS_CODES[String(code)]! }
}

/** Responds in `onRequest`, before Fastify can reject the request's body. Also the handler, since a route needs one. */
function refuseMethod (_request: FastifyRequest, reply: FastifyReply): void {
  send(reply, { status: 405, title: 'Method Not Allowed' })
}

/** Responds in `onRequest`. `{prefix}/` matches too but belongs to the app, so the handler passes it on. */
function refusePath (request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  const name = wildcard(request)
  if (name === '') return done()
  send(reply, notFound(name))
}

/** The part of the path that matched the `*` of a route. */
function wildcard ({ params }: FastifyRequest): string {
  return (params as { '*': string })['*']
}

function notFound (name: string): Problem {
  return { status: 404, title: `The ${name} check endpoint is not setup` }
}

/** Sends a problem. A string with its own serializer bypasses the app's serializers, and gets no charset. */
export function send (reply: FastifyReply, problem: Problem): FastifyReply {
  (reply.request as ProbeRequest)[kProblem] = problem
  return reply.code(problem.status).headers(headersOf(problem)).serializer(identity).send(body(problem))
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
