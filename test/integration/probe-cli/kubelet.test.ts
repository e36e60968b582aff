// Servers that are odd or broken, and what the kubelet's own prober makes of each. The outcomes were recorded with the Go code of
// pkg/kubelet/prober and pkg/probe/http (Kubernetes 1.36, Go 1.26): `error` is a result that the kubelet discards after three attempts.
import { readFile } from 'node:fs/promises'
import { createServer as createHttpsServer, type ServerOptions } from 'node:https'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { systemTime } from '../../../lib/clock.js'
import { FakeTime } from '../../helpers/time.js'
import { command, listen, raw } from './command.js'

type Outcome = 'success' | 'warning' | 'failure' | 'error'
interface Request { readonly path: string, readonly port: number, readonly head: string, readonly stall: () => Promise<void> }
type Server = (socket: Socket, request: Request) => unknown

const sends = (...parts: string[]): Server => socket => socket.end(parts.join(''), 'latin1')
/** Sends that much, and nothing more until the timeout. */
const stalls = (...parts: string[]): Server => async (socket, { stall }) => {
  if (parts.length > 0) await new Promise(resolve => socket.write(parts.join(''), resolve))
  await stall()
}
const resets = (...parts: string[]): Server => async socket => {
  await new Promise(resolve => socket.write(parts.join(''), resolve))
  await turns()
  socket.resetAndDestroy()
}
/** Lets the command read what has been sent. */
const turns = async () => { for (let turn = 0; turn < 10; turn++) await setImmediate() }

const OK = 'HTTP/1.1 200 OK\r\n'
const NO = 'HTTP/1.1 503 No\r\n'
const CHUNKED = 'Transfer-Encoding: chunked\r\n'
const length = (bytes: number) => `Content-Length: ${bytes}\r\n\r\n`
const status = (code: number, ...fields: string[]) =>
  sends([`HTTP/1.1 ${code} Whatever`, 'Content-Length: 2', ...fields].join('\r\n'), '\r\n\r\n', code === 204 || code === 304 ? '' : 'ok')
const statuses = (codes: number[], outcome: Outcome) =>
  Object.fromEntries(codes.map((code): [string, [Outcome, Server]] => [`${code}`, [outcome, status(code)]]))
/** A valid response, with another header. */
const header = (line: string) => sends(`${OK}${line}\r\nContent-Length: 2\r\n\r\nok`)
/** `/` redirects; any other path gets a 200. */
const redirects = (location: string | ((port: number) => string), code = 302): Server => (socket, request) => {
  const to = typeof location === 'string' ? location : location(request.port)
  return (request.path === '/' ? status(code, `Location: ${to}`) : status(200))(socket, request)
}
/** `/` gets one response, any other path another. */
const first = (one: Server, other: Server = status(200)): Server => (socket, request) => (request.path === '/' ? one : other)(socket, request)
/** `/` redirects to `/1`, that to `/2`, and so on. */
const chain = (count: number, end: Server = status(200)): Server => (socket, request) => {
  const step = Number(request.path.slice(1))
  return (step < count ? status(302, `Location: /${step + 1}`) : end)(socket, request)
}
const x = (bytes: number) => 'x'.repeat(bytes)

