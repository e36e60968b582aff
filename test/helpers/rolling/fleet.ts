import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import type { HealthzOptions } from '../../../types/options.js'
import { Kubelet, probe, type ProbeSpec } from '../kubelet.js'
import type { LogLine } from '../log.js'
import { spawnNode, TYPESCRIPT } from '../service.js'
import type { Balancer, Endpoint } from './balancer.js'

export interface ServiceSettings {
  readonly shutdown?: HealthzOptions['shutdown']
  /** On SIGTERM it fails `ready`, waits for this many ms and closes, without the plugin. */
  readonly drainByHand?: number
  /** Whether the probes have a separate port. */
  readonly ownPort?: boolean
  readonly keepAliveTimeout?: number
  readonly return503OnClosing?: boolean
  /** The program to run. Default: `service.ts`. */
  readonly program?: string
  /** Makes `nest.ts` use @nestjs/terminus, with this `gracefulShutdownTimeoutMs`. */
  readonly terminus?: number
}

interface LiveProbe {
  readonly passed: boolean
  readonly output: string
  readonly endedAt: number
}

/** A process, and the observations of it. Times are from `Date.now()`. */
export class Service implements Endpoint {
  readonly log: LogLine[] = []
  readonly pid: number
  readonly exited: Promise<unknown>
  onDrainEnded = () => {}
  port = 0
  probePort = 0
  stderr = ''
  signalledAt = NaN
  drainBeganAt = NaN
  drainEndedAt = NaN
  exitedAt = NaN
  /** Open connections at the end of the drain. */
  openAtDrainEnd = 0
  /** Results of `live`: from the kubelet until the signal, and from `#watchLive()` during the drain. */
  readonly live: LiveProbe[] = []
  /** The number of `ready` probes that passed although they started after the drain had started. */
  readyWhileDraining = 0
  /** The number of `ready` probes that passed although they started after the signal. */
  readyAfterSignal = 0
  readyFailedAt = NaN
  readonly #child: ChildProcess
  readonly #waiting = new Set<() => void>()

  constructor (settings: ServiceSettings) {
    this.#child = spawnNode([...TYPESCRIPT, join(__dirname, settings.program ?? 'service.ts'), JSON.stringify(settings)])
    this.pid = this.#child.pid!
    this.#child.stderr!.setEncoding('utf8').on('data', chunk => { this.stderr += chunk })
    createInterface(this.#child.stdout!).on('line', line => this.#read(JSON.parse(line)))
    this.exited = once(this.#child, 'close').then(() => {
      this.exitedAt = Date.now()
      this.#look()
    })
  }

  /** The relevant failures of `live`. After the drain the app closes, and its port refuses all requests. */
  get liveFailed (): LiveProbe[] {
    return this.live.filter(({ passed, endedAt }) => !passed && !(endedAt >= this.drainEndedAt))
  }

  get exitCode (): number | string | null { return this.#child.exitCode ?? this.#child.signalCode }

  signal (): void {
    this.signalledAt = Date.now()
    this.#child.kill('SIGTERM')
  }

  /** Cleans up after a failed test. */
  async kill (): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.exited
  }

  /** Resolves when it has logged that it listens. */
  async listening (): Promise<void> {
    while (this.port === 0 && Number.isNaN(this.exitedAt)) await new Promise<void>(resolve => this.#waiting.add(resolve))
    if (this.port === 0) throw new Error(`a service ended with ${this.exitCode}: ${this.stderr}`)
  }

  #look (): void {
    for (const again of this.#waiting) again()
    this.#waiting.clear()
  }

  #read (line: LogLine): void {
    this.log.push(line)
    const port = () => Number(new URL(line.msg.split(' at ')[1]!).port)
    if (line.msg.startsWith('Probes listening')) this.probePort = port()
    if (line.msg.startsWith('Server listening')) {
      this.port = port()
      this.probePort ||= this.port
    }
    if (line.msg.startsWith('SIGTERM: draining')) this.drainBeganAt = line.time
    if (line.msg.startsWith('drained ')) {
      this.drainEndedAt = line.time
      this.onDrainEnded()
    }
    this.#look()
  }
}

