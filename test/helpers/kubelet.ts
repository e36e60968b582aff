/**
 * The kubelet's probes of one container: periods, thresholds, and which probe runs when, as in pkg/kubelet/prober of
 * github.com/kubernetes/kubernetes. Simplified: only a complete response with status 200 passes.
 */
import { EventEmitter } from 'node:events'
import { request } from 'node:http'
import { text } from 'node:stream/consumers'

export type ProbeName = 'startup' | 'liveness' | 'readiness'

/** `httpGet` of a probe, as in the manifest. The pod's IP is 127.0.0.1, and named ports aren't supported. */
export interface HttpGet {
  readonly port: number
  readonly path: string
}

/** A probe of a container, as in the manifest, with the same defaults. */
export interface ProbeSpec {
  readonly httpGet: HttpGet
  readonly periodSeconds?: number
  readonly timeoutSeconds?: number
  readonly failureThreshold?: number
  readonly successThreshold?: number
}

export interface ProbeResult {
  readonly result: 'success' | 'failure'
  readonly status?: number
  readonly body?: string
  /** As in the pod's event. */
  readonly output: string
}

export interface HistoryEntry extends ProbeResult {
  readonly probe: ProbeName
  /** When the probe started, by `performance.now()`. */
  readonly at: number
}

export interface KubeletOptions {
  readonly probes: { readonly [name in ProbeName]: ProbeSpec } | { readonly [name in 'liveness' | 'readiness']: ProbeSpec }
  /** Divides the seconds in `probes`: with 10 a second is 100 ms. */
  readonly scale?: number
}

export interface KubeletEvents {
  probe: [entry: HistoryEntry]
  ready: []
  unready: []
}

/** Sends one request on its own connection. */
export function probe ({ port, path, timeoutSeconds }: HttpGet & { readonly timeoutSeconds: number }): Promise<ProbeResult> {
  const signal = AbortSignal.timeout(Math.ceil(timeoutSeconds * 1000))
  return new Promise<ProbeResult>((resolve, reject) => {
    const headers = { 'User-Agent': 'kube-probe/1.31', Accept: '*/*', Connection: 'close' }
    request({ host: '127.0.0.1', port, path, headers, agent: false, signal }, async response => {
      try {
        const status = response.statusCode!
        const body = await text(response)
        signal.throwIfAborted()
        resolve(status === 200
          ? { result: 'success', status, body, output: body }
          : { result: 'failure', status, body, output: `HTTP probe failed with statuscode: ${status}` })
      } catch (error) {
        reject(error)
      }
    }).on('error', reject).end()
  }).catch(error => ({ result: 'failure', output: `Get "http://127.0.0.1:${port}${path}": ${error.message}` }))
}

/** Doesn't kill the container. The test that runs it reads `killed`, and calls `stop()` when the container has exited. */
export class Kubelet extends EventEmitter<KubeletEvents> {
  ready = false
  /** The first probe that would have had the container killed. */
  killed: 'startup' | 'liveness' | undefined
  readonly history: HistoryEntry[] = []

  readonly #options: KubeletOptions
  readonly #specs: Map<ProbeName, ProbeSpec>
  readonly #timers = new Map<ProbeName, NodeJS.Timeout>()
  readonly #running = new Set<ProbeName>()
  readonly #rows = new Map<ProbeName, { result: ProbeResult['result'], length: number }>()
  #started = false
  #stopped = false

  constructor (options: KubeletOptions) {
    super()
    this.#options = options
    this.#specs = new Map(Object.entries(options.probes) as Array<[ProbeName, ProbeSpec]>)
  }

  /** The container has started. */
  start (): void {
    this.#started = !this.#specs.has('startup')
    for (const name of this.#specs.keys()) this.#tick(name)
  }

  /** The pod is deleted: liveness and startup stop, readiness goes on until the container has exited. */
  delete (): void {
    this.#end('liveness')
    this.#end('startup')
  }

  /** The container has exited. */
  stop (): void {
    this.#stopped = true
    for (const name of this.#specs.keys()) this.#end(name)
    this.#setReady(false)
  }

  #end (name: ProbeName): void {
    this.#specs.delete(name)
    clearTimeout(this.#timers.get(name))
  }

  /** Probes now and every period. Until the container has started only startup runs, and after that only the others. */
  #tick (name: ProbeName): void {
    const spec = this.#specs.get(name)!
    clearTimeout(this.#timers.get(name))
    this.#timers.set(name, setTimeout(() => this.#tick(name), (spec.periodSeconds ?? 10) * 1000 / (this.#options.scale ?? 1)))
    // Probes of one kind never overlap.
    if (this.#started !== (name === 'startup') && !this.#running.has(name)) this.#probe(name, spec)
  }

  async #probe (name: ProbeName, { httpGet, timeoutSeconds = 1, ...thresholds }: ProbeSpec): Promise<void> {
    const at = performance.now()
    const { scale = 1 } = this.#options
    this.#running.add(name)
    const outcome = await probe({ ...httpGet, timeoutSeconds: timeoutSeconds / scale })
    this.#running.delete(name)
    if (this.#stopped) return
    const entry = { probe: name, at, ...outcome }
    this.history.push(entry)
    this.emit('probe', entry)
    const { result } = outcome
    const row = this.#rows.get(name)
    const length = row?.result === result ? row.length + 1 : 1
    this.#rows.set(name, { result, length })
    const { successThreshold = 1, failureThreshold = 3 } = thresholds
    // A deleted pod isn't killed again, and doesn't start.
    if (this.#specs.has(name) && length >= (result === 'success' ? successThreshold : failureThreshold)) this.#settle(name, result)
  }

  #settle (name: ProbeName, result: ProbeResult['result']): void {
    if (name === 'readiness') return this.#setReady(result === 'success')
    if (result === 'failure') {
      this.killed ??= name
    } else if (name === 'startup') {
      this.#started = true
      this.#tick('readiness')
    }
  }

  #setReady (ready: boolean): void {
    if (this.ready === ready) return
    this.ready = ready
    this.emit(ready ? 'ready' : 'unready')
  }
}