const same: Record<string, [kubelet: Outcome, server: Server]> = {
  ...statuses([200, 201, 204, 226, 299], 'success'),
  ...statuses([300, 301, 302, 304, 305, 307, 308, 399], 'warning'),
  ...statuses([400, 401, 404, 429, 500, 503, 599, 600, 999], 'failure'),

  // Status lines
  'a status of two digits': ['failure', sends('HTTP/1.1 20 OK\r\n', length(0))],
  'a status of four digits': ['failure', sends('HTTP/1.1 2000 OK\r\n', length(0))],
  'a status that starts with 0': ['failure', sends('HTTP/1.1 099 OK\r\n', length(0))],
  'a status with a sign': ['failure', sends('HTTP/1.1 +20 OK\r\n', length(0))],
  'a status that is no number': ['failure', sends('HTTP/1.1 abc OK\r\n', length(0))],
  'no reason': ['success', sends('HTTP/1.1 200\r\n', length(0))],
  'an empty reason': ['success', sends('HTTP/1.1 200 \r\n', length(0))],
  'a control character in the reason': ['success', sends('HTTP/1.1 200 O\x01K\r\n', length(0))],
  'HTTP/2.0 in a status line': ['success', sends('HTTP/2.0 200 OK\r\n', length(0))],
  'HTTP/1.10': ['failure', sends('HTTP/1.10 200 OK\r\n', length(0))],
  'HTTP in lower case': ['failure', sends('http/1.1 200 OK\r\n', length(0))],
  ICY: ['failure', sends('ICY 200 OK\r\n\r\n')],
  'another protocol': ['failure', sends('-ERR unknown command\r\n')],
  'a body without a head': ['failure', sends('ok')],
  'an empty line before the response': ['failure', sends('\r\n', OK, length(0))],

  // Headers
  'a bare CR in a header': ['failure', header('A: b\rc')],
  'a NUL in a header': ['failure', header('A: b\0c')],
  'a control character in a header': ['failure', header('A: b\x01c')],
  'a DEL in a header': ['failure', header('A: b\x7fc')],
  'Latin-1 in a header': ['success', header('A: \xe9')],
  'a header without a colon': ['failure', header('A b')],
  'a header without a name': ['failure', header(': b')],
  'a continued line as the first header': ['failure', header(' A: b')],
  '5,000 headers': ['success', header('A: b\r\n'.repeat(5000).trimEnd())],
  'headers of 500 KiB': ['success', header(`A: ${x(500 * 1024)}`)],
  'headers of 11 MiB': ['failure', header(`A: ${x(11 * 1024 * 1024)}`)],

  // Framing
  'HTTP/1.0': ['success', sends('HTTP/1.0 200 OK\r\n\r\nok')],
  'HTTP/1.0 with a failure': ['failure', sends('HTTP/1.0 503 No\r\n\r\nno')],
  'HTTP/1.0 with chunks': ['success', sends('HTTP/1.0 200 OK\r\n', CHUNKED, '\r\n2\r\nok\r\n0\r\n\r\n')],
  'a body without a length': ['success', sends(OK, '\r\nok')],
  'a body in chunks': ['success', sends(OK, CHUNKED, '\r\n2\r\nok\r\n0\r\n\r\n')],
  'a body in chunks with a trailer': ['success', sends(OK, CHUNKED, '\r\n2;a=b\r\nok\r\n0\r\nA: b\r\n\r\n')],
  'a failure in chunks': ['failure', sends(NO, CHUNKED, '\r\n2\r\nok\r\n0\r\n\r\n')],
  'Transfer-Encoding: gzip, chunked': ['failure', sends(OK, 'Transfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n')],
  'Transfer-Encoding: identity': ['failure', sends(OK, 'Transfer-Encoding: identity\r\n', length(2), 'ok')],
  'two different lengths': ['failure', sends(OK, 'Content-Length: 2\r\n', length(3), 'ok')],
  'a negative length': ['failure', sends(OK, length(-2), 'ok')],
  'a length with a sign': ['failure', sends(OK, 'Content-Length: +2\r\n\r\nok')],
  'an empty length': ['failure', sends(OK, 'Content-Length:\r\n\r\nok')],
  'a length that is no number': ['failure', sends(OK, 'Content-Length: two\r\n\r\nok')],
  'a body after a 204': ['success', sends('HTTP/1.1 204 No Content\r\n\r\nok')],
  'a length of a 304': ['warning', sends('HTTP/1.1 304 Not Modified\r\n', length(10))],
  'more bytes than the length': ['success', sends(OK, length(2), 'ok, and more')],
  'two responses': ['success', sends(OK, length(2), 'ok', NO, '\r\n')],
  'an invalid gzip': ['success', sends(OK, 'Content-Encoding: gzip\r\n', length(2), 'ok')],

  // Interim responses
  '100 before a 200': ['success', sends('HTTP/1.1 100 Continue\r\n\r\n', OK, length(0))],
  '103 before a 503': ['failure', sends('HTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\n', NO, length(0))],
  '100 interim responses': ['success', sends('HTTP/1.1 102 Processing\r\n\r\n'.repeat(100), OK, length(0))],
  '100 and nothing else': ['failure', stalls('HTTP/1.1 100 Continue\r\n\r\n')],
  '199 and nothing else': ['failure', sends('HTTP/1.1 199 Whatever\r\n\r\n')],
  // With `Upgrade` the kubelet waits indefinitely.
  '101 with Upgrade': ['failure', stalls('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n')],
  '101 without Upgrade': ['failure', sends('HTTP/1.1 101 Switching Protocols\r\n\r\n')],

  // Heads that don't arrive
  'no response': ['failure', stalls()],
  'a head that stalls': ['failure', stalls(OK, 'A: b')],
  'a connection that closes': ['failure', sends('')],
  'a head that is cut off': ['failure', sends(OK, 'Content-Le')],
  'a head without an empty line': ['failure', sends(OK, 'Content-Length: 0\r\n')],
  'a reset': ['failure', socket => { socket.resetAndDestroy() }],
  'a reset within the head': ['failure', resets(OK)],

  // Bodies that don't arrive
  'a body that stalls': ['error', stalls(OK, length(3), 'ok')],
  'a body of a 503 that stalls': ['error', stalls(NO, length(3), 'no')],
  'a body without a length that stalls': ['error', stalls(OK, '\r\nok')],
  'a body of HTTP/1.0 that stalls': ['error', stalls('HTTP/1.0 200 OK\r\n\r\nok')],
  'a body without a length that is reset': ['error', resets(OK, '\r\nok')],
  'a body that is cut off': ['error', sends(OK, length(3), 'ok')],
  'a body of a 503 that is cut off': ['error', sends(NO, length(3), 'no')],
  'a body that is reset': ['error', resets(OK, length(3), 'ok')],
  'chunks that stall': ['error', stalls(OK, CHUNKED, '\r\n2\r\nok\r\n')],
  'chunks that are cut off': ['error', sends(OK, CHUNKED, '\r\n2\r\nok\r\n')],
  'chunks without the last line': ['error', sends(OK, CHUNKED, '\r\n2\r\nok\r\n0\r\n')],
  'chunks without a size': ['error', sends(OK, CHUNKED, '\r\nmany\r\nok\r\n')],
  'chunks with bare LF': ['error', sends(OK, CHUNKED, '\r\n2\nok\n0\n\n')],
  '10 KiB without 1 byte that stall': ['error', stalls(OK, length(20_000), x(10_239))],
  '10 KiB without 1 byte that are cut off': ['error', sends(OK, length(20_000), x(10_239))],
  '10 KiB that stall': ['success', stalls(OK, length(20_000), x(10_240))],
  '12 KiB without a length that stall': ['success', stalls(OK, '\r\n', x(12_000))],
  '12 KiB in chunks that stall': ['success', stalls(OK, CHUNKED, '\r\n4e20\r\n', x(12_000))],
  'a 503 of 20 KB': ['failure', sends(NO, length(20_000), x(20_000))],
  'a connection that stays open': ['success', stalls(OK, length(2), 'ok')],

  // Redirects
  ...Object.fromEntries([301, 302, 303, 307, 308].map(code => [`${code} to the same host`, ['success', redirects('/next', code)]])),
  ...Object.fromEntries([300, 304, 305, 306, 309].map(code => [`${code} with a Location`, ['warning', redirects('/next', code)]])),
  '201 with a Location': ['success', redirects('/next', 201)],
  '503 with a Location': ['failure', redirects('/next', 503)],
  'a redirect to a failure': ['failure', first(redirects('/next'), status(503))],
  'a redirect to the same host by name': ['success', redirects(port => `http://127.0.0.1:${port}/next`)],
  'a redirect with a scheme in upper case': ['success', redirects(port => `HTTP://127.0.0.1:${port}/next`)],
  'a redirect without a scheme': ['success', redirects(port => `//127.0.0.1:${port}/next`)],
  'a redirect to a relative path': ['success', redirects('../next')],
  'a redirect to a query': ['success', redirects('?next')],
  'a redirect with a space': ['success', redirects('/ne xt')],
  'a redirect with an invalid escape': ['failure', redirects('/%zz')],
  'a redirect with backslashes, which are part of a path': ['failure', first(redirects('\\\\elsewhere.example\\'), status(503))],
  'a redirect to no URL': ['failure', redirects('http://[/')],
  'a redirect to port 99999': ['failure', redirects('http://127.0.0.1:99999/')],
  'a redirect to a closed port': ['failure', redirects('http://127.0.0.1:1/')],
  'a redirect to ftp on the same host': ['failure', redirects('ftp://127.0.0.1/')],
  'a redirect without a Location': ['warning', status(302)],
  'a redirect with an empty Location': ['warning', redirects('')],
  'a redirect to another host': ['warning', redirects('http://elsewhere.example/')],
  'a redirect to another address': ['warning', redirects('//127.0.0.2/')],
  'a redirect to another name of the same host': ['warning', redirects(port => `http://localhost:${port}/next`)],
  'a redirect to another host by ftp': ['warning', redirects('ftp://elsewhere.example/')],
  'a redirect to no host': ['warning', redirects('mailto:me@example.com')],
  'a redirect to another host whose body stalls': ['error', stalls('HTTP/1.1 302 Found\r\nLocation: //127.0.0.2/\r\n', length(3), 'ok')],
  'two Locations': ['success', redirects('/next\r\nLocation: http://[/')],
  'a redirect loop': ['failure', redirects('/')],
  'nine redirects': ['success', chain(9)],
  'ten redirects': ['failure', chain(10)],
  'nine redirects, then one to another host': ['warning', chain(9, status(302, 'Location: http://elsewhere.example/'))],
  'a redirect whose short body stalls': ['failure', first(stalls('HTTP/1.1 302 Found\r\nLocation: /next\r\n', length(9), 'ok'))],
  'a redirect whose long body stalls': ['success', first(socket => { socket.write(`HTTP/1.1 302 Found\r\nLocation: /next\r\n${length(9999)}ok`) })]
}

