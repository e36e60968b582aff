// NestJS on Fastify with the probes and the shutdown of fastify-healthz. `main.ts` uses it, `docs/nest.md` explains it.
import { inspect } from 'node:util'
import { Logger, type NestApplicationOptions, SetMetadata } from '@nestjs/common'
import { DiscoveryService, MetadataScanner, ModulesContainer, NestFactory, Reflector } from '@nestjs/core'
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify'
import type { FastifyInstance } from 'fastify'
import healthz, { type CheckOptions, type HealthzLogger, type HealthzOptions, type ShutdownOptions } from 'fastify-healthz'

type Module = Parameters<typeof NestFactory.create>[0]
type Options = Omit<HealthzOptions, 'shutdown'> & { shutdown?: ShutdownOptions }

const CHECK = Symbol('healthz')

/** Makes a method of a provider a check. The options are those of a check, such as `{ failureThreshold: 3 }`. */
export const HealthCheck = (probe: string, name: string, options?: CheckOptions) => SetMetadata(CHECK, { ...options, probe, name })

/** `NestFactory.create` for Fastify, with the plugin. `options` are those of fastify-healthz. */
export async function createApp (module: Module, { shutdown, ...options }: Options = {}, nest?: NestApplicationOptions) {
  const adapter = new FastifyAdapter()
  const fastify = adapter.getInstance<FastifyInstance>()
  let close: (signal?: string) => Promise<void> = async () => {}
  // The first hook of the probes, which responds: hooks and middleware that Nest and others add later don't run for them.
  fastify.addHook('onRegister', scope => {
    scope.addHook('onRequest', (request, reply, done) => {
      const { config, handler } = request.routeOptions
      if (!('healthz' in config)) return done()
      Promise.resolve(handler.call(scope, request, reply)).catch(error => reply.send(error))
    })
  })
  await fastify.register(healthz, {
    logger: nestLogger(),
    ...options,
    // After the drain. Nest destroys providers before it closes the server.
    shutdown: { close: signal => close(signal), ...shutdown }
  })
  const app = await NestFactory.create<NestFastifyApplication>(module, adapter, nest)
  close = app.close.bind(app)
  // Nest's listener would destroy providers before the drain. Not an assignment: the proxy around the app ignores those.
  Object.defineProperty(app, 'enableShutdownHooks', { value: () => app, configurable: true })
  for (const wrapper of new DiscoveryService(app.get(ModulesContainer)).getProviders()) {
    const { instance } = wrapper
    if (wrapper.isAlias || !instance) continue
    for (const method of new MetadataScanner().getAllMethodNames(Object.getPrototypeOf(instance))) {
      const decorated = new Reflector().get<CheckOptions & { probe: string, name: string } | undefined>(CHECK, instance[method])
      if (decorated === undefined) continue
      const { probe, name, ...check } = decorated
      if (!wrapper.isDependencyTreeStatic() || wrapper.isTransient) throw new Error(`${wrapper.name} has checks and must be a singleton`)
      fastify.healthz.add(probe, name, { ...check, check: context => instance[method](context) })
    }
  }
  return app
}

/** Nest's loggers take text. Pass a pino logger as the option `logger` instead to get the fields. */
function nestLogger (): HealthzLogger {
  const logger = new Logger('Healthz')
  const text = ({ err }: { err?: unknown }, message: string) => err === undefined ? message : `${message}\n${inspect(err)}`
  const line = (level: 'fatal' | 'error' | 'warn' | 'log' | 'debug') => (fields: object, message: string) => logger[level](text(fields, message))
  return { fatal: line('fatal'), error: line('error'), warn: line('warn'), info: line('log'), debug: line('debug') }
}
