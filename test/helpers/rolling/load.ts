import { Agent, request as requestHttp, type ClientRequest, type IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

/** A group of clients with the same behavior. Ranges are in ms, with a uniform distribution. */
export interface Kind {
  readonly name: string
  readonly clients: number
  /** Whether a client reuses its connection. Otherwise it opens one for each request. */
  readonly keepAlive: boolean
  /** The pause between a response and the next request. */
  readonly gapMs: readonly [min: number, max: number]
  /** How long the service takes to process a request. */
  readonly workMs: readonly [min: number, max: number]
  /** Sends a body in parts over this many ms. */
  readonly uploadMs?: number
}

/** A request without a complete and correct response. Requests aren't retried. */
export interface Failure {
  readonly kind: string
  /** The system's error code, or the status. */
  readonly code: string
  readonly doing: 'connecting' | 'sending' | 'waiting' | 'reading'
  /** Whether the connection had carried a request before. */
  readonly reused: boolean
  /** Whether any byte of the response had arrived. */
  readonly answered: boolean
  readonly beganAt: number
  readonly failedAt: number
  /** The previous request on the same connection. */
  readonly before: Answered | undefined
}

export interface Answered {
  readonly pid: number
  readonly beganAt: number
  readonly answeredAt: number
  /** Whether the response had `Connection: close`. */
  readonly last: boolean
}

const PARTS = 5
const PART = Buffer.alloc(4096, 'x')
// Longer than any request takes here, to detect requests that hang.
const HANGS_MS = 30_000

/** One request. */
export interface Order {
  readonly kind: string
  readonly port: number
  readonly agent: Agent
  readonly workMs: number
  readonly uploadMs?: number | undefined
}

/** Sends requests and counts their outcomes. */
export class Load {
  readonly requests: Record<string, number> = {}
  readonly failures: Failure[] = []
  /** The number of connections on which a request was sent. */
  connections = 0
  readonly #before = new WeakMap<Socket, Answered>()
  readonly #clients: Array<Promise<void>> = []
  #stopped = false

  /** @param onAnswer called with each complete and correct response */
  constructor (private readonly port: number, private readonly onAnswer: (answered: Answered) => void = () => {}) {}

  get total (): number { return Object.values(this.requests).reduce((sum, count) => sum + count, 0) }

  start (kinds: readonly Kind[]): void {
    for (const kind of kinds) {
      for (let i = 0; i < kind.clients; i++) this.#clients.push(this.#client(kind))
    }
  }

  /** Stops sending requests. Resolves when all pending ones have finished. */
  async stop (): Promise<void> {
    this.#stopped = true
    await Promise.all(this.#clients)
  }

  async #client ({ name, keepAlive, gapMs, workMs, uploadMs }: Kind): Promise<void> {
    const agent = new Agent({ keepAlive, maxSockets: 1 })
    // Spread the clients over time.
    await sleep(between([0, Math.max(50, gapMs[1])]))
    while (!this.#stopped) {
      await this.send({ kind: name, port: this.port, agent, workMs: Math.round(between(workMs)), uploadMs })
      if (gapMs[1] > 0) await this.#pause(between(gapMs))
    }
    agent.destroy()
  }

  async #pause (ms: number): Promise<void> {
    const until = performance.now() + ms
    while (!this.#stopped) {
      const left = until - performance.now()
      if (left <= 0) return
      await sleep(Math.min(left, 250))
    }
  }

  /** Sends one request and counts its outcome. */
  async send ({ kind, port, agent, workMs, uploadMs }: Order): Promise<void> {
    const beganAt = Date.now()
    this.requests[kind] = (this.requests[kind] ?? 0) + 1
    const upload = uploadMs !== undefined
    const request = requestHttp({
      agent,
      port,
      host: '127.0.0.1',
      ...(upload
        ? { method: 'POST', path: '/upload', headers: { 'content-type': 'application/octet-stream', 'content-length': PARTS * PART.length } }
        : { path: `/work?ms=${workMs}` })
    })
    let response: IncomingMessage | undefined
    let before: Answered | undefined
    let readBefore = 0
    let connection: Socket | undefined
    let doing: Failure['doing'] = 'connecting'
    request.on('socket', socket => {
      connection = socket
      before = this.#before.get(socket)
      readBefore = socket.bytesRead
      if (!request.reusedSocket) this.connections++
      if (!socket.connecting) doing = 'sending'
      else socket.once('connect', () => { doing = 'sending' })
    })
    request.on('finish', () => { doing = 'waiting' })
    request.setTimeout(HANGS_MS, () => request.destroy(Object.assign(new Error('no answer'), { code: 'HANGS' })))

    try {
      response = await new Promise<IncomingMessage>((resolve, reject) => {
        request.on('response', resolve).on('error', reject)
        if (upload) sendParts(request, uploadMs)
        else request.end()
      })
      doing = 'reading'
      const body = await read(response)
      if (response.statusCode !== 200) throw Object.assign(new Error(body), { code: `status ${response.statusCode}` })
      if (upload && JSON.parse(body).length !== PARTS * PART.length) throw Object.assign(new Error(body), { code: 'wrong answer' })
      const answered = {
        pid: Number(response.headers['x-process']),
        beganAt,
        answeredAt: Date.now(),
        last: response.headers.connection === 'close'
      }
      this.#before.set(connection!, answered)
      this.onAnswer(answered)
    } catch (error: any) {
      this.failures.push({
        kind,
        code: error.code ?? String(error),
        doing,
        reused: request.reusedSocket,
        answered: response !== undefined || (connection?.bytesRead ?? 0) > readBefore,
        beganAt,
        failedAt: Date.now(),
        before
      })
      request.destroy()
      // Wait briefly after a failure, like a real client.
      await sleep(20)
    }
  }
}

/** Sends a body slowly, so that a signal arrives while it is being sent. */
function sendParts (request: ClientRequest, ms: number): void {
  let left = PARTS
  const next = () => {
    if (request.destroyed) return
    if (--left === 0) {
      request.end(PART)
      return
    }
    request.write(PART)
    setTimeout(next, ms / (PARTS - 1))
  }
  next()
}

async function read (response: IncomingMessage): Promise<string> {
  let body = ''
  for await (const chunk of response.setEncoding('utf8')) body += chunk
  return body
}

function between ([min, max]: readonly [min: number, max: number]): number {
  return min + Math.random() * (max - min)
}
