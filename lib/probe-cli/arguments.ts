import { parseArgs } from 'node:util'

/** The endpoint to probe. */
export interface Target {
  readonly url: URL
  /** The Unix socket that is connected to, whatever host and port the URL names. */
  readonly socket?: string
  /** Its name in messages. */
  readonly name: string
}

/** The arguments of the command, parsed. */
export interface Plan {
  readonly target: Target
  /** Timeout of each attempt, in ms. */
  readonly timeout: number
  /** How long after the first attempt another may start, in ms. 0 means a single attempt. */
  readonly wait: number
  /** A custom `Host` header. */
  readonly host: string | undefined
  /** The other headers. */
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  readonly verify: boolean
  readonly verbose: boolean
  readonly json: boolean
  readonly quiet: boolean
}

export const USAGE = `Usage: healthz-probe [options] URL|PORT|SOCKET

Probes an endpoint with kubelet semantics and reports the result as its exit code.

  URL     http://HOST:PORT/PATH, or https
  PORT    a port of 127.0.0.1: 8080, or with a path 8080/healthz/live
  SOCKET  a Unix socket: /run/app.sock, or with a path ./app.sock:/healthz/live

The default path of a port or socket is /healthz/ready.

Options
  --timeout TIME   limit for the whole attempt, including the body: 500ms, 1s, 2m (default: 1s)
  --wait TIME      retry until healthy; no attempt starts later than this (default: one attempt)
  --header 'K: V'  send this header; can be repeated. Host overrides the target's.
                   An empty User-Agent or Accept is omitted
  --tls-verify     reject certificates that can't be verified
  --verbose        print the body and its failing checks (add ?verbose to get them)
  --json           print the result as one line of JSON, with --verbose including the body
  --quiet          omit the line on standard error that names the failure
  --help           print this help
  --version        print the version

Exit code: 0 healthy, 1 unhealthy, 2 wrong usage.
`

const PATH = '/healthz/ready'
export const OPTIONS = {
  timeout: { type: 'string', default: '1s' },
  wait: { type: 'string' },
  header: { type: 'string', multiple: true, default: [] as string[] },
  'tls-verify': { type: 'boolean', default: false },
  verbose: { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  quiet: { type: 'boolean', default: false },
  help: { type: 'boolean' },
  version: { type: 'boolean' }
} as const
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 }
/** One day, in ms. A timer of more than 24 days would fire immediately. */
const MAX_TIME = 86_400_000

/**
 * @param defaults the headers to send unless overridden by `--header`
 * @throws an error with a message for the user of the command
 */
export function readArguments (args: string[], defaults: Readonly<Record<string, string>>): Plan | 'help' | 'version' {
  const { values, positionals } = parseArgs({ args, options: OPTIONS, allowPositionals: true })
  if (values.help) return 'help'
  if (values.version) return 'version'
  if (positionals.length !== 1) {
    throw new Error(`Expected one URL, PORT or SOCKET, got ${positionals.map(text => `\`${text}\``).join(' and ') || 'none'}`)
  }
  const headers = values.header.map(readHeader)
  const isGiven = (name: string) => headers.some(([other]) => other.toLowerCase() === name.toLowerCase())
  return {
    target: readTarget(positionals[0]!),
    timeout: readTime('--timeout', values.timeout),
    wait: values.wait === undefined ? 0 : readTime('--wait', values.wait),
    host: headers.find(([name]) => /^host$/i.test(name))?.[1] || undefined,
    headers: [
      ...Object.entries(defaults).filter(([name]) => !isGiven(name)),
      ...headers.filter(([name, value]) => !/^host$/i.test(name) && (value !== '' || !/^(?:user-agent|accept)$/i.test(name)))
    ],
    verify: values['tls-verify'],
    verbose: values.verbose,
    json: values.json,
    quiet: values.quiet
  }
}

/** `http://host/path`, `8080`, `8080/path`, `/run/app.sock` or `./app.sock:/path` → target. */
function readTarget (text: string): Target {
  const [, port, portPath = PATH] = /^(\d+)(\/.*)?$/s.exec(text) ?? []
  // The name of a socket contains no colon followed by a slash.
  const [, socket, socketPath = PATH] = /^([./].*?)(?::(\/.*))?$/s.exec(text) ?? []
  const href = port !== undefined ? `http://127.0.0.1:${port}${portPath}` : socket !== undefined ? `http://localhost${socketPath}` : text
  if (!/^https?:\/\//i.test(href) || !URL.canParse(href)) {
    throw new Error(`Expected a URL (http://127.0.0.1:8080/healthz/ready), a PORT (8080) or a SOCKET (/run/app.sock), got \`${text}\``)
  }
  const url = new URL(href)
  // The name of a target is logged.
  if (url.username !== '' || url.password !== '') {
    throw new Error("Expected a URL without user and password, pass them as `--header 'Authorization: …'`")
  }
  const where = `${url.pathname}${url.search}`
  return socket === undefined ? { url, name: url.origin + where } : { url, socket, name: `${socket}:${where}` }
}

function readTime (option: string, text: string): number {
  const [, count, unit] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(text) ?? []
  const ms = Number(count) * UNITS[unit!]!
  if (ms >= 1 && ms <= MAX_TIME) return ms
  throw new Error(`Expected \`${option}\` to be a time from 1ms to 1440m, such as 500ms, 1s or 2m, got \`${text}\``)
}

function readHeader (text: string): [name: string, value: string] {
  // A name by RFC 9110, and a value of one line in Latin-1.
  const [, name, value] = /^([\w!#$%&'*+.^`|~-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/.exec(text) ?? []
  if (name !== undefined) return [name, value!]
  throw new Error(`Expected \`--header\` to be a name and a value, such as 'Host: example.com', got \`${text}\``)
}
