import { request as requestHttp, type IncomingMessage, type RequestOptions } from 'node:http'
import { isIP, type Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import type { Time } from '../clock.js'
import type { Plan } from './arguments.js'

/** The reported parts of a response. */
export interface Answer {
  readonly status: number
  /** The status and its reason, as received: `503 Service Unavailable`. */
  readonly statusText: string
  readonly location: string | undefined
  /** Its first 10 KiB. Empty if it didn't arrive. */
  readonly body: string
}

/** The result of one attempt. */
export interface Result {
  /** In the kubelet's terms. A `warning`, a redirect that wasn't followed, counts as healthy. */
  readonly outcome: 'success' | 'warning' | 'failure'
  /** The last response received. */
  readonly answer?: Answer | undefined
  /** The reason of the failure, unless it is the status of the response. */
  readonly error?: string | undefined
  readonly durationMs: number
}

/** The step that an attempt is waiting for. */
type Phase = 'connection' | 'TLS handshake' | 'response' | 'response body'

/** Maximum size of a body that the kubelet reads. */
const MAX_BODY = 10 * 1024
/** Maximum size of the body of a redirect that Go's `net/http` reads before it follows it. */
const MAX_REDIRECT_BODY = 2 * 1024
/** Go accepts 10 MiB of headers. Parsing as much in Node.js would take 450 MB and three times the timeout. */
const MAX_HEADERS = 1024 * 1024
/** The redirects that Go follows. Any other 3xx is a final response. */
const FOLLOWED = new Set([301, 302, 303, 307, 308])
/** Redirects that `URL` repairs, but Go rejects or resolves differently. A colon in the first segment ends a scheme. */
// eslint-disable-next-line no-control-regex
const REPAIRED = /[\x00-\x1f\x7f\\]|%(?![\da-f]{2})|^\/\/\/|^(?![a-z][a-z\d+.-]*:)[^/?#]*:/i
/** Requests of one attempt: the tenth redirect fails it, as it does for the kubelet. */
const MAX_REQUESTS = 10

/** Sends one probe with kubelet semantics: pkg/probe/http/http.go in github.com/kubernetes/kubernetes, and Go's `net/http`. */
export async function attempt (plan: Plan, time: Time): Promise<Result> {
  const start = time.now()
  let { target: { url }, host } = plan
  let phase: Phase = 'connection'
  let answer: Answer | undefined
  let error: string | undefined
  const deadline = new AbortController()
  const timer = time.start(() => deadline.abort(), plan.timeout)
  try {
    for (let requests = 1; ; requests++) {
      const response = await send(url, host, plan, deadline.signal, reached => { phase = reached })
      answer = answerOf(response)
      const next = redirectOf(answer, url)
      if (next === undefined) {
        phase = 'response body'
        answer = { ...answer, body: await read(response, MAX_BODY, deadline.signal) }
        break
      }
      // Like Go, which ignores errors here. It may take until the timeout.
      if (!(Number(response.headers['content-length']) > MAX_REDIRECT_BODY)) {
        await read(response, MAX_REDIRECT_BODY, deadline.signal).catch(() => deadline.signal.throwIfAborted())
      }
      response.destroy()
      if (requests === MAX_REQUESTS) throw new Error('stopped after 10 redirects')
      // Like Go, which keeps a custom Host only while the redirects are relative.
      if (/^[a-z][a-z\d+.-]*:/i.test(answer.location!)) host = undefined
      url = next
    }
  } catch (thrown) {
    error = deadline.signal.aborted ? `${phase} timed out after ${plan.timeout} ms` : messageOf(thrown, phase)
    if (phase === 'response body') error += ' (the kubelet would ignore this attempt)'
  }
  time.cancel(timer)
  // Closes connections that are still open.
  deadline.abort()
  return { outcome: error === undefined ? outcomeOf(answer!) : 'failure', answer, error, durationMs: time.now() - start }
}

function outcomeOf ({ status }: Answer): Result['outcome'] {
  if (status < 200 || status >= 400) return 'failure'
  return status < 300 ? 'success' : 'warning'
}

function answerOf ({ statusCode, statusMessage, headers: { location } }: IncomingMessage): Answer {
  return {
    status: statusCode!,
    statusText: `${statusCode} ${statusMessage}`.trim(),
    // Node decodes headers as Latin-1; a URL is UTF-8.
    location: location && Buffer.from(location, 'latin1').toString(),
    body: ''
  }
}

/** The URL to request next, if the response redirects to the same host. */
function redirectOf ({ status, location }: Answer, url: URL): URL | undefined {
  if (!FOLLOWED.has(status) || !location) return undefined
  if (REPAIRED.test(location) || !URL.canParse(location, url.href)) throw new Error(`redirects to the invalid URL \`${location}\``)
  const next = new URL(location, url)
  if (next.hostname !== url.hostname) return undefined
  if (!/^https?:$/.test(next.protocol)) throw new Error(`redirects to \`${location}\`, which is neither http nor https`)
  return next
}

/** Resolves to the head of the response. Each request has its own connection and uses no proxy. */
function send (
  url: URL, host: string | undefined, { target, headers, verify }: Plan, signal: AbortSignal, reach: (phase: Phase) => void
): Promise<IncomingMessage> {
  const secure = url.protocol === 'https:'
  const hostname = url.hostname.replace(/^\[|\]$/g, '')
  reach('connection')
  return new Promise((resolve, reject) => {
    const options: RequestOptions & ConnectionOptions = {
      agent: false,
      host: hostname,
      port: Number(url.port || (secure ? 443 : 80)),
      ...target.socket !== undefined && { socketPath: target.socket },
      path: url.pathname + url.search,
      setHost: false,
      headers: [['Host', host ?? url.host], ...headers].flat(),
      maxHeaderSize: MAX_HEADERS,
      // Overrides NODE_OPTIONS.
      insecureHTTPParser: false,
      servername: isIP(hostname) === 0 ? hostname : '',
      rejectUnauthorized: verify,
      ALPNProtocols: ['http/1.1'],
      signal
    }
    // Loading TLS takes long, so it is loaded on demand.
    const request = secure ? process.getBuiltinModule('node:https').request(options) : requestHttp(options)
    // By default Node.js drops all headers after the first 2,000.
    request.maxHeadersCount = 0
    let response: IncomingMessage | undefined
    request.on('socket', (socket: Socket) => {
      socket.once('connect', () => reach(secure ? 'TLS handshake' : 'response'))
      socket.once('secureConnect', () => reach('response'))
      // The parser of Node.js skips empty lines before a response, Go doesn't.
      socket.prependOnceListener('data', (chunk: Buffer) => {
        if (chunk[0] !== 0x48) reject(Object.assign(new Error(), { code: 'HPE_INVALID_CONSTANT', reason: 'Expected HTTP/' }))
      })
    })
    request.on('response', received => {
      response = received.on('error', () => {})
      const encoding = received.headers['transfer-encoding']
      // Node.js also decodes a list that ends with `chunked`. Go rejects the response.
      if (encoding !== undefined && !/^chunked$/i.test(encoding)) reject(new Error(`unsupported Transfer-Encoding \`${encoding}\``))
      else resolve(received)
    })
    request.on('error', error => {
      // Otherwise a body without a length would seem complete.
      if (response?.complete === false) response.destroy(error)
      reject(error)
    })
    request.on('upgrade', (_response, socket) => {
      socket.destroy()
      reject(new Error('the response switches to another protocol'))
    })
    request.end()
  })
}

/** Reads up to `limit` bytes and discards the rest. */
async function read (response: IncomingMessage, limit: number, signal: AbortSignal): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  // Leaving the loop closes the connection.
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    length += chunk.length
    if (length >= limit) break
  }
  // Destroying the connection also ends a body without a length.
  signal.throwIfAborted()
  return Buffer.concat(chunks).toString('utf8', 0, Math.min(length, limit))
}

function messageOf (error: any, phase: Phase): string {
  // A host with several addresses fails with an AggregateError without a message.
  if (error.errors !== undefined) return error.errors.map((one: Error) => one.message).join('; ')
  const message = error.reason ?? error.message
  // From OpenSSL's `write EPROTO 80…:error:0A00010B:SSL routines:ssl3_get_record:wrong version number:../deps/…`.
  if (phase === 'TLS handshake') return `TLS handshake failed: ${message.replace(/.*:SSL routines:[^:]*:([^:]*).*/s, '$1')}`
  if (/^HPE_/.test(error.code)) return `invalid HTTP ${phase}: ${message}`
  if (phase === 'response body') return 'response body cut off'
  return error.code === 'ECONNRESET' ? 'connection closed without a response' : message
}
