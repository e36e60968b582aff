// Random requests, and a small independent model of the expected responses. It is written only from the tables in
// docs/api.md, so that it shares neither code nor mistakes with `lib/`.
import fc from 'fast-check'
import type { Answer } from './answers.js'

// Servers

/** A check that always has the same outcome. */
export interface CheckModel {
  readonly name: string
  /** Passes if omitted. */
  readonly fails?: { readonly status: 500 | 503, readonly title: string }
  readonly critical?: boolean
}

/** A server, and how its probes are reached. */
export interface Site {
  readonly name: string
  readonly port: number
  /** The prefix below which the plugin responds with 404, `''` for none. */
  readonly root: string
  readonly paths: Readonly<Record<string, string>>
  readonly probes: Readonly<Record<string, readonly CheckModel[]>>
  /** Who may see details. */
  readonly details: 'nobody' | 'everybody' | 'who says so'
  /** Methods that the app supports. */
  readonly methods: readonly string[]
  /** The app's own GET routes. */
  readonly appPaths: readonly string[]
  /** Whether it is a separate port, which rejects bodies. */
  readonly separate: boolean
}

/** The header that identifies an operator. */
export const OPERATOR = 'X-Operator: yes'
const CHUNKED = 'Transfer-Encoding: chunked'

// Expected responses

type Expected =
  | { readonly by: 'probe', readonly status: number, readonly title: string, readonly checks?: readonly CheckModel[], readonly boot?: boolean }
  | { readonly by: 'others', readonly statuses: readonly number[] }

const MAX_BODY = 10 * 1024 - 1
const others = (...statuses: number[]): Expected => ({ by: 'others', statuses })
/** The app's own 404, unless it can't parse the body, which is checked first. */
const APP_404 = others(404, 400, 415)