/** Not recorded: these outcomes follow from the sources of Go's `net/http` and `net/url`. */
const derived: Record<string, [kubelet: Outcome, server: Server]> = {
  RTSP: ['failure', sends('RTSP/1.0 200 OK\r\n', length(0))],
  'Transfer-Encoding: identity, after 2,000 headers': ['failure', header('A: b\r\n'.repeat(3000) + 'Transfer-Encoding: identity')],
  '12 KiB that are reset': ['success', resets(OK, length(20_000), x(12_000))],
  'a redirect with a control character': ['failure', redirects('/\tnext')],
  'a redirect with a colon in its first segment': ['failure', redirects(':next')],
  'a redirect with three slashes, which are part of a path': ['failure', first(redirects('///elsewhere.example/'), status(503))],
  'a redirect whose body has no length and stalls': ['failure', first(stalls('HTTP/1.1 302 Found\r\nLocation: /next\r\n\r\nok'))],
  'a redirect whose short body is cut off': ['success', first(sends('HTTP/1.1 302 Found\r\nLocation: /next\r\n', length(9), 'ok'))]
}

/** The kubelet calls these healthy. The reason is in docs/healthz-probe.md. */
const stricter: Record<string, [kubelet: Outcome, server: Server]> = {
  'a bare LF': ['success', sends('HTTP/1.1 200 OK\nContent-Length: 0\n\n')],
  'two spaces before the status': ['success', sends('HTTP/1.1  200 OK\r\n', length(0))],
  'HTTP/1.2': ['success', sends('HTTP/1.2 200 OK\r\n', length(0))],
  'a space in the name of a header': ['success', header('A b: c')],
  'a space after the name of a header': ['success', header('A : b')],
  'a continued line': ['success', header('A: b\r\n c')],
  'Content-Length beside chunks': ['success', sends(OK, 'Content-Length: 2\r\n', CHUNKED, '\r\n2\r\nok\r\n0\r\n\r\n')],
  'two equal lengths': ['success', sends(OK, 'Content-Length: 2\r\n', length(2), 'ok')],
  'headers of 2 MiB': ['success', header(`A: ${x(2 * 1024 * 1024)}`)],
  'a redirect without slashes, which URL takes for a relative one': ['warning', first(redirects('http:next'), status(503))]
}

