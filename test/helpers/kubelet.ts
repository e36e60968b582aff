/**
 * A prober that behaves like the kubelet of Kubernetes 1.31, written from its sources. Where a comment names a file, it is
 * one of github.com/kubernetes/kubernetes, or of Go's `net/http` for what the kubelet leaves to that.
 */
import { EventEmitter, once } from 'node:events'
import { request as requestHttp, type IncomingMessage } from 'node:http'
import { connect as connectHttp2, type IncomingHttpHeaders } from 'node:http2'
import { connect as connectTcp, isIP } from 'node:net'
import { addAbortSignal, type Duplex, type Readable } from 'node:stream'
import { connect as connectTls, type TLSSocket } from 'node:tls'
import { systemTime, type Time } from '../../lib/time.js'

/** `httpGet` of a probe, as in the YAML. The pod's IP is `127.0.0.1`; a port has no name here. */
export interface HttpGet {
  readonly host?: string
  readonly port: number
  readonly path?: string
  readonly scheme?: string
  readonly httpHeaders?: ReadonlyArray<{ readonly name: string, readonly value: string }>
}

export interface ProbeTarget extends HttpGet {
  readonly timeoutSeconds?: number
}

export interface ProbeResult {
  /** `warning` counts as a success. `unknown` is what the kubelet calls an error: it counts as nothing at all. */
  readonly result: 'success' | 'warning' | 'failure' | 'unknown'
  /** Of the last answer whose headers came. */
  readonly status?: number
  /** What was read of it. */
  readonly body?: string
  /** What the pod's event would say. */
  readonly output: string
  /** Of all attempts together. */
  readonly durationMs: number
}

export interface ProbeOptions {
  /** Whose timers the timeout runs on. */
  readonly time?: Time
  /** Gives the probe up. */
  readonly signal?: AbortSignal
}

// pkg/kubelet/prober/prober.go: maxProbeRetries, which counts the first attempt too.
const MAX_ATTEMPTS = 3
// pkg/probe/http/http.go: maxRespBodyLength.
const MAX_BODY = 10 * 1024
// pkg/probe/http/http.go, RedirectChecker: the requests before the one at hand, the first included. So nine redirects
// are followed, and the tenth fails.
const MAX_REQUESTS = 10
// net/http, client.go, redirectBehavior. Any other 3xx is an answer like another.
const FOLLOWED = new Set([301, 302, 303, 307, 308])
// net/http, client.go: what is read of an answer that redirects before its connection is closed.
const MAX_SLURP = 2 * 1024
// net/http, transport.go: the default of MaxResponseHeaderBytes.
const MAX_HEADERS = 10 * 1024 * 1024
// net/http, request.go: the first two have their own place, and the others are for Go alone to set.
const NOT_WRITTEN = new Set(['Host', 'User-Agent', 'Content-Length', 'Transfer-Encoding', 'Trailer'])
// x/net/http2: headers of a connection, which HTTP/2 doesn't have.
const NOT_IN_HTTP2 = new Set(['Connection', 'Proxy-Connection', 'Upgrade', 'Keep-Alive'])

/** One probe: up to three attempts, as an error is tried again (prober.go, runProbeWithRetries). */
export async function probe (target: ProbeTarget, { time = systemTime, signal }: ProbeOptions = {}): Promise<ProbeResult> {
  const begun = time.now()
  for (let attempts = 1; ; attempts++) {
    const outcome = await attempt(target, time, signal)
    if (outcome.result === 'unknown' && attempts < MAX_ATTEMPTS && signal?.aborted !== true) continue
    return { ...outcome, durationMs: time.now() - begun }
  }
}

