import type { IncomingMessage } from 'node:http'
import type { FastifyInstance, RegisterOptions } from 'fastify'
import type { Check } from '../types/check.js'
import type { HealthzOptions } from '../types/options.js'
import type { CheckPlan } from './engine/transitions.js'
import { CheckRunner } from './engine/check.js'
import { Connections } from './shutdown/connections.js'
import { Context } from './check-context.js'
import { HealthzApi, type HealthzParts } from './api.js'
import { Aborts } from './http/aborts.js'
import { VerboseAccess } from './http/verbose.js'
import { healthzError } from './errors.js'
import { Events } from './telemetry/events.js'
import { Holds } from './engine/holds.js'
import { Lifecycle } from './engine/lifecycle.js'
import type { Bind, ProbeServer } from './http/probe-server.js'
import { HealthzLog } from './telemetry/log.js'
import { readOptions, type Settings } from './options/plugin-options.js'
import { policyOf } from './options/probe-policies.js'
import { Probe } from './engine/probe.js'
import { addProbes } from './telemetry/probe-requests.js'
import { Registry } from './engine/registry.js'
import type { Run } from './engine/run.js'
import { PAGE_HOST } from './page-host.js'
import { RUN_WRAPPER } from './telemetry/run-wrapper.js'
import { isProbePath, routes } from './http/routes.js'
import { systemTime } from './clock.js'
import { openWatchdog } from './watchdog/open.js'

// Loaded only where an option needs them, which makes loading the plugin an eighth faster.
const loadProbeServer = () => require('./http/probe-server.js') as typeof import('./http/probe-server.js')
const loadSignals = () => require('./shutdown/signals.js') as typeof import('./shutdown/signals.js')
const loadSpecifiers = () => require('./options/load-check.js') as typeof import('./options/load-check.js')