const messages: Record<Outcome, RegExp> = {
  success: /^$/,
  warning: /, counts as healthy\n$/,
  failure: /^(?!.*the kubelet would ignore).+\n$/,
  error: / \(the kubelet would ignore this attempt\)\n$/
}

/** Probes a server of the table. On its clock the timeout passes only where a server stalls. */
async function run (t: Test, server: Server) {
  const time = new FakeTime()
  const stall = async () => {
    await turns()
    await time.advance(1000)
  }
  const { port } = await raw(t, (socket, head) => server(socket, { path: head.split(' ')[1]!, port, head, stall }))
  return command([`${port}/`], { time })
}
for (const [name, [kubelet, server]] of Object.entries({ ...same, ...derived })) {
  t.test(`${name}: ${kubelet}, as with the kubelet`, async t => {
    const { code, stderr } = await run(t, server)
    t.match(stderr, messages[kubelet])
    t.equal(code, kubelet === 'success' || kubelet === 'warning' ? 0 : 1)
  })
}

for (const [name, [kubelet, server]] of Object.entries(stricter)) {
  t.test(`${name}: failure, though ${kubelet} with the kubelet`, async t => {
    const { code, stderr } = await run(t, server)
    t.match(stderr, messages.failure)
    t.equal(code, 1)
  })
}