/** One attempt, with a timeout of its own: pkg/probe/http/http.go, Probe and DoHTTPProbe. */
async function attempt (target: ProbeTarget, time: Time, given?: AbortSignal): Promise<Omit<ProbeResult, 'durationMs'>> {
  const deadline = new AbortController()
  const signal = given === undefined ? deadline.signal : AbortSignal.any([deadline.signal, given])
  const timer = time.start(() => deadline.abort(), (target.timeoutSeconds ?? 1) * 1000)
  const why = (error: any, during: string) =>
    deadline.signal.aborted ? `context deadline exceeded (Client.Timeout exceeded while ${during})` : error.message || error.code
  try {
    let answer: Answer
    try {
      answer = await follow(target, signal)
    } catch (error) {
      return { result: 'failure', output: `Get "${urlOf(target)}": ${why(error, 'awaiting headers')}` }
    }
    const { status } = answer
    let body: string
    try {
      // Read before the status is looked at.
      body = await read(answer, MAX_BODY)
    } catch (error) {
      return { result: 'unknown', status, output: why(error, 'reading body') }
    }
    // Below 200 there is none but 101, with which Node ends no request.
    if (status >= 400) return { result: 'failure', status, body, output: `HTTP probe failed with statuscode: ${status}` }
    if (status >= 300) return { result: 'warning', status, body, output: `Probe terminated redirects, Response body: ${body}` }
    return { result: 'success', status, body, output: body }
  } finally {
    time.cancel(timer)
  }
}

interface Answer {
  readonly status: number
  readonly headers: IncomingMessage['headers'] | IncomingHttpHeaders
  readonly body: Readable
  /** Whether a body that seems to have ended was cut off. */
  readonly cut: () => boolean
}

/** Sends the request, and others where the answers point to: RedirectChecker, and `do` in net/http's client.go. */
async function follow (target: ProbeTarget, signal: AbortSignal): Promise<Answer> {
  const headers = headersOf(target)
  let custom = headers.get('Host')?.[0] || undefined
  let url = new URL(urlOf(target))
  // Go leaves the port in, even if it is the scheme's own.
  let authority = custom ?? `${url.hostname}:${target.port}`
  const { hostname } = url
  for (let requests = 1; ; requests++) {
    const answer = await send(url, authority, headers, signal)
    const { location } = answer.headers
    if (!FOLLOWED.has(answer.status) || !location) return answer
    let next: URL
    try {
      if (!URL.canParse(location, url.href)) throw new Error(`failed to parse Location header "${location}"`)
      next = new URL(location, url)
      if (next.hostname !== hostname) return answer
      if (requests >= MAX_REQUESTS) throw new Error('stopped after 10 redirects')
      // As the body of unknown length may stall, this may take what is left of the time.
      if (Number(answer.headers['content-length'] ?? 0) <= MAX_SLURP) await read(answer, MAX_SLURP).catch(() => {})
    } catch (error) {
      answer.body.destroy()
      throw error
    }
    answer.body.destroy()
    // A Host of one's own goes along only as long as the redirects are relative.
    if (/^[a-z][a-z\d+.-]*:/i.test(location)) custom = undefined
    authority = custom ?? next.host
    if (!target.httpHeaders?.some(({ name }) => canonical(name) === 'Referer')) {
      headers.delete('Referer')
      if (url.protocol === 'http:' || next.protocol === 'https:') headers.set('Referer', [url.href])
    }
    url = next
  }
}

/** pkg/probe/http/request.go, formatURL: what a path says of scheme and host is overwritten. */
function urlOf ({ host = '127.0.0.1', port, path = '/', scheme = 'http' }: ProbeTarget): string {
  const origin = `${scheme.toLowerCase()}://${isIP(host) === 6 ? `[${host}]` : host}:${port}`
  const { pathname, search } = new URL(path, origin)
  return `${origin}${pathname}${search}`
}

/** pkg/probe/http/request.go, newProbeRequest. Neither an Accept-Encoding nor anything else is sent. */
function headersOf ({ httpHeaders = [] }: ProbeTarget): Map<string, string[]> {
  const headers = new Map<string, string[]>()
  for (const { name, value } of httpHeaders) headers.set(canonical(name), [...headers.get(canonical(name)) ?? [], value])
  if (!headers.has('User-Agent')) headers.set('User-Agent', ['kube-probe/1.31'])
  if (!headers.has('Accept')) headers.set('Accept', ['*/*'])
  else if (headers.get('Accept')![0] === '') headers.delete('Accept')
  return headers
}

/** net/textproto, CanonicalMIMEHeaderKey. */
function canonical (name: string): string {
  return name.toLowerCase().replace(/(?:^|-)[a-z]/g, start => start.toUpperCase())
}

/** In the order in which net/http, request.go, writes them. */
function written (headers: Map<string, string[]>): Array<[name: string, value: string]> {
  // Of several there is one, and none if that is empty.
  const agent = headers.get('User-Agent')![0]!
  const others = [...headers].filter(([name]) => !NOT_WRITTEN.has(name)).sort(([a], [b]) => a < b ? -1 : 1)
  return [
    ...(agent === '' ? [] : [['User-Agent', agent] as [string, string]]),
    ...others.flatMap(([name, values]) => values.map((value): [string, string] => [name, value]))
  ]
}