/** Wires one registration: options → engine → API → hooks → separate server → checks → routes. */
export async function plugin (fastify: FastifyInstance, options: HealthzOptions): Promise<void> {
  if (fastify.hasDecorator('healthz')) throw healthzError('HEALTHZ_ERR_ALREADY_REGISTERED', 'fastify-healthz')
  const settings = readOptions(options, fastify)
  const { prefix, noLog, timeout, routeOptions, listen, shutdown, drainDelay } = settings
  /** Whether the probes are on the app's port. */
  const onApp = listen === undefined || listen.alongside
  const time = systemTime
  const logger = settings.logger ?? fastify.log
  const log = new HealthzLog(logger, settings.logger !== undefined)
  const events = new Events(fastify, log, time)
  const connections = Connections.of(fastify)
  let probeServer: ProbeServer | undefined
  const holds = new Holds(time, settings.closeTimeout, log)
  const { restarted = false } = fastify as { restarted?: boolean }
  const lifecycle = new Lifecycle(time, {
    stateChanged (from, to, lastedMs) {
      probeServer?.started()
      events.stateChanged(from, to, lastedMs)
    },
    served: bootMs => log.served(bootMs),
    drainBegan (delay, signal) {
      log.drainBegan(delay, signal)
      connections.endAfterAnswer()
    },
    drainEnded (lastedMs) {
      events.drainEnded({ lastedMs, newConnections: connections.arrived })
      connections.endSessions()
    }
  }, holds, restarted ? time.now() : 0)
  const probes = settings.probes.map(({ name, path }) => new Probe(name, path, policyOf(name), lifecycle, events, time))
  const registry = new Registry(probes, settings.off)
  const createRunner = (plan: CheckPlan, check: Check) => {
    const call = (run: Run) => Reflect.apply(check, fastify, [new Context(fastify, plan, run)])
    return new CheckRunner(plan, run => {
      const wrapper = api[RUN_WRAPPER]
      if (wrapper === undefined) return call(run)
      return wrapper(() => call(run), plan.probe, plan.name, () => run.promise.then(result => events.reportOf(plan, result)))
    }, events, time)
  }
  const parts: HealthzParts = { registry, lifecycle, holds, events, timeout, drainDelay, createRunner }
  const api = new HealthzApi(parts)
  // Before anything is awaited, so that a second registration finds it.
  fastify.decorate('healthz', api)

  let leave: (() => void) | undefined
  const removeProbes = addProbes(({ url, socket }) => {
    if (probeServer !== undefined && socket.localPort === probeServer.address.port) return isProbePath(served, url!)
    return onApp && isProbePath(served, url!, fastify.prefix)
  })
  let closing = false
  const begin = () => {
    lifecycle.close()
    registry.stop()
    connections.endAll()
  }
  const end = () => {
    probeServer?.close()
    leave?.()
    removeProbes()
  }

  fastify.addHook('onReady', async () => {
    registry.start()
    const serves = listen === undefined || listen.serving === 'onReady'
    if (serves) lifecycle.serve()
    probeServer?.ready()
    if (serves) probeServer?.take()
    if (shutdown !== undefined) loadSignals().warnOfSignals(shutdown.signals, log)
    // `onClose` hooks run in reverse order. One that is added here runs first, before Fastify's own, which runs the
    // `preClose` hooks and closes the server. A callback passed to `close` is called after all of them. Passed any later,
    // it would make avvio forget the error of a `preClose` hook.
    fastify.addHook('onClose', async () => {
      closing = true
      begin()
      fastify.close(end)
      await holds.released()
    })
  })
  // The separate port responds to probes before the app can receive requests.
  fastify.addHook('onListen', async () => {
    connections.listening()
    if (listen !== undefined) lifecycle.serve()
    probeServer?.take()
  })
  fastify.addHook('onClose', async () => {
    // The app was never ready.
    if (!closing) {
      begin()
      await holds.released()
      end()
    }
    connections.forget()
    lifecycle.closed()
  })

  if (shutdown !== undefined) leave = loadSignals().closeOnSignal(fastify, shutdown, { lifecycle, holds, logger, log })

  const served = {
    probes,
    root: prefix,
    noLog,
    verbose: new VerboseAccess(settings.details, timeout, time, log, lifecycle, holds),
    aborts: new Aborts(lifecycle, events, time),
    probed: (request: IncomingMessage) => connections.probed(request),
    routeOptions
  }
  api[PAGE_HOST] = {
    authorize: request => served.verbose.isAuthorized(request),
    probed: served.probed,
    onApp,
    serve: async (paths, routes) => probeServer?.add(paths, routes)
  }
  try {
    if (listen !== undefined) {
      const { port, host, thread } = listen
      const alive = probes.filter(({ survivesBlocks }) => survivesBlocks).map(({ path }) => path)
      const bind: Bind = async (server, observer) => {
        return thread && openWatchdog(server, { port, host, timeout, alive, ...thread }, observer)
      }
      probeServer = parts.probeServer = await loadProbeServer().ProbeServer.open(fastify, listen, served, log, events, bind)
    }
    await loadChecks(fastify, settings, (plan, check) => registry.get(plan.probe).add(createRunner(plan, check)))
  } catch (error) {
    end()
    throw error
  }

  if (onApp) {
    const { logLevel, logSerializers } = options as RegisterOptions
    fastify.register(routes, {
      ...served,
      // Fastify accepts these two for every plugin, but applies them only to one with its own scope.
      ...(logLevel !== undefined && { logLevel }),
      ...(logSerializers !== undefined && { logSerializers })
    })
  }
}

async function loadChecks (
  fastify: FastifyInstance, { probes, importer }: Settings, add: (plan: CheckPlan, check: Check) => void
): Promise<void> {
  // After `pluginTimeout` Fastify fails a plugin without naming the cause. This timeout is shorter, and its error does.
  const timeout = Math.ceil(fastify.initialConfig.pluginTimeout! * 0.9)
  await Promise.all(probes.map(async ({ checks }) => {
    const loaded = await Promise.all(checks.map(({ check, option }) => {
      return typeof check === 'string' ? loadSpecifiers().loadCheck(check, option, importer, timeout) : check
    }))
    checks.forEach((plan, i) => add(plan, loaded[i]!))
  }))
}
