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
  /** It fails `ready`, waits so many ms and closes by itself, without the plugin's help. */
  readonly drainByHand?: number
  /** Whether the probes have a port of their own. */
  readonly ownPort?: boolean
  readonly keepAliveTimeout?: number
  readonly return503OnClosing?: boolean
  /** The program, instead of `service.ts`. */
  readonly program?: string
  /** The app of `nest.ts` has @nestjs/terminus, with so many ms as `gracefulShutdownTimeoutMs`. */
  readonly terminus?: number
}

interface LiveProbe {
  readonly passed: boolean
  readonly output: string
  readonly endedAt: number
}

/** A process, and what was seen of it. Times are `Date.now()`. */
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
  /** Connections that it still had when the drain ended. */
  openAtDrainEnd = 0
  /** Probes of `live`: those of the kubelet, which end with the signal, and ours, which go on while it drains. */
  readonly live: LiveProbe[] = []
  /** Probes of `ready` that passed though they began after the drain had. */
  readyWhileDraining = 0
  /** Probes of `ready` that passed though they began after the signal was sent. */
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

  /** Those of `live` that count: once the drain has ended the app closes, and its own port refuses all requests. */
  get liveFailed (): LiveProbe[] {
    return this.live.filter(({ passed, endedAt }) => !passed && !(endedAt >= this.drainEndedAt))
  }

  get exitCode (): number | string | null { return this.#child.exitCode ?? this.#child.signalCode }

  signal (): void {
    this.signalledAt = Date.now()
    this.#child.kill('SIGTERM')
  }

  /** For what a test that failed leaves behind. */
  async kill (): Promise<void> {
    this.#child.kill('SIGKILL')
    await this.exited
  }

  /** Resolves when it logged that it listens. */
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
  /** By what to divide the seconds of the kubelet. */
  readonly scale: number
  /** How long a change of readiness takes to reach the balancer, in ms. */
  readonly newsMs: number
}

/** Processes behind a balancer, which learns of their readiness from a kubelet, and late. */
export class Fleet {
  /** All there ever were. */
  readonly services: Service[] = []
  readonly #settings: FleetSettings
  readonly #kubelets = new Map<Service, Kubelet>()
  readonly #ending = new Set<Promise<unknown>>()

  constructor (settings: FleetSettings) { this.#settings = settings }

  byPid (pid: number): Service | undefined { return this.services.find(service => service.pid === pid) }

  /** Resolves when the balancer knows it. */
  async start (settings: ServiceSettings = {}): Promise<Service> {
    const { service: base, balancer, scale, newsMs } = this.#settings
    const service = new Service({ ...base, ...settings })
    this.services.push(service)
    service.onDrainEnded = () => { service.openAtDrainEnd = balancer.open(service.pid) }
    await service.listening()
    const spec = (name: string): ProbeSpec => ({
      httpGet: { port: service.probePort, path: `/healthz/${name}` },
      periodSeconds: 1,
      // Timeouts shrink as well, and a machine with much to do is slow.
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
        // The log has whole milliseconds.
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

  /** Deletes the pod, and resolves when its process has ended. */
  async end (service: Service): Promise<void> {
    this.#kubelets.get(service)!.delete()
    service.signal()
    await Promise.all([service.exited, this.#watchLive(service)])
  }

  /** Ends all that run still, without looking. */
  async stop (): Promise<void> {
    await Promise.all(this.services.map(service => service.kill()))
    await Promise.all(this.#ending)
  }

  /** The kubelet asks no more; a balancer or an alert may. */
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
