import dns, { type LookupAddress } from 'node:dns'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer as createHttpsServer } from 'node:https'
import { createServer, Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { type Plan, readArguments } from '../../../lib/probe-cli/arguments.js'
import { attempt } from '../../../lib/probe-cli/attempt.js'
import type { Time } from '../../../lib/clock.js'
import { FakeTime } from '../../helpers/time.js'
import { listen, raw, web } from './command.js'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** Tries once. The clock stands still unless another is given, so that a slow machine never makes it time out. */
const ask = (args: Array<string | number>, time: Time = new FakeTime()) => attempt(readArguments(args.map(String), {}) as Plan, time)

t.test('the result has the outcome, the response, and the duration by the clock', async t => {
  const time = new FakeTime()
  const { port } = await raw(t, async socket => {
    await time.advance(30)
    socket.end(OK)
  })
  t.strictSame(await ask([port], time), {
    outcome: 'success', answer: { status: 200, statusText: '200 OK', location: undefined, body: 'ok' }, error: undefined, durationMs: 30
  })
  t.equal(time.timers, 0, 'the timeout is forgotten')
})

t.test('the connection is closed after the response, even if the server would keep it open', async t => {
  let closed: Promise<unknown> | undefined
  const { port } = await raw(t, socket => {
    closed = once(socket, 'end')
    socket.write(OK)
  })
  t.match(await ask([port]), { outcome: 'success' })
  await t.resolves(closed!)
})

t.test('headers are sent after Host, in the given order, in Latin-1', async t => {
  const { port, heads } = await raw(t, socket => socket.end(OK))
  await ask(['--header', 'X-Key: é', '--header', 'Host: app.example', '--header', 'a:', `${port}/livez?verbose`])
  t.strictSame(heads, ['GET /livez?verbose HTTP/1.1\r\nHost: app.example\r\nX-Key: é\r\na: \r\nConnection: close\r\n\r\n'])
})

t.test('a name is resolved, and sent as Host', async t => {
  const { port, requests } = await web(t, (_request, response) => response.end())
  t.match(await ask([`http://localhost:${port}/livez`]), { outcome: 'success' })
  t.strictSame(requests, [`localhost:${port} /livez`])
})

t.test('a Unix socket is probed, and redirects are followed on it', async t => {
  // The path of a socket is too short for a folder of tap's.
  const folder = await mkdtemp(join(tmpdir(), 'healthz-probe-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const path = join(folder, 'app.sock')
  const { heads } = await raw(t, (socket, head) => socket.end(head.includes('/old')
    ? 'HTTP/1.1 302 Found\r\nLocation: /new\r\nContent-Length: 0\r\n\r\n'
    : OK), path)
  t.match(await ask([path]), { outcome: 'success' })
  t.match(await ask([`${path}:/old`]), { outcome: 'success' })
  t.strictSame(heads.map(head => head.split('\r\n').slice(0, 2).join(' ')), [
    'GET /healthz/ready HTTP/1.1 Host: localhost', 'GET /old HTTP/1.1 Host: localhost', 'GET /new HTTP/1.1 Host: localhost'
  ])
  t.match(await ask([`${folder}/none.sock`]), { outcome: 'failure', error: `connect ENOENT ${folder}/none.sock` })
  t.match(await ask(['./none.sock']), { outcome: 'failure', error: 'connect ENOENT ./none.sock' })
})

t.test('a custom Host is kept while the redirects are relative', async t => {
  const { port, requests } = await web(t, (request, response) => {
    const location = { '/': '/relative', '/relative': `http://127.0.0.1:${port}/absolute`, '/absolute': '/last' }[request.url!]
    if (location !== undefined) response.writeHead(302, { Location: location })
    response.end()
  })
  t.match(await ask(['--header', 'Host: app.example', `${port}/`]), { outcome: 'success' })
  t.strictSame(requests, ['app.example /', 'app.example /relative', `127.0.0.1:${port} /absolute`, `127.0.0.1:${port} /last`])
})

t.test('a redirect is followed, and reported, in UTF-8', async t => {
  const { port, heads } = await raw(t, (socket, head) => socket.end(head.startsWith('GET / ')
    ? `HTTP/1.1 302 Found\r\nLocation: //127.0.0.1:${port}/grün\r\nContent-Length: 0\r\n\r\n`
    : 'HTTP/1.1 302 Found\r\nLocation: //elsewhere.example/grün\r\nContent-Length: 0\r\n\r\n'))
  t.match(await ask([`${port}/`]), { outcome: 'warning', answer: { location: '//elsewhere.example/grün' } })
  t.match(heads[1], /^GET \/gr%C3%BCn /)
})

t.test('a redirect that can\'t be followed is an error, reported with its response', async t => {
  const { port, requests } = await web(t, (request, response) => {
    const location = decodeURIComponent(request.url!.slice(1)) || '/'
    response.writeHead(302, { Location: location }).end()
  })
  const to = (location: string) => ask([`${port}/${encodeURIComponent(location)}`])
  const found = { status: 302, statusText: '302 Found' }
  t.match(await to('ftp://127.0.0.1/'), {
    outcome: 'failure', error: 'redirects to `ftp://127.0.0.1/`, which is neither http nor https', answer: found
  })
  t.match(await to('http://[/'), { outcome: 'failure', error: 'redirects to the invalid URL `http://[/`', answer: found })
  t.match(await to('http://127.0.0.1:1/'), { outcome: 'failure', error: 'connect ECONNREFUSED 127.0.0.1:1', answer: found })
  requests.length = 0
  t.match(await to('/'), { outcome: 'failure', error: 'stopped after 10 redirects', answer: found })
  t.equal(requests.length, 10)
})

t.test('the error names the phase that failed', async t => {
  const failing = async (...parts: string[]) => ask([(await raw(t, socket => socket.end(parts.join('')))).port])
  const none = { outcome: 'failure', answer: undefined }
  const ok = { outcome: 'failure', answer: { status: 200, statusText: '200 OK', body: '' } }
  t.match(await ask(['http://127.0.0.1:1/']), { ...none, error: 'connect ECONNREFUSED 127.0.0.1:1' })
  t.match(await ask([`https://127.0.0.1:${(await web(t, () => {})).port}`]), { ...none, error: /^TLS handshake failed: [\w ]+$/ })
  t.match(await failing(''), { ...none, error: 'connection closed without a response' })
  t.match(await failing('SSH-2.0-OpenSSH_9.2\r\n'), { ...none, error: 'invalid HTTP response: Expected HTTP/' })
  t.match(await failing('HTTP/1.1 200 OK\r\nA\r\n\r\n'), { ...none, error: /^invalid HTTP response: [\w ]+$/ })
  t.match(await failing('HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n'), { ...none, error: 'unsupported Transfer-Encoding `gzip`' })
  t.match(await failing('HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n'), {
    ...none, error: 'the response switches to another protocol'
  })
  t.match(await failing('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok'), {
    ...ok, error: 'response body cut off (the kubelet would ignore this attempt)'
  })
  t.match(await failing('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n'), {
    ...ok, error: 'invalid HTTP response body: Invalid character in chunk size (the kubelet would ignore this attempt)'
  })
  t.intercept(dns, 'lookup', {
    // Names of more than one address, which this machine may have none of.
    value: (_name: string, _options: object, done: (error: null, addresses: LookupAddress[]) => void) =>
      done(null, [{ address: '127.0.0.1', family: 4 }, { address: '127.0.0.2', family: 4 }])
  })
  t.match(await ask(['http://app.example:1/']), {
    outcome: 'failure', error: 'connect ECONNREFUSED 127.0.0.1:1; connect ECONNREFUSED 127.0.0.2:1'
  }, 'at each of several addresses')
})

t.test('TLS', async t => {
  const file = (name: string) => readFile(join(__dirname, '../../fixtures/tls', name))
  const names: unknown[] = []
  const server = createHttpsServer({
    key: await file('key.pem'),
    cert: await file('cert.pem'),
    SNICallback (name, done) { names.push(name); done(null) }
  }, (request, response) => response.end(request.headers.host))
  const port = await listen(t, server)

  t.test('is not verified', async t => {
    t.match(await ask([`https://127.0.0.1:${port}/`]), { outcome: 'success', answer: { body: `127.0.0.1:${port}` } })
  })

  t.test('is verified with --tls-verify', async t => {
    t.match(await ask(['--tls-verify', `https://127.0.0.1:${port}/`]), { outcome: 'failure', error: /^TLS handshake failed: self[- ]signed certificate/ })
  })

  t.test('asks for the certificate of the URL\'s host, whatever Host says', async t => {
    names.length = 0
    t.match(await ask(['--header', 'Host: app.example', `https://localhost:${port}/`]), { outcome: 'success', answer: { body: 'app.example' } })
    t.strictSame(names, ['localhost'])
  })

  t.test('can be where a redirect leads to', async t => {
    const plain = await web(t, (_request, response) => response.writeHead(301, { Location: `https://127.0.0.1:${port}/` }).end())
    t.match(await ask([plain.port]), { outcome: 'success', answer: { body: `127.0.0.1:${port}` } })
  })

  t.test('has a default port of its own', async t => {
    const connections = t.capture(Socket.prototype, 'connect', function (this: Socket) { return this })
    const time = { now: () => 0, date: () => 0, start: setImmediate, cancel () {} }
    for (const url of ['https://[::1]/', 'http://[::1]/']) t.match(await ask([url], time), { outcome: 'failure' })
    t.match(connections().map(({ args }) => [args].flat(2)[0]), [{ host: '::1', port: 443 }, { host: '::1', port: 80 }])
  })
})

t.test('the timeout', async t => {
  const stalled = async (part: string) => {
    const time = new FakeTime()
    const { port } = await raw(t, async socket => {
      socket.write(part)
      await time.advance(249)
      await new Promise(resolve => socket.write('a', resolve))
      await time.advance(1)
    })
    return ask(['--timeout', '0.25s', port], time)
  }
  t.strictSame(await stalled('HTTP/1.1 200 OK\r\n'), {
    outcome: 'failure', answer: undefined, error: 'response timed out after 250 ms', durationMs: 250
  }, 'covers the head')
  t.strictSame(await stalled('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n'), {
    outcome: 'failure',
    answer: { status: 200, statusText: '200 OK', location: undefined, body: '' },
    error: 'response body timed out after 250 ms (the kubelet would ignore this attempt)',
    durationMs: 250
  }, 'covers the body')
  t.match(await stalled('HTTP/1.1 302 Found\r\nLocation: /next\r\nContent-Length: 9\r\n\r\n'), {
    outcome: 'failure', answer: { status: 302 }, error: 'response timed out after 250 ms'
  }, 'covers the body of a redirect')

  t.test('covers the TLS handshake', async t => {
    const time = new FakeTime()
    const port = await listen(t, createServer(socket => { socket.once('data', () => time.advance(1000)) }))
    t.match(await ask([`https://127.0.0.1:${port}/`], time), { outcome: 'failure', error: 'TLS handshake timed out after 1000 ms' })
  })

  t.test('covers the connection', async t => {
    const time = { now: () => 0, date: () => 0, start: queueMicrotask, cancel () {} }
    const { port } = await raw(t, () => {})
    t.match(await ask(['--timeout', '1m', port], time), { outcome: 'failure', error: 'connection timed out after 60000 ms' })
  })

  t.test('covers all redirects together', async t => {
    const time = new FakeTime()
    const { port, requests } = await web(t, async (_request, response) => {
      await time.advance(300)
      response.writeHead(302, { Location: '/next' }).end()
    })
    t.match(await ask([port], time), { outcome: 'failure', error: 'response timed out after 1000 ms', answer: { status: 302 } })
    t.equal(requests.length, 4)
  })
})
