import { performance } from 'node:perf_hooks'
import type { FastifyBaseLogger, FastifyInstance, RegisterOptions } from 'fastify'
import type { CheckContext } from '../types/check.js'
import type { HealthzOptions } from '../types/options.js'
import { CheckRunner } from './check.js'
import { healthzError } from './errors.js'
import { HealthzLog } from './log.js'
import { type ProbeSettings, readOptions } from './options.js'
import { Probe } from './registry.js'
import { routes } from './routes.js'
import { loadCheck } from './specifier.js'

const kRegistered = Symbol('fastify-healthz.registered')

/** Options → registry → routes. */
export async function plugin (fastify: FastifyInstance, options: HealthzOptions): Promise<void> {
  if (fastify.hasDecorator(kRegistered as unknown as string)) throw healthzError('HEALTHZ_ERR_ALREADY_REGISTERED')
  fastify.decorate(kRegistered, true)

  const { prefix, probes, noLog, importer, routeOptions } = readOptions(options)
  const log = new HealthzLog(fastify.log)
  const loadTimeout = Math.ceil(fastify.initialConfig.pluginTimeout! * 0.9)

  async function buildProbe ({ name, path, checks }: ProbeSettings): Promise<Probe> {
    const runners = checks.map(async ({ name: check, option, check: given }) => {
      const run = typeof given === 'string' ? await loadCheck(given, option, importer, loadTimeout) : given
      const context = new Context(fastify, name, check)
      return [check, new CheckRunner(name, check, () => run.call(fastify, context), log, () => performance.now())] as const
    })
    return new Probe(name, path, new Map(await Promise.all(runners)))
  }

  const { logLevel, logSerializers } = options as RegisterOptions
  fastify.register(routes, {
    probes: await Promise.all(probes.map(buildProbe)),
    root: prefix,
    noLog,
    routeOptions,
    // Fastify takes these two for every plugin, but hands them on only to one with a scope of its own.
    ...(logLevel !== undefined && { logLevel }),
    ...(logSerializers !== undefined && { logSerializers })
  })
}

/** What a check is called with; one for all runs of a check. */
class Context implements CheckContext {
  #log: FastifyBaseLogger | undefined

  constructor (readonly app: FastifyInstance, readonly probe: string, readonly check: string) {}

  get log (): FastifyBaseLogger {
    this.#log ??= this.app.log.child({ probe: this.probe, check: this.check })
    return this.#log
  }
}