/** One request on a connection of its own. Resolves when the headers of the answer are there. */
async function send (url: URL, authority: string, headers: Map<string, string[]>, signal: AbortSignal): Promise<Answer> {
  if (url.protocol !== 'http:' && url.protocol !== 'https:') throw new Error(`unsupported protocol scheme "${url.protocol.slice(0, -1)}"`)
  const socket = await dial(url, signal)
  // Who waits for the answer, or reads it, is told of it as well.
  socket.on('error', () => {})
  try {
    return (socket as TLSSocket).alpnProtocol === 'h2'
      ? await sendHttp2(socket, url, authority, headers)
      : await sendHttp1(socket, url, authority, headers)
  } catch (error) {
    socket.destroy()
    throw error
  }
}

/** No agent and no proxy: New in pkg/probe/http/http.go has DisableKeepAlives, and no Proxy. */
async function dial ({ protocol, hostname, port }: URL, signal: AbortSignal): Promise<Duplex> {
  const host = hostname.replace(/^\[|\]$/g, '')
  if (protocol === 'http:') {
    const socket = addAbortSignal(signal, connectTcp(Number(port || 80), host))
    await once(socket, 'connect')
    return socket
  }
  const socket = addAbortSignal(signal, connectTls({
    host,
    port: Number(port || 443),
    // Of the URL, whatever the Host header says.
    servername: isIP(host) === 0 ? host : '',
    // InsecureSkipVerify in pkg/probe/http/http.go.
    rejectUnauthorized: false,
    // k8s.io/apimachinery/pkg/util/net/http.go, SetTransportDefaults: HTTP/2 for a server that offers it.
    ALPNProtocols: ['h2', 'http/1.1']
  }))
  await once(socket, 'secureConnect')
  return socket
}

async function sendHttp1 (socket: Duplex, url: URL, authority: string, headers: Map<string, string[]>): Promise<Answer> {
  const fields: Array<[name: string, value: string]> = [['Host', authority], ...written(headers)]
  if (!/(?:^|[\s,])close(?:$|[\s,])/i.test(headers.get('Connection')?.[0] ?? '')) fields.push(['Connection', 'close'])
  const request = requestHttp({
    createConnection: () => socket,
    path: `${url.pathname}${url.search}`,
    headers: fields.flat(),
    setHost: false,
    maxHeaderSize: MAX_HEADERS
  })
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request.on('response', resolve).on('error', reject)
    // An answer that switches protocols ends in nothing else.
    request.on('close', () => reject(new Error('connection closed without an answer')))
    request.end()
  })
  // Node tells of a cut body by an error.
  return { status: response.statusCode!, headers: response.headers, body: response, cut: () => false }
}

async function sendHttp2 (socket: Duplex, url: URL, authority: string, headers: Map<string, string[]>): Promise<Answer> {
  const session = connectHttp2(url.origin, { createConnection: () => socket })
  session.on('error', () => {})
  const fields: Record<string, string[]> = {}
  for (const [name, value] of written(headers)) {
    if (!NOT_IN_HTTP2.has(name)) (fields[name.toLowerCase()] ??= []).push(value)
  }
  const stream = session.request({
    ':authority': authority,
    ':path': `${url.pathname}${url.search}`,
    ...Object.fromEntries(Object.entries(fields).map(([name, values]) => [name, values.length === 1 ? values[0] : values]))
  })
  stream.on('close', () => session.destroy())
  return await new Promise<Answer>((resolve, reject) => {
    stream.on('response', headers => resolve({
      status: headers[':status']!,
      headers,
      body: stream,
      // Node ends a stream that is cancelled, or whose connection is gone, like one that is complete.
      cut: () => stream.rstCode !== 0
    }))
    stream.on('error', reject)
    stream.on('close', () => reject(new Error('connection closed without an answer')))
  })
}

