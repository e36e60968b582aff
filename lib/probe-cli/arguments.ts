/** Where a probe is asked. */
export interface Target {
  readonly url: URL
  /** The Unix socket that is connected to, whatever host and port the URL names. */
  readonly socket?: string
  /** What it is called in messages. */
  readonly name: string
}

/** What the command was told to do. */
export interface Plan {
  readonly target: Target
  /** Of each try, in ms. */
  readonly timeout: number
  /** For how long a try may begin after the first, in ms; 0 for one try. */
  readonly wait: number
  /** A value of its own, if there is one, for the `Host` header. */
  readonly host: string | undefined
  /** The other headers. */
  readonly headers: ReadonlyArray<readonly [name: string, value: string]>
  readonly verify: boolean
  readonly verbose: boolean
  readonly json: boolean
  readonly quiet: boolean
}

export const USAGE = `Usage: healthz-probe [options] URL|PORT|SOCKET

Asks a probe by the rules of the kubelet, and tells by its exit code how it went.

  URL     http://HOST:PORT/PATH, or the same with https
  PORT    a port of 127.0.0.1: 8080, or with a path 8080/healthz/live
  SOCKET  a Unix socket: /run/app.sock, or with a path ./app.sock:/healthz/live

Without a path, a port and a socket are asked for /healthz/ready.

Options
  --timeout TIME   for everything, the body included: 500ms, 1s, 2m (default: 1s)
  --wait TIME      try again until healthy; no try begins later than this (default: one try)
  --header 'K: V'  send this header; may be given several times; Host replaces the target's,
                   and without a value User-Agent and Accept are left out
  --tls-verify     refuse a certificate that can't be verified
  --verbose        print the body, and those of its checks that fail (?verbose asks for them)
  --json           print the result as one line of JSON, with --verbose the body too
  --quiet          leave out the line on standard error that says what is wrong
  --help           print this
  --version        print the version

Exit code: 0 healthy, 1 unhealthy, 2 wrong usage.
`

const PATH = '/healthz/ready'
/** Whether they take a value. */
const OPTIONS = new Map([
  ['--timeout', true], ['--wait', true], ['--header', true], ['--tls-verify', false],
  ['--verbose', false], ['--json', false], ['--quiet', false], ['--help', false], ['--version', false]
])
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000 }
/** A day, in ms; a timer of more than 24 of them would be due at once. */
const MAX_TIME = 86_400_000

/**
 * @param defaults the headers that are sent unless others of their names are given
 * @throws what is wrong with them, in words for whoever wrote the command
 */
export function readArguments (args: string[], defaults: Readonly<Record<string, string>>): Plan | 'help' | 'version' {
  const { given, targets } = split(args)
  if (given.has('--help')) return 'help'
  if (given.has('--version')) return 'version'
  if (targets.length !== 1) {
    throw new Error(`Expected one URL, PORT or SOCKET, got ${targets.map(text => `\`${text}\``).join(' and ') || 'none'}`)
  }
  const headers = (given.get('--header') ?? []).map(readHeader)
  const isGiven = (name: string) => headers.some(([other]) => other.toLowerCase() === name.toLowerCase())
  return {
    target: readTarget(targets[0]!),
    timeout: readTime('--timeout', given.get('--timeout')?.at(-1) ?? '1s'),
    wait: given.has('--wait') ? readTime('--wait', given.get('--wait')!.at(-1)!) : 0,
    host: headers.find(([name]) => /^host$/i.test(name))?.[1] || undefined,
    headers: [
      ...Object.entries(defaults).filter(([name]) => !isGiven(name)),
      ...headers.filter(([name, value]) => !/^host$/i.test(name) && (value !== '' || !/^(?:user-agent|accept)$/i.test(name)))
    ],
    verify: given.has('--tls-verify'),
    verbose: given.has('--verbose'),
    json: given.has('--json'),
    quiet: given.has('--quiet')
  }
}

/** By hand, as `parseArgs` of `node:util` takes longer to load than all of this. */
function split (args: string[]): { given: Map<string, string[]>, targets: string[] } {
  const given = new Map<string, string[]>()
  const targets: string[] = []
  for (let i = 0; i < args.length; i++) {
    const [option, inline] = args[i]!.split(/=(.*)/s) as [string, string | undefined]
    if (!option.startsWith('-')) {
      targets.push(args[i]!)
      continue
    }
    const takesValue = OPTIONS.get(option)
    if (takesValue === undefined) {
      throw new Error(`Unknown option \`${option}\`: expected one of ${[...OPTIONS.keys()].join(', ')}`)
    }
    if (!takesValue && inline !== undefined) throw new Error(`Expected \`${option}\` to have no value, got \`${inline}\``)
    const value = takesValue ? inline ?? args[++i] : ''
    if (value === undefined) throw new Error(`Expected \`${option}\` to have a value, got none`)
    given.set(option, [...given.get(option) ?? [], value])
  }
  return { given, targets }
}

/** `http://host/path`, `8080`, `8080/path`, `/run/app.sock` or `./app.sock:/path` → target. */
function readTarget (text: string): Target {
  const [, port, portPath = PATH] = /^(\d+)(\/.*)?$/s.exec(text) ?? []
  // A colon that a slash follows is in the name of no socket.
  const [, socket, socketPath = PATH] = /^([./].*?)(?::(\/.*))?$/s.exec(text) ?? []
  const href = port !== undefined ? `http://127.0.0.1:${port}${portPath}` : socket !== undefined ? `http://localhost${socketPath}` : text
  if (!/^https?:\/\//i.test(href) || !URL.canParse(href)) {
    throw new Error(`Expected a URL (http://127.0.0.1:8080/healthz/ready), a PORT (8080) or a SOCKET (/run/app.sock), got \`${text}\``)
  }
  const url = new URL(href)
  // What it is called goes to logs.
  if (url.username !== '' || url.password !== '') {
    throw new Error("Expected a URL without a user and a password: give them by `--header 'Authorization: …'`")
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
  // The characters of a name by RFC 9110, and of a value what fits into a line of Latin-1.
  const [, name, value] = /^([\w!#$%&'*+.^`|~-]+):[ \t]*([\t\x20-\x7e\x80-\xff]*?)[ \t]*$/.exec(text) ?? []
  if (name !== undefined) return [name, value!]
  throw new Error(`Expected \`--header\` to be a name and a value, such as 'Host: example.com', got \`${text}\``)
}
