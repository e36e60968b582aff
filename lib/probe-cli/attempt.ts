import { connect, isIP, type Socket } from 'node:net'
import type { Time } from '../time.js'
import { readAnswer, type Answer } from './answer.js'
import type { Plan } from './arguments.js'

/** What one try came to. */
export interface Result {
  /** In the words of the kubelet. A `warning` counts as healthy: it is a redirect that wasn't followed. */
  readonly outcome: 'success' | 'warning' | 'failure'
  /** The last that came. */
  readonly answer?: Answer | undefined
  /** What is wrong, unless it is the answer's status. */
  readonly error?: string | undefined
  readonly durationMs: number
}

// Those that Go's `net/http` follows for the kubelet: any other 3xx is an answer like another.
const FOLLOWED = new Set([301, 302, 303, 307, 308])
// The requests of one try: so the tenth redirect fails it, as with the kubelet.
const MAX_REQUESTS = 10

/** Asks once, by the rules of the kubelet: pkg/probe/http/http.go in github.com/kubernetes/kubernetes. */
export async function attempt (plan: Plan, time: Time): Promise<Result> {
  const begun = time.now()
  let { target: { url }, host } = plan
  let socket: Socket
  let answer: Answer | undefined
  let error: string | undefined
  const timer = time.start(() => {
    socket.destroy(new Error(`no ${socket.connecting ? 'connection' : 'complete answer'} within ${plan.timeout} ms`))
  }, plan.timeout)
  try {
    for (let requests = 1; ; requests++) {
      socket = dial(url, plan)
      answer = await exchange(socket, headOf(url, host, plan))
      const next = redirectOf(answer, url)
      if (next === undefined) break
      if (requests === MAX_REQUESTS) throw new Error('stopped after 10 redirects')
      // As in Go, a Host of one's own goes along only as long as the redirects are relative.
      if (/^[a-z][a-z\d+.-]*:/i.test(answer.location!)) host = undefined
      url = next
    }
  } catch (thrown) {
    error = messageOf(thrown)
  }
  time.cancel(timer)
  return { outcome: error === undefined ? judge(answer!) : 'failure', answer, error, durationMs: time.now() - begun }
}

function judge ({ status }: Answer): Result['outcome'] {
  if (status < 200 || status >= 400) return 'failure'
  return status < 300 ? 'success' : 'warning'
}

/** The URL to ask next, if the answer points to one on the same host. */
function redirectOf ({ status, location }: Answer, url: URL): URL | undefined {
  if (!FOLLOWED.has(status) || !location) return undefined
  if (!URL.canParse(location, url.href)) throw new Error(`redirects to \`${location}\`, which is no URL`)
  const next = new URL(location, url)
  if (next.hostname !== url.hostname) return undefined
  if (!/^https?:$/.test(next.protocol)) throw new Error(`redirects to \`${location}\`, which is neither http nor https`)
  return next
}

/** A connection of its own, and by no proxy. */
function dial ({ protocol, hostname, port }: URL, { target: { socket: path }, verify }: Plan): Socket {
  const secure = protocol === 'https:'
  const host = hostname.replace(/^\[|\]$/g, '')
  const to = path === undefined ? { host, port: Number(port || (secure ? 443 : 80)) } : { path }
  if (!secure) return connect(to)
  // Loaded only here, as it takes its time.
  return process.getBuiltinModule('node:tls').connect({
    ...to,
    servername: isIP(host) === 0 ? host : '',
    rejectUnauthorized: verify,
    ALPNProtocols: ['http/1.1']
  })
}

function headOf (url: URL, host: string | undefined, { headers }: Plan): string {
  const fields = [['Host', host ?? url.host], ...headers].map(([name, value]) => `${name}: ${value}\r\n`)
  return `GET ${url.pathname}${url.search} HTTP/1.1\r\n${fields.join('')}\r\n`
}

function exchange (socket: Socket, head: string): Promise<Answer> {
  const answer = new Promise<Answer>((resolve, reject) => {
    let bytes = Buffer.alloc(0)
    const read = (ended: boolean) => {
      try {
        const answer = readAnswer(bytes, ended)
        if (answer !== undefined) resolve(answer)
      } catch (error) {
        reject(error)
      }
    }
    socket.on('data', chunk => {
      bytes = Buffer.concat([bytes, chunk])
      read(false)
    })
    socket.on('close', () => read(true))
    socket.on('error', reject)
    socket.write(head, 'latin1')
  })
  // A moment later: where all is well the process has ended by then, and is spared it.
  return answer.finally(() => { setImmediate(() => socket.destroy()) })
}

/** A host of several addresses fails once for each of them, in an error that has no message of its own. */
function messageOf (error: any): string {
  return error.errors?.map(messageOf).join('; ') ?? error.message
}