/** k8s.io/utils/io, ReadAtMost: as much as there is up to the limit, and not a look at what comes after it. */
async function read ({ body, cut }: Answer, limit: number): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  // Leaving the loop destroys the stream, and with it the connection.
  for await (const chunk of body) {
    chunks.push(chunk)
    length += chunk.length
    if (length >= limit) break
  }
  if (length < limit && cut()) throw new Error('unexpected EOF')
  return Buffer.concat(chunks).subarray(0, limit).toString()
}

export type ProbeName = 'startup' | 'liveness' | 'readiness'

/** A probe of a container, as in the YAML, with its defaults. */
export interface ProbeSpec {
  readonly httpGet: HttpGet
  readonly initialDelaySeconds?: number
  readonly periodSeconds?: number
  readonly timeoutSeconds?: number
  readonly failureThreshold?: number
  readonly successThreshold?: number
}

export interface HistoryEntry extends ProbeResult {
  readonly probe: ProbeName
  /** When it began, on the clock in use: `performance.now()` unless another was given. */
  readonly at: number
}

export interface KubeletOptions {
  readonly probes: { readonly [name in ProbeName]?: ProbeSpec }
  /**
   * By what to divide the seconds in `probes`: 10 makes a second 100 ms. Timeouts shrink as well, so give a larger
   * `timeoutSeconds` where a slow machine must not matter.
   */
  readonly scale?: number
  readonly time?: Time
  /** In place of a request. */
  readonly probe?: (target: ProbeTarget, options: { readonly signal: AbortSignal }) => Promise<ProbeResult>
}

export interface KubeletEvents {
  /** After every probe that ran, before what follows from it. */
  probe: [entry: HistoryEntry]
  started: []
  ready: []
  unready: []
  kill: [because: 'startup' | 'liveness']
  delete: []
}

/**
 * The kubelet, as far as the probes of one container go: pkg/kubelet/prober/worker.go and prober_manager.go. It kills
 * nothing itself: who drives the container does that on `kill`, and calls `stop()` when it has ended.
 */
export class Kubelet extends EventEmitter<KubeletEvents> {
  /**
   * The container's `ready`. The pod's endpoint is ready only as long as the pod isn't `deleted` either, which a balancer
   * learns on its own way.
   */
  ready = false
  started = false
  deleted = false
  /** Which probe had the container killed. */
  killed: 'startup' | 'liveness' | undefined
  readonly history: HistoryEntry[] = []

  readonly #options: KubeletOptions
  readonly #scale: number
  readonly #time: Time
  readonly #workers: { [name in ProbeName]?: Worker } = {}
  readonly #ended = new AbortController()
  #startedAt = 0