export function expected (site: Site, { method, target, operator, body }: Request): Expected {
  const tooLarge: Expected | undefined = site.separate && body ? { by: 'probe', status: 413, title: 'Content Too Large' } : undefined
  if (!/^(\/|https?:\/\/)/.test(target)) return tooLarge ?? others(200, 404)
  const path = target.replace(/^https?:\/\/[^/?#]*/, '').replace(/[?#].*/s, '')
  const query = new URLSearchParams(/\?.*/s.exec(target)?.[0])
  const segments = path.split('/').slice(1).map(decode)
  const routed = site.methods.includes(method) && method !== 'OPTIONS'
  // Older versions of Fastify 5 check for unsupported methods first.
  if (segments.includes(null)) return routed ? others(400) : others(400, 404)
  if (tooLarge !== undefined) return tooLarge
  if (!routed) return APP_404

  const reads = method === 'GET' || method === 'HEAD'
  const allowed = site.details === 'everybody' || (site.details === 'who says so' && operator)
  const found = Object.entries(site.paths).find(([, probePath]) => same(segments, probePath))
  if (found !== undefined) {
    if (!reads) return { by: 'probe', status: 405, title: 'Method Not Allowed' }
    const left = allowed ? query.getAll('exclude') : []
    const checks = site.probes[found[0]]!.filter(({ name }) => !left.includes(name))
    return { by: 'probe', ...verdict(found[0], checks), ...(allowed && query.has('verbose') && { checks, boot: found[0] === 'startup' }) }
  }
  const above = Object.keys(site.probes).find(probe => site.root !== '' && same(segments.slice(0, -1), `${site.root}/${probe}`))
  if (above !== undefined && reads) {
    const check = site.probes[above]!.find(({ name }) => name === segments.at(-1))
    if (allowed && check !== undefined) {
      return { by: 'probe', ...verdict(above, [{ ...check, critical: true }]), checks: [check] }
    }
  }
  const below = segments.slice(site.root.split('/').length - 1).join('/')
  if (site.root !== '' && same(segments.slice(0, site.root.split('/').length - 1), site.root) && below !== '') {
    return { by: 'probe', status: 404, title: `The ${below} check endpoint is not setup` }
  }
  if (reads && site.appPaths.some(appPath => same(segments, appPath))) return others(200)
  return APP_404
}

function decode (segment: string): string | null {
  try {
    return decodeURIComponent(segment)
  } catch {
    return null
  }
}

function same (segments: ReadonlyArray<string | null>, path: string): boolean {
  const wanted = path.split('/').slice(1)
  return segments.length === wanted.length && wanted.every((segment, i) => segment === segments[i])
}

function verdict (probe: string, checks: readonly CheckModel[]): { status: number, title: string } {
  const failing = checks.filter(({ fails, critical = true }) => fails !== undefined && critical)
  if (failing.length === 0) return { status: 200, title: 'OK' }
  const titles = failing.map(({ name, fails }) => (name === 'default' ? `The ${probe} check ` : `${name}: `) + fails!.title)
  return { status: Math.min(...failing.map(({ fails }) => fails!.status)), title: titles.join('; ') }
}

/** Returns what is wrong with a response, `undefined` if nothing is. */
export function fault (site: Site, request: Request, { status, headers, body }: Answer): string | undefined {
  const wanted = expected(site, request)
  const type = headers.get('content-type')
  if (wanted.by === 'others') {
    if (!wanted.statuses.includes(status)) return `status ${status} in place of ${wanted.statuses.join(', ')}`
    return type === 'application/problem+json' ? 'it is ours' : undefined
  }
  if (status !== wanted.status) return `status ${status} in place of ${wanted.status}`
  const names = ['cache-control', 'connection', 'content-length', 'content-type', 'date', 'x-content-type-options']
  // The connection is closed after a body that isn't read.
  const closes = request.closes || status === 413
  if (!closes) names.push('keep-alive')
  if (status === 405) names.push('allow')
  const given = [...headers.keys()].sort().join()
  if (given !== names.sort().join()) return `headers ${given} in place of ${names.join()}`
  if (type !== 'application/problem+json') return `content-type ${type}`
  if (headers.get('cache-control') !== 'no-store') return 'cache-control'
  if (headers.get('x-content-type-options') !== 'nosniff') return 'x-content-type-options'
  const connection = headers.get('connection')
  if (connection !== (closes ? 'close' : 'keep-alive')) return `connection: ${connection}`
  if (status === 405 && headers.get('allow') !== 'GET, HEAD') return 'allow'
  const length = Number(headers.get('content-length'))
  if (wanted.checks === undefined && length > MAX_BODY) return `a body of ${length} bytes`
  if (request.method === 'HEAD') return body === '' ? undefined : 'a HEAD with a body'
  if (wanted.checks !== undefined) return faultOfDetails(wanted.checks, wanted, body)
  const whole = JSON.stringify({ status, title: wanted.title })
  return isCut(whole) ? faultOfCut(wanted.title, body) : body === whole ? undefined : `body ${body} in place of ${whole}`
}

function isCut (body: string): boolean { return Buffer.byteLength(body) > MAX_BODY }

/** A truncated title must be as long as possible, except for the character that doesn't fit and the ellipsis. */
function faultOfCut (whole: string, body: string): string | undefined {
  const { title } = JSON.parse(body)
  if (!title.endsWith('…') || !whole.startsWith(title.slice(0, -1))) return `a title cut to ${title}`
  return Buffer.byteLength(body) < MAX_BODY - 12 ? `a body cut to ${Buffer.byteLength(body)} bytes` : undefined
}

function faultOfDetails (
  checks: readonly CheckModel[], wanted: { status: number, title: string, boot?: boolean }, body: string
): string | undefined {
  const { status, title, checks: told = {}, bootMs, ...rest } = JSON.parse(body)
  if (status !== wanted.status || Object.keys(rest).length > 0 || Number.isInteger(bootMs) !== (wanted.boot === true)) return `body ${body}`
  const failing = checks.filter(({ fails }) => fails !== undefined)
  const given: string[] = [title, ...failing.map(({ name }) => told[name]?.title)]
  const full = [wanted.title, ...failing.map(({ fails }) => fails!.title)]
  const isCut = (text: string, i: number) =>
    text.length > 1000 && text.endsWith('…') && full[i]!.startsWith(text.slice(0, -1))
  if (!given.every((text, i) => text === full[i] || isCut(text, i))) return `titles ${given} in place of ${full}`
  const outcome = ({ fails, critical = true }: CheckModel) => fails === undefined ? 'pass' : critical ? 'fail' : 'warn'
  const is = Object.entries<any>(told).map(([name, { status, durationMs, checkedAt }]) =>
    `${name} ${status} ${typeof durationMs} ${typeof checkedAt}`)
  const should = checks.map(check => `${check.name} ${outcome(check)} number string`)
  return is.join() === should.join() ? undefined : `checks ${is} in place of ${should}`
}

// Requests

/** A valid request. */
export interface Request {
  readonly method: string
  readonly target: string
  readonly operator: boolean
  /** Whether it has a body, with a length or chunked. */
  readonly body: boolean
  /** Whether it is the last request on its connection and announces that. */
  readonly closes: boolean
}

/** The bytes of a request, and their meaning. */
export interface Message extends Request {
  readonly bytes: Buffer
  /** The statuses that may reject an invalid request. The server may also accept it. */
  readonly refusals?: readonly number[]
}

export type MessageOf = (site: Site, last: boolean) => Message

const weighed = <T>(...choices: Array<[weight: number, arbitrary: fc.Arbitrary<T>]>) =>
  fc.oneof(...choices.map(([weight, arbitrary]) => ({ weight, arbitrary })))

const METHODS = ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'TRACE', 'PROPFIND', 'SEARCH', 'PURGE', 'M-SEARCH']
const NAMES = [
  'live', 'ready', 'startup', 'broken', 'slow', 'live', 'ready', 'startup', 'broken', 'slow',
  'stuck', 'loud', 'A.b_c-9', '__proto__', 'nowhere', 'toString', 'LIVE'
]
const CHECKS = [
  'database', 'cache', 'disk', 'migrations', 'a', 'b', 'hang',
  'default', 'constructor', '__proto__', 'hasOwnProperty', '%64isk', ''
]

const piece = weighed(
  [4, fc.constantFrom('x', 'live', 'ready', '.', '..', '-', '_', '~', '/', '//', ...';:*@&=+,!$')],
  [2, fc.constantFrom(...'"<>\\^`{}|[]()\'')],
  [2, fc.constantFrom('%41', '%2F', '%2f', '%25', '%3F', '%23', '%2541', '%252F', '%2e%2e', '%22', '%7F')],
  [2, fc.constantFrom('%C3%A9', '%F0%9F%92%94', '%E2%80%A8', '%00', '%0D%0A')],
  [1, fc.constantFrom('%', '%z', '%zz', '%4', '%ff', '%C3', '%ED%A0%80', '%u0041')],
  [1, fc.constantFrom('a', '%20', '%C3%A9', '/..', '%F0%9F%92%94', '%5C').chain(text =>
    fc.constantFrom(30, 101, 1000).map(times => text.repeat(times)))]
)
const noise = fc.array(piece, { maxLength: 5 }).map(pieces => pieces.join(''))
const query = weighed(
  [3, fc.constantFrom(
    '?verbose', '?verbose=0', '?exclude=database', '?exclude=a&exclude=b',
    '?verbose&exclude=database', '?exclude=%64isk&verbose'
  )],
  [2, fc.constantFrom(
    '?', '??verbose', '?VERBOSE', '?a=verbose', '?exclude', '?exclude=__proto__&verbose',
    '?&&=&', '?%zz', '?verbose=%ff', '?a#verbose'
  )],
  [1, noise.map(noise => `?${noise}`)],
  [1, fc.constantFrom('exclude=x&', 'a=').chain(part =>
    fc.constantFrom(1, 100, 1000).map(times => `?${part.repeat(times)}`))]
)
/** Percent-encodes some of the characters, which doesn't change the meaning. */
const escaped = (text: string, every: number) => every === 0
  ? text
  : text.replace(/%..|\w/gs, (found, i) =>
    found.startsWith('%') || i % every > 0 ? found : `%${found.charCodeAt(0).toString(16)}`)

const pathOf = ({ paths, root }: Site, name: string) => Object.hasOwn(paths, name) ? paths[name]! : `${root}/${name}`

type Base = (site: Site, name: string, noise: string, check: string) => string

const target: fc.Arbitrary<(site: Site) => string> = fc.record({
  base: weighed<Base>(
    [16, fc.constant((site, name) => pathOf(site, name))],
    [4, fc.constant((site, name, _noise, check) => `${pathOf(site, name)}/${check}`)],
    [3, fc.constant((site, _name, noise) => `${site.root}/${noise}`)],
    [1, fc.constant((site, name, noise) => `${pathOf(site, name)}${noise}`)],
    [1, fc.constant((_site, _name, noise) => `/${noise}`)],
    [1, fc.constant(site => site.root || '/')],
    [1, fc.constant(() => '/hello')]
  ),
  name: fc.constantFrom(...NAMES),
  check: fc.constantFrom(...CHECKS),
  noise,
  every: weighed([4, fc.constant(0)], [1, fc.integer({ min: 1, max: 5 })]),
  query: weighed([5, fc.constant('')], [4, query]),
  before: weighed([12, fc.constant('')], [1, fc.constantFrom('http://localhost', 'https://a.example:8443', 'http://[::1]')]),
  after: weighed([20, fc.constant('')], [1, fc.constantFrom('#', '#verbose', '#?verbose')])
}).map(({ base, name, check, noise, every, query, before, after }) => site => {
  const target = escaped(base(site, name, noise, check), every) + query + after
  // Fastify's versions differ if a target has both.
  return before === '' ? target : before + target.replace(/#.*/, '')
})

const header = weighed(
  [3, fc.constantFrom(
    'Accept: */*', 'Accept: text/html', 'Accept: ', 'Accept-Encoding: gzip, br', 'Accept-Version: 9.9.9',
    'User-Agent: kube-probe/1.31', 'If-None-Match: *', 'If-Modified-Since: Thu, 01 Jan 2037 00:00:00 GMT',
    'Range: bytes=0-3', 'Cookie: a=b; __proto__=c', 'Authorization: Basic Og==', 'Origin: https://example.org', 'X-HTTP-Method-Override: DELETE',
    'X-Forwarded-For: 127.0.0.1', 'X-Forwarded-Prefix: /x', 'X-Original-URL: /hello', 'TE: trailers', 'Trailer: X',
    'Keep-Alive: timeout=1', 'Proxy-Connection: x', 'Connection: X-Operator', 'Via: 1.0 a', '__proto__: x', 'constructor: x',
    'Content-Type: application/json', 'Content-Type: text/plain', 'Content-Type: multipart/form-data', 'Content-Type: x',
    'Content-Type: ', 'Content-Encoding: gzip', 'Upgrade: h2c', 'Expect: 100-continue'
  )],
  [1, fc.tuple(fc.stringMatching(/^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,12}$/), fc.stringMatching(/^[\t\x20-\x7e\x80-\xff]{0,40}$/))
    .map(([name, value]) => `X-${name}: ${value}`)],
  [1, fc.constantFrom(100, 4000).map(length => `X: ${'x'.repeat(length)}`)]
)

const CONTENTS = ['', '{}', '{', 'null', 'GET /hello HTTP/1.1\r\n\r\n', '\r\n\r\n', '{"__proto__":1}', 'x'.repeat(20_000)]
interface Body { readonly headers: readonly string[], readonly bytes: string }

const body = weighed<Body>(
  [4, fc.constant({ headers: [], bytes: '' })],
  [2, fc.constantFrom(...CONTENTS).map(bytes => ({ headers: [`Content-Length: ${bytes.length}`], bytes }))],
  [2, fc.record({
    chunks: fc.array(fc.constantFrom('a', '{}', '0\r\n\r\n', 'x'.repeat(5000)), { maxLength: 3 }),
    extension: fc.constantFrom('', ';a=b'),
    trailer: fc.constantFrom('', 'X: y\r\n')
  }).map(({ chunks, extension, trailer }) => ({
    headers: [CHUNKED],
    bytes: chunks.map(chunk => `${chunk.length.toString(16)}${extension}\r\n${chunk}\r\n`).join('') + `0\r\n${trailer}\r\n`
  }))]
)

/** Node.js rejects a head of more than 16 KiB. Slightly below that it may do either. */
const tooLong = (head: string | Buffer) => head.length > 15_000

const proper: fc.Arbitrary<MessageOf> = fc.record({
  method: weighed([8, fc.constant('GET')], [3, fc.constant('HEAD')], [3, fc.constantFrom(...METHODS)]),
  target,
  operator: fc.boolean(),
  headers: fc.array(header, { maxLength: 4 }),
  body,
  old: weighed([9, fc.constant(false)], [1, fc.constant(true)])
}).map(({ method, target: at, operator, headers, body, old }) => (site, last) => {
  const target = at(site)
  // HTTP/1.0 closes the connection by default, and doesn't support chunks.
  const http10 = last && old && !body.headers.includes(CHUNKED)
  const fields = ['Host: localhost', ...headers, ...body.headers]
  if (operator) fields.push(OPERATOR)
  if (last && !http10) fields.push('Connection: close')
  const head = [`${method} ${target} HTTP/${http10 ? '1.0' : '1.1'}`, ...fields, '', ''].join('\r\n')
  const refusals = tooLong(head) ? { refusals: [431] } : {}
  const hasBody = body.bytes !== ''
  return { method, target, operator, body: hasBody, closes: last, bytes: Buffer.from(head + body.bytes, 'latin1'), ...refusals }
})

/** Placeholder for a request inside the body of another one. The server must never execute it. */
const SMUGGLED = '<smuggled>'

type Write = (line: string) => string
const after = (rest: string): Write => line => `${line}\r\nHost: localhost\r\n${rest}`
const inTarget = (text: string): Write => line => `${line.replace(/ HTTP/, `${text} HTTP`)}\r\nHost: localhost\r\n\r\n`
const first = (pattern: RegExp, text: string): Write => line => `${line.replace(pattern, text)}\r\nHost: localhost\r\n\r\n`

/** Invalid messages, and the statuses that may reject them. */
const IMPROPER: Record<string, readonly [write: Write, ...refusals: number[]]> = {
  'a head of 64 KB': [after(`X: ${'x'.repeat(65_536)}\r\n\r\n`), 431],
  '64 KB of headers': [after(`${'X: xxxxxxxxxxxx\r\n'.repeat(4096)}\r\n`), 431],
  'a target of 64 KB': [inTarget('/x'.repeat(32_768)), 431, 400],
  'two lengths': [after(`Content-Length: 0\r\nContent-Length: 60\r\n\r\n${SMUGGLED}`), 400],
  'a length and chunks': [after(`Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`), 400],
  'chunks and a length': [after(`Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n${SMUGGLED}`), 400],
  'a length that is no number': [after(`Content-Length: +5\r\n\r\nabcde${SMUGGLED}`), 400],
  'a negative length': [after(`Content-Length: -1\r\n\r\n${SMUGGLED}`), 400],
  'a length beyond all': [after(`Content-Length: 99999999999999999999\r\n\r\n${SMUGGLED}`), 400],
  'a space before a colon': [after(`Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`), 400],
  'a last coding that is not chunked': [after(`Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n${SMUGGLED}`), 400],
  'a coding alone': [after(`Transfer-Encoding: identity\r\n\r\n${SMUGGLED}`), 400],
  'a chunk of no size': [after('Transfer-Encoding: chunked\r\n\r\nzz\r\n\r\n'), 400],
  'a chunk shorter than it says': [after(`Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n${SMUGGLED}`), 400],
  'an endless extension of a chunk': [after(`Transfer-Encoding: chunked\r\n\r\n1;${'a'.repeat(65_536)}\r\nx\r\n`), 400, 413],
  'no host': [line => `${line}\r\n\r\n`, 400],
  'lines that end with LF': [line => `${line}\nHost: localhost\n\n`, 400],
  'a CR within a header': [after('X: x\rY: y\r\n\r\n'), 400],
  'a NUL within a header': [after('X: a\0b\r\n\r\n'), 400],
  'a folded header': [after('X: a\r\n b\r\n\r\n'), 400],
  'a header without a name': [after(': x\r\n\r\n'), 400],
  'a header without a colon': [after('X\r\n\r\n'), 400],
  'a byte beyond ASCII in the target': [inTarget('\xe9'), 400],
  'a control character in the target': [inTarget('\x01'), 400],
  'a space in the target': [inTarget(' x'), 400],
  'a version that there is not': [first(/HTTP.*/, 'HTTP/1.9'), 400, 505],
  'HTTP/2': [() => 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 505],
  TLS: [() => '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400],
  'a method that there is not': [first(/^\S+/, 'FOO'), 400],
  'a method in lower case': [first(/^\S+/, 'get'), 400],
  'a tunnel': [() => 'CONNECT example.org:443 HTTP/1.1\r\nHost: example.org\r\n\r\n'],
  'an expectation': [after('Expect: the worst\r\n\r\n'), 417],
  'half a head': [line => `${line}\r\nHost: loc`, 400],
  'half a first line': [line => line.slice(0, -9), 400],
  'half a body': [after('Content-Length: 100\r\n\r\nabc'), 400],
  'half a chunk': [after('Transfer-Encoding: chunked\r\n\r\nff\r\nabc'), 400],
  noise: [() => '\xff\xfe\0\0noise\r\n\r\n', 400],
  'an answer': [() => 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n', 400]
}

const improper: fc.Arbitrary<MessageOf> = fc.record({
  what: fc.constantFrom(...Object.keys(IMPROPER)),
  method: fc.constantFrom('GET', 'GET', 'HEAD', 'POST', 'PUT'),
  target
}).map(({ what, method, target: at }) => site => {
  const target = at(site)
  const [write, ...refusals] = IMPROPER[what]!
  const smuggled = `GET ${site.paths.broken} HTTP/1.1\r\nHost: localhost\r\n\r\n`
  const bytes = Buffer.from(write(`${method} ${target} HTTP/1.1`).replace(SMUGGLED, smuggled), 'latin1')
  const [head] = bytes.toString('latin1').split('\r\n\r\n')
  const body = /^(transfer-encoding *:|content-length: *[1-9])/im.test(head!)
  return { method, target, operator: false, body, closes: false, refusals: tooLong(bytes) ? [...refusals, 431] : refusals, bytes }
})

/** Everything that is sent on one connection, and how. */
export interface Session {
  /** The index of the site. */
  readonly site: number
  readonly messages: readonly MessageOf[]
  /** Where the data is split into writes, as fractions of its length. `bytes` writes every byte separately. */
  readonly cuts: readonly number[] | 'bytes'
  /** Waits until the server closes the connection, half-closes it after the last write, or destroys it. */
  readonly ends: 'waits' | 'half' | 'aborts'
}

export const sessions: fc.Arbitrary<Session> = fc.record({
  site: fc.nat(1000),
  messages: fc.tuple(fc.array(proper, { maxLength: 8 }), weighed([4, proper], [1, improper]))
    .map(([some, last]) => [...some, last]),
  cuts: weighed<Session['cuts']>(
    [6, fc.constant([])],
    [3, fc.array(fc.noBias(fc.nat(1000)).map(at => at / 1000), { minLength: 1, maxLength: 6 })],
    [1, fc.constant('bytes')]
  ),
  ends: weighed<Session['ends']>([10, fc.constant('waits')], [1, fc.constantFrom('half', 'aborts')])
})