t.test('an abbreviated address counts as the same host, though as another one with the kubelet', async t => {
  t.match(await run(t, redirects(port => `http://127.1:${port}/next`)), { code: 0, stderr: '' })
})

t.test('TLS', async t => {
  const file = (name: string) => readFile(join(__dirname, '../../fixtures/tls', name))
  const certificate = { key: await file('key.pem'), cert: await file('cert.pem') }
  const secure = (t: Test, code: number, options: ServerOptions = {}) =>
    listen(t, createHttpsServer({ ...certificate, ...options }, (_request, response) => response.writeHead(code).end()))
  const cases: Record<string, [kubelet: Outcome, code: number, options?: ServerOptions]> = {
    'a certificate that can\'t be verified': ['success', 200],
    'a 503': ['failure', 503],
    'only TLS 1.2': ['success', 200, { maxVersion: 'TLSv1.2' }],
    'only TLS 1.1': ['failure', 200, { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1' }],
    'a server that wants a certificate': ['failure', 200, { requestCert: true, rejectUnauthorized: true }],
    'a server of another protocol': ['failure', 200, { ALPNProtocols: ['foo'] }]
  }
  for (const [name, [kubelet, code, options]] of Object.entries(cases)) {
    t.test(`${name}: ${kubelet}`, async t => {
      t.match(await command([`https://127.0.0.1:${await secure(t, code, options)}/`]), {
        code: kubelet === 'success' ? 0 : 1, stderr: messages[kubelet]
      })
    })
  }

  t.test('a redirect to TLS: success', async t => {
    const port = await secure(t, 200)
    t.match(await run(t, redirects(`https://127.0.0.1:${port}/`)), { code: 0, stderr: '' })
  })

  t.test('HTTP to a server with TLS: failure', async t => {
    t.match(await command([`${await secure(t, 200)}/`]), { code: 1, stderr: messages.failure })
  })

  t.test('TLS to a server without it: failure', async t => {
    const { port } = await raw(t, sends('HTTP/1.1 400 Bad Request\r\n\r\n') as (socket: Socket) => void)
    t.match(await command([`https://127.0.0.1:${port}/`, '--timeout=200ms'], { time: systemTime }), { code: 1, stderr: /TLS handshake (?:failed|timed out)/ })
  })
})
