import type { FastifyInstance, RegisterOptions } from 'fastify'
import type { Check } from '../types/check.js'
import type { HealthzOptions } from '../types/options.js'
import type { CheckSettings } from './check-options.js'
import { CheckRunner } from './check.js'
import { Connections } from './connections.js'
import { Context } from './context.js'
import { Decorator } from './decorator.js'
import { Details } from './details.js'
import { healthzError } from './errors.js'
import { Events } from './events.js'
import { Lifecycle } from './lifecycle.js'
import { Listener } from './listener.js'
import { HealthzLog } from './log.js'
import { readOptions, type Settings } from './options.js'
import { Probe } from './probe.js'
import { Registry } from './registry.js'
import { routes } from './routes.js'
import { closeOnSignal, sharedSignals } from './shutdown.js'
import { loadCheck } from './specifier.js'
import { systemTime } from './time.js'

/** Options → registry → routes → lifecycle → decorator. */
export async function plugin (fastify: FastifyInstance, options: HealthzOptions): Promise<void> {
  if (fastify.hasDecorator('healthz')) throw healthzError('HEALTHZ_ERR_ALREADY_REGISTERED')
  const settings = readOptions(options)
  const { prefix, noLog, timeout, routeOptions, listen, shutdown } = settings
  const time = systemTime
  const log = new HealthzLog(fastify.log)
  const events = new Events(fastify, log, time)
  const connections = Connections.of(fastify)
  const lifecycle = new Lifecycle(time, {
    stateChanged: (from, to, lastedMs) => events.stateChanged(from, to, lastedMs),
    drainBegan (delay, signal) {
      log.drainBegan(delay, signal)
      connections.endAfterAnswer()
    },
    drainEnded (lastedMs) {
      log.drainEnded(lastedMs)
      connections.endSessions()
    }
  })
  const probes = settings.probes.map(({ name, path }) => new Probe(name, path, lifecycle, events, time))
  const registry = new Registry(probes, settings.off)
  const build = (probe: Probe, { check, name, timeout, critical, maxAge, interval }: CheckSettings<Check>) => new CheckRunner(
    // Every property by its name, so that all plans are of one shape: spread, one among 1,000 costs nearly three times.
    { probe: probe.name, name, timeout, critical, maxAge, interval },
    run => Reflect.apply(check, fastify, [new Context(fastify, probe.name, name, timeout, run)]),
    events,
    time
  )
  let listener: Listener | undefined
  // Before anything is waited for, so that a second registration finds it.
  fastify.decorate('healthz', new Decorator(registry, lifecycle, events, timeout, build, () => listener?.address ?? null))

  fastify.addHook('onReady', async () => {
    registry.start()
    if (listen === undefined) lifecycle.serve()
    for (const signal of sharedSignals(shutdown?.signals ?? [])) log.signalShared(signal)
  })
  // On a port of their own probes are asked while no traffic can come yet.
  fastify.addHook('onListen', async () => { if (listen !== undefined) lifecycle.serve() })
  let leave: (() => void) | undefined
  fastify.addHook('preClose', async () => {
    lifecycle.close()
    registry.stop()
    connections.endAll()
    // Called when every `onClose` hook has run, those after ours included.
    fastify.close(() => {
      listener?.close()
      leave?.()
    })
  })
  fastify.addHook('onClose', async () => {
    connections.forget()
    lifecycle.closed()
  })

  if (shutdown !== undefined) leave = closeOnSignal({ ...shutdown, app: fastify, lifecycle, log })

  const served = { probes, root: prefix, noLog, details: new Details(settings.details, timeout, time, log), routeOptions }
  try {
    if (listen !== undefined) listener = await Listener.open(fastify, listen, served, log)
    await loadChecks(fastify, settings, (name, check) => {
      const probe = registry.get(name)
      registry.add(probe, build(probe, check))
    })
  } catch (error) {
    listener?.close()
    leave?.()
    throw error
  }

  if (listen === undefined || listen.alongside) {
    const { logLevel, logSerializers } = options as RegisterOptions
    fastify.register(routes, {
      ...served,
      // Fastify takes these two for every plugin, but hands them on only to one with a scope of its own.
      ...(logLevel !== undefined && { logLevel }),
      ...(logSerializers !== undefined && { logSerializers })
    })
  }
}

async function loadChecks (
  fastify: FastifyInstance, { probes, importer }: Settings, add: (probe: string, check: CheckSettings<Check>) => void
): Promise<void> {
  // Fastify gives up a plugin after `pluginTimeout`, with an error that doesn't say why; we say it before.
  const timeout = Math.ceil(fastify.initialConfig.pluginTimeout! * 0.9)
  await Promise.all(probes.map(async ({ name, checks }) => {
    const loaded = await Promise.all(checks.map(async settings => {
      const { check, option } = settings
      return { ...settings, check: typeof check === 'string' ? await loadCheck(check, option, importer, timeout) : check }
    }))
    for (const check of loaded) add(name, check)
  }))
}