  constructor (options: KubeletOptions) {
    super()
    this.#options = options
    this.#scale = options.scale ?? 1
    this.#time = options.time ?? systemTime
    for (const name of ['startup', 'readiness', 'liveness'] as const) {
      const spec = options.probes[name]
      if (spec === undefined) continue
      this.#workers[name] = new Worker(
        this.#time,
        this.#ms(spec.periodSeconds ?? 10),
        { success: spec.successThreshold ?? 1, failure: spec.failureThreshold ?? 3 },
        () => this.#probe(name, spec),
        result => this.#settle(name, result)
      )
    }
  }

  /** The container has started. */
  start (): void {
    this.#startedAt = this.#time.now()
    if (this.#workers.startup === undefined) this.#setStarted()
    else this.#workers.startup.trigger()
    this.#workers.liveness?.trigger()
  }

  /**
   * The pod is deleted: liveness and startup stop, and readiness goes on until the container has ended
   * (pkg/kubelet/kubelet.go, SyncTerminatingPod).
   */
  delete (): void {
    this.deleted = true
    this.#workers.liveness?.stop()
    this.#workers.startup?.stop()
    this.emit('delete')
  }

  /** The container has ended, and is not ready any more. Resolves when no probe is under way. */
  async stop (): Promise<void> {
    this.#ended.abort()
    const workers = Object.values(this.#workers)
    for (const worker of workers) worker.stop()
    this.#setReady(false)
    await Promise.all(workers.map(worker => worker.idle))
  }

  #ms (seconds: number): number { return seconds * 1000 / this.#scale }

  /** worker.go, doProbe, up to the result. */
  async #probe (name: ProbeName, spec: ProbeSpec): Promise<'success' | 'failure' | undefined> {
    const at = this.#time.now()
    // Timers may be a fraction of a millisecond early.
    if (at - this.#startedAt + 1 < this.#ms(spec.initialDelaySeconds ?? 0)) return
    // Until the container has started only the startup probe runs, and after that only the others do.
    if (this.started === (name === 'startup')) return
    const { probe: ask = (target, { signal }) => probe(target, { time: this.#time, signal }) } = this.#options
    const target = { ...spec.httpGet, timeoutSeconds: (spec.timeoutSeconds ?? 1) / this.#scale }
    const result = await ask(target, { signal: this.#ended.signal })
    if (this.#ended.signal.aborted) return
    const entry = { probe: name, at, ...result }
    this.history.push(entry)
    this.emit('probe', entry)
    // prober.go, probe: an error is thrown away, and neither counts nor ends a row.
    if (result.result === 'unknown') return
    return result.result === 'failure' ? 'failure' : 'success'
  }

  /** A threshold is reached: worker.go, and what pkg/kubelet/kubelet.go, syncLoopIteration, makes of it. */
  #settle (name: ProbeName, result: 'success' | 'failure'): void {
    if (name === 'readiness') return this.#setReady(result === 'success')
    if (result === 'failure') {
      this.#workers[name]!.hold()
      // A pod that is being terminated isn't killed once more.
      if (this.deleted) return
      this.killed ??= name
      this.emit('kill', name)
    } else if (name === 'startup') {
      this.#setStarted()
    }
  }

  #setStarted (): void {
    this.started = true
    this.emit('started')
    if (this.#workers.readiness === undefined) this.#setReady(true)
    else this.#workers.readiness.trigger()
  }

  #setReady (ready: boolean): void {
    if (this.ready === ready) return
    this.ready = ready
    this.emit(ready ? 'ready' : 'unready')
    // A pod that isn't ready is probed whenever it is synced, and this syncs it: prober_manager.go, UpdatePodStatus.
    // While it is terminated no sync comes through.
    if (!ready && !this.deleted) this.#workers.readiness?.trigger()
  }
}

/** worker.go, run: a ticker, and the rows of results. */
class Worker {
  readonly #time: Time
  readonly #periodMs: number
  readonly #thresholds: { readonly success: number, readonly failure: number }
  readonly #probe: () => Promise<'success' | 'failure' | undefined>
  readonly #settle: (result: 'success' | 'failure') => void
  #timer: unknown
  #next = 0
  #due = false
  #running = false
  #stopped = false
  #held = false
  #last: 'success' | 'failure' | undefined
  #row = 0
  /** Resolves when no probe is under way. */
  idle: Promise<void> | undefined

  constructor (
    time: Time,
    periodMs: number,
    thresholds: { readonly success: number, readonly failure: number },
    probe: () => Promise<'success' | 'failure' | undefined>,
    settle: (result: 'success' | 'failure') => void
  ) {
    this.#time = time
    this.#periodMs = periodMs
    this.#thresholds = thresholds
    this.#probe = probe
    this.#settle = settle
  }

  /** Probes now, and every period from now on. */
  trigger (): void {
    if (this.#stopped) return
    this.#time.cancel(this.#timer)
    this.#next = this.#time.now() + this.#periodMs
    this.#wait()
    this.#tick()
  }

  /** No probe begins any more; one under way goes on to its end. */
  stop (): void {
    this.#stopped = true
    this.#time.cancel(this.#timer)
  }

  /** No probe until there is another container, which there never is here. */
  hold (): void { this.#held = true }

  #wait (): void {
    this.#timer = this.#time.start(() => {
      // As Go's tickers do: ticks that were missed are dropped, and the later ones keep to the beat.
      const lateMs = Math.max(0, this.#time.now() - this.#next)
      this.#next += this.#periodMs * (1 + Math.floor(lateMs / this.#periodMs))
      this.#wait()
      this.#tick()
    }, this.#next - this.#time.now())
  }

  /** Probes never overlap, and of the ticks that come meanwhile one is kept. */
  #tick (): void {
    this.#due = true
    if (!this.#running) this.idle = this.#run()
  }

  async #run (): Promise<void> {
    this.#running = true
    while (this.#due && !this.#stopped && !this.#held) {
      this.#due = false
      const result = await this.#probe()
      if (result === undefined) continue
      this.#row = this.#last === result ? this.#row + 1 : 1
      this.#last = result
      if (this.#row >= this.#thresholds[result]) this.#settle(result)
    }
    this.#running = false
  }
}