export interface FleetSettings {
  readonly service: ServiceSettings
  readonly balancer: Balancer
  /** Divides the seconds of the kubelet. */
  readonly scale: number
  /** How long a change of readiness takes to reach the balancer, in ms. */
  readonly newsMs: number
}

/** Processes behind a load balancer, which gets their readiness from a kubelet with a delay. */
export class Fleet {
  /** All services, including exited ones. */
  readonly services: Service[] = []
  readonly #settings: FleetSettings
  readonly #kubelets = new Map<Service, Kubelet>()
  readonly #ending = new Set<Promise<unknown>>()

  constructor (settings: FleetSettings) { this.#settings = settings }

  byPid (pid: number): Service | undefined { return this.services.find(service => service.pid === pid) }

  /** Resolves when the balancer forwards connections to it. */
  async start (settings: ServiceSettings = {}): Promise<Service> {
    const { service: base, balancer, scale, newsMs } = this.#settings
    const service = new Service({ ...base, ...settings })
    this.services.push(service)
    service.onDrainEnded = () => { service.openAtDrainEnd = balancer.open(service.pid) }
    await service.listening()
    const spec = (name: string): ProbeSpec => ({
      httpGet: { port: service.probePort, path: `/healthz/${name}` },
      periodSeconds: 1,
      // The scale applies to timeouts as well, which would be too short on a busy machine.
      timeoutSeconds: 5 * scale,
      failureThreshold: name === 'ready' ? 1 : 3
    })
    const kubelet = new Kubelet({ probes: { startup: spec('startup'), liveness: spec('live'), readiness: spec('ready') }, scale })
    kubelet.on('probe', ({ probe, result, output, at }) => {
      if (Number.isFinite(service.exitedAt)) return
      if (probe === 'liveness') service.live.push({ passed: result === 'success', output, endedAt: Date.now() })
      if (probe !== 'readiness') return
      const beganAt = at + performance.timeOrigin
      if (result === 'success') {
        if (beganAt > service.signalledAt) service.readyAfterSignal++
        // The log has a resolution of 1 ms.
        if (beganAt > service.drainBeganAt + 1) service.readyWhileDraining++
      } else if (Number.isNaN(service.readyFailedAt)) {
        service.readyFailedAt = Date.now()
      }
    })
    kubelet.on('unready', () => { setTimeout(() => balancer.remove(service), newsMs) })
    const ready = new Promise<void>(resolve => {
      kubelet.on('ready', () => setTimeout(() => {
        balancer.add(service)
        resolve()
      }, newsMs))
    })
    this.#kubelets.set(service, kubelet)
    kubelet.start()
    this.#ending.add(service.exited.then(() => kubelet.stop()))
    await ready
    return service
  }

  /** Deletes the pod. Resolves when its process has exited. */
  async end (service: Service): Promise<void> {
    this.#kubelets.get(service)!.delete()
    service.signal()
    await Promise.all([service.exited, this.#watchLive(service)])
  }

  /** Kills all services. */
  async stop (): Promise<void> {
    await Promise.all(this.services.map(service => service.kill()))
    await Promise.all(this.#ending)
  }

  /** Probes `live` after the deletion. The kubelet doesn't, but a load balancer or monitoring may. */
  async #watchLive (service: Service): Promise<void> {
    const periodMs = 1000 / this.#settings.scale
    while (Number.isNaN(service.exitedAt)) {
      const { result, output } = await probe({ port: service.probePort, path: '/healthz/live', timeoutSeconds: 5 })
      if (Number.isFinite(service.exitedAt)) return
      service.live.push({ passed: result === 'success', output, endedAt: Date.now() })
      await sleep(periodMs)
    }
  }
}
