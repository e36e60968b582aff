import type { FastifyInstance, RegisterOptions } from 'fastify'
import type { Check } from '../types/check.js'
import type { HealthzOptions } from '../types/options.js'
import type { CheckSettings } from './check-options.js'
import { CheckRunner } from './check.js'
import { Context } from './context.js'
import { Decorator } from './decorator.js'
import { Details } from './details.js'
import { healthzError } from './errors.js'
import { Events } from './events.js'
import { Lifecycle } from './lifecycle.js'
import { HealthzLog } from './log.js'
import { readOptions } from './options.js'
import { Probe } from './probe.js'
import { Registry } from './registry.js'
import { routes } from './routes.js'
import { loadCheck } from './specifier.js'
import { systemTime } from './time.js'

/** Options → registry → routes → lifecycle → decorator. */
export async function plugin (fastify: FastifyInstance, options: HealthzOptions): Promise<void> {
  if (fastify.hasDecorator('healthz')) throw healthzError('HEALTHZ_ERR_ALREADY_REGISTERED')
  const settings = readOptions(options)
  const { prefix, noLog, timeout, details, importer, routeOptions } = settings
  const time = systemTime
  const log = new HealthzLog(fastify.log)
  const events = new Events(fastify, log, time)
  const lifecycle = new Lifecycle(time, (from, to, lastedMs) => events.stateChanged(from, to, lastedMs))
  const probes = settings.probes.map(({ name, path }) => new Probe(name, path, lifecycle, events, time))
  const registry = new Registry(probes, settings.off)

  const build = (probe: Probe, { check, name, ...plan }: CheckSettings<Check>) => new CheckRunner(
    { ...plan, probe: probe.name, name },
    run => check.call(fastify, new Context(fastify, probe.name, name, run)),
    events,
    time
  )
  // Decorated before anything is waited for, so that a second registration finds it.
  fastify.decorate('healthz', new Decorator(registry, lifecycle, events, timeout, build))

  // Fastify gives up a plugin after `pluginTimeout`, with an error that doesn't say why; we say it before.
  const loadTimeout = Math.ceil(fastify.initialConfig.pluginTimeout! * 0.9)
  const load = async (settings: CheckSettings): Promise<CheckSettings<Check>> => {
    const { check, option } = settings
    return { ...settings, check: typeof check === 'string' ? await loadCheck(check, option, importer, loadTimeout) : check }
  }
  await Promise.all(settings.probes.map(async ({ name, checks }) => {
    const probe = registry.get(name)
    for (const loaded of await Promise.all(checks.map(load))) registry.add(probe, build(probe, loaded))
  }))

  const { logLevel, logSerializers } = options as RegisterOptions
  fastify.register(routes, {
    probes,
    root: prefix,
    noLog,
    details: new Details(details, timeout, time, log),
    routeOptions,
    // Fastify takes these two for every plugin, but hands them on only to one with a scope of its own.
    ...(logLevel !== undefined && { logLevel }),
    ...(logSerializers !== undefined && { logSerializers })
  })

  fastify.addHook('onReady', async () => {
    lifecycle.to('serving')
    registry.start()
  })
  fastify.addHook('preClose', async () => { lifecycle.to('draining') })
  fastify.addHook('onClose', async () => {
    registry.stop()
    lifecycle.to('closed')
  })
}
