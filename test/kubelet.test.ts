import t, { type Test } from 'tap'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { constants, createSecureServer, type ServerHttp2Stream } from 'node:http2'
import { createServer as createHttpsServer } from 'node:https'
import { connect, createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { setImmediate } from 'node:timers/promises'
import type { TLSSocket } from 'node:tls'
import { Worker } from 'node:worker_threads'
import { deferred } from './helpers/checks.js'
import { Kubelet, probe as probeWith, type KubeletOptions, type ProbeOptions, type ProbeResult, type ProbeSpec, type ProbeTarget } from './helpers/kubelet.js'
import { FakeTime } from './helpers/time.js'
import { tls } from './helpers/tls.js'

/** Listens on a free port until the test is over. */
async function listen (t: Test, server: Pick<Server, 'on' | 'listen' | 'close' | 'address'>, host = '127.0.0.1'): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', socket => { sockets.add(socket) })
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  server.listen(0, host)
  await once(server as Server, 'listening')
  return (server.address() as AddressInfo).port
}

/** A server that knows no HTTP: it hands over every request's head, and sends what it is told to. */
async function raw (t: Test, answer: (socket: Socket, head: string) => void): Promise<{ port: number, heads: string[] }> {
  const heads: string[] = []
  const server = createTcpServer({ allowHalfOpen: true }, socket => {
    let head = ''
    socket.on('error', () => {})
    socket.setEncoding('latin1').on('data', chunk => {
      head += chunk
      if (!head.endsWith('\r\n\r\n')) return
      heads.push(head)
      answer(socket, head)
    })
  })
  return { port: await listen(t, server), heads }
}

/** One probe. Its clock stands still unless another is given, so that a slow machine never makes it time out. */
function probe (target: ProbeTarget, options?: ProbeOptions): Promise<ProbeResult> {
  return probeWith(target, { time: new FakeTime(), ...options })
}

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** An HTTP server, and the requests that it got, as `Host /path`. */
async function web (t: Test, answer: (request: IncomingMessage, response: ServerResponse) => void): Promise<{ port: number, requests: string[] }> {
  const requests: string[] = []
  const port = await listen(t, createHttpServer((request, response) => {
    requests.push(`${request.headers.host} ${request.url}`)
    answer(request, response)
  }))
  return { port, requests }
}

function redirect (response: ServerResponse, location: string, status = 302): void {
  response.writeHead(status, { Location: location }).end()
}

/** Calls back whenever a client in this process has got the headers of an answer. */
function onHeaders (t: Test, callback: () => void): void {
  subscribe('http.client.response.finish', callback)
  t.teardown(() => unsubscribe('http.client.response.finish', callback))
}

t.test('what is sent is a GET by HTTP/1.1 with four headers', async t => {
  const { port, heads } = await raw(t, socket => socket.write(OK))
  t.match(await probe({ port, path: '/healthz/live?full' }), { result: 'success', status: 200, body: 'ok', output: 'ok', durationMs: Number })
  await probe({ port })
  t.strictSame(heads, ['/healthz/live?full', '/'].map(path => [
    `GET ${path} HTTP/1.1`, `Host: 127.0.0.1:${port}`, 'User-Agent: kube-probe/1.31', 'Accept: */*', 'Connection: close', '', ''
  ].join('\r\n')))
})

t.test('a path neither needs a slash nor leads to another host', async t => {
  const { port, heads } = await raw(t, socket => socket.write(OK))
  for (const path of ['live', '//elsewhere.example:81/live', 'https://elsewhere.example/live#top']) await probe({ port, path })
  for (const head of heads) t.match(head, `GET /live HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n`)
  t.equal(heads.length, 3)
})

t.test('IPv6 addresses and names are hosts too', async t => {
  const hosts: unknown[] = []
  const port = await listen(t, createHttpServer((request, response) => {
    hosts.push(request.headers.host)
    response.end()
  }), '::')
  t.match(await probe({ host: '::1', port, path: '/' }), { result: 'success' })
  t.match(await probe({ host: 'localhost', port, path: '/' }), { result: 'success' })
  t.strictSame(hosts, [`[::1]:${port}`, `localhost:${port}`])
})

t.test('the headers', async t => {
  const { port, heads } = await raw(t, socket => socket.write(OK))
  const sent = async (...httpHeaders: Array<[name: string, value: string]>) => {
    await probe({ port, path: '/', httpHeaders: httpHeaders.map(([name, value]) => ({ name, value })) })
    return heads.pop()!.split('\r\n').slice(1, -2)
  }
  const [host, agent, accept, close] = [`Host: 127.0.0.1:${port}`, 'User-Agent: kube-probe/1.31', 'Accept: */*', 'Connection: close']

  t.test('of httpHeaders are added, in the order of their names', async t => {
    t.strictSame(await sent(['x-b', '1'], ['X-A', '2'], ['X-B', '3']), [host, agent, accept, 'X-A: 2', 'X-B: 1', 'X-B: 3', close])
  })
  t.test('User-Agent and Accept can be replaced, whatever their case', async t => {
    t.strictSame(await sent(['user-agent', 'me'], ['ACCEPT', 'text/plain']), [host, 'User-Agent: me', 'Accept: text/plain', close])
  })
  t.test('User-Agent and Accept are left out when empty', async t => {
    t.strictSame(await sent(['User-Agent', ''], ['Accept', '']), [host, close])
  })
  t.test('Host can be replaced, and is not when empty', async t => {
    t.strictSame(await sent(['host', 'app.example']), ['Host: app.example', agent, accept, close])
    t.strictSame(await sent(['Host', '']), [host, agent, accept, close])
  })
  t.test('Connection: close is sent once', async t => {
    t.strictSame(await sent(['Connection', 'x, Close']), [host, agent, accept, 'Connection: x, Close'])
  })
  t.test('that belong to a body are not sent', async t => {
    t.strictSame(await sent(['Content-Length', '3'], ['Transfer-Encoding', 'chunked'], ['Trailer', 'X']), [host, agent, accept, close])
  })
})

t.test('every probe has a connection of its own, which the kubelet closes even if the server does not', async t => {
  const closed: Array<Promise<unknown>> = []
  const server = createTcpServer({ allowHalfOpen: true }, socket => {
    closed.push(once(socket, 'end'))
    socket.once('data', () => socket.write('HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok'))
  })
  const port = await listen(t, server)
  await probe({ port, path: '/' })
  await probe({ port, path: '/' })
  t.equal(closed.length, 2)
  await Promise.all(closed)
})

t.test('proxies that the environment names are ignored', async t => {
  const proxy = await web(t, (_, response) => response.end())
  const { port, requests } = await web(t, (_, response) => response.end())
  for (const name of ['HTTP_PROXY', 'http_proxy', 'HTTPS_PROXY', 'https_proxy', 'ALL_PROXY', 'NODE_USE_ENV_PROXY']) {
    const before = process.env[name]
    process.env[name] = name.startsWith('NODE') ? '1' : `http://127.0.0.1:${proxy.port}`
    t.teardown(() => {
      if (before === undefined) delete process.env[name]
      else process.env[name] = before
    })
  }
  t.match(await probe({ port, path: '/' }), { result: 'success' })
  t.strictSame([requests.length, proxy.requests.length], [1, 0])
})

t.test('HTTPS', async t => {
  t.test('is not verified, and its server name is the URL\'s, whatever Host says', async t => {
    const names: unknown[] = []
    const port = await listen(t, createHttpsServer(tls, (request, response) => {
      names.push((request.socket as TLSSocket).servername)
      response.end(`HTTP/${request.httpVersion}`)
    }))
    t.match(await probe({ port, path: '/', scheme: 'HTTPS' }), { result: 'success', body: 'HTTP/1.1' })
    await probe({ host: 'localhost', port, path: '/', scheme: 'https', httpHeaders: [{ name: 'Host', value: 'app.example' }] })
    t.strictSame(names, [false, 'localhost'])
  })

  t.test('is HTTP/2 with a server that offers it', async t => {
    const got: unknown[] = []
    const server = createSecureServer({ ...tls, allowHTTP1: true }, (request, response) => {
      got.push([request.httpVersion, Object.fromEntries(Object.entries(request.headers))])
      if (request.url === '/old') response.writeHead(301, { location: '/new?x' })
      response.end('ok')
    })
    const sessions: Array<Promise<unknown>> = []
    server.on('session', session => sessions.push(once(session, 'close')))
    const port = await listen(t, server)
    const httpHeaders = [['X-A', '1'], ['X-A', '2'], ['X-B', '3'], ['Connection', 'keep-alive']].map(([name, value]) => ({ name: name!, value: value! }))
    t.match(await probe({ port, path: '/old', scheme: 'HTTPS', httpHeaders }), { result: 'success', status: 200, body: 'ok' })
    const headers = {
      ':method': 'GET',
      ':scheme': 'https',
      ':authority': `127.0.0.1:${port}`,
      'user-agent': 'kube-probe/1.31',
      accept: '*/*',
      'x-a': '1, 2',
      'x-b': '3'
    }
    t.strictSame(got, [
      ['2.0', { ...headers, ':path': '/old' }],
      ['2.0', { ...headers, ':path': '/new?x', referer: `https://127.0.0.1:${port}/old` }]
    ])
    t.equal(sessions.length, 2)
    await Promise.all(sessions)
  })

  t.test('fails where there is no TLS', async t => {
    const { port } = await web(t, (_, response) => response.end())
    t.match(await probe({ port, path: '/', scheme: 'HTTPS' }), { result: 'failure', output: /^Get "https:/ })
  })
})

t.test('a status from 200 to 399 is a success, though above 299 one with a warning', async t => {
  const { port, requests } = await web(t, (request, response) => response.writeHead(Number(request.url!.slice(1))).end())
  const results: Record<number, string> = {}
  for (const status of [200, 204, 299, 300, 301, 304, 399, 400, 404, 429, 500, 503, 599]) {
    results[status] = (await probe({ port, path: `/${status}` })).result
  }
  t.strictSame(results, {
    ...Object.fromEntries([200, 204, 299].map(status => [status, 'success'])),
    ...Object.fromEntries([300, 301, 304, 399].map(status => [status, 'warning'])),
    ...Object.fromEntries([400, 404, 429, 500, 503, 599].map(status => [status, 'failure']))
  })
  t.equal(requests.length, 13, 'a failure is not tried again')
})

t.test('of a failure the event shows nothing but the status', async t => {
  const { port } = await web(t, (_, response) => response.writeHead(503).end('the database is gone'))
  t.match(await probe({ port, path: '/' }), {
    result: 'failure', status: 503, body: 'the database is gone', output: 'HTTP probe failed with statuscode: 503'
  })
})

t.test('a redirect', async t => {
  t.test('is followed on the same host name, to another port and scheme, by a new connection each time', async t => {
    const secure = await listen(t, createHttpsServer(tls, (request, response) => response.end(`${request.headers.referer}`)))
    const other = await web(t, (_, response) => redirect(response, `https://127.0.0.1:${secure}/three`, 308))
    const first = await web(t, (_, response) => redirect(response, `//127.0.0.1:${other.port}/two`, 307))
    t.match(await probe({ port: first.port, path: '/one' }), { result: 'success', body: `http://127.0.0.1:${other.port}/two` })
    t.strictSame([first.requests, other.requests], [[`127.0.0.1:${first.port} /one`], [`127.0.0.1:${other.port} /two`]])
  })

  t.test('tells no plain server of the secure one that it came from, and keeps a Referer of one\'s own', async t => {
    const plain = await web(t, (request, response) => response.end(`${request.headers.referer}`))
    const port = await listen(t, createHttpsServer(tls, (_, response) => redirect(response, `http://127.0.0.1:${plain.port}/`, 303)))
    const first = await web(t, (_, response) => redirect(response, `https://127.0.0.1:${port}/`))
    t.match(await probe({ port: first.port, path: '/' }), { body: 'undefined' })
    t.match(await probe({ port, path: '/', scheme: 'HTTPS', httpHeaders: [{ name: 'referer', value: 'me' }] }), { body: 'me' })
  })

  t.test('to another host is not followed, and a success with a warning', async t => {
    const other = await web(t, (_, response) => response.writeHead(500).end())
    const { port } = await web(t, (_, response) => response.writeHead(302, { Location: `http://localhost:${other.port}/` }).end('gone'))
    t.match(await probe({ port, path: '/' }), { result: 'warning', status: 302, output: 'Probe terminated redirects, Response body: gone' })
    t.equal(other.requests.length, 0)
  })

  t.test('fails when it is the tenth', async t => {
    const { port, requests } = await web(t, (request, response) => {
      const left = Number(request.url!.slice(1))
      if (left > 0) redirect(response, `/${left - 1}`)
      else response.end('there')
    })
    t.match(await probe({ port, path: '/9' }), { result: 'success', body: 'there' })
    t.equal(requests.length, 10)
    t.match(await probe({ port, path: '/10' }), { result: 'failure', status: undefined, output: /stopped after 10 redirects$/ })
    t.equal(requests.length, 20)
  })

  t.test('to another host is a success even when it is the tenth', async t => {
    const { port } = await web(t, (request, response) => {
      const left = Number(request.url!.slice(1))
      redirect(response, left > 0 ? `/${left - 1}` : 'http://elsewhere.example/')
    })
    t.match(await probe({ port, path: '/9' }), { result: 'warning', status: 302 })
  })

  t.test('keeps a Host of one\'s own as long as it is relative', async t => {
    const { port, requests } = await web(t, (request, response) => {
      if (request.url === '/a') redirect(response, '/b')
      else if (request.url === '/b') redirect(response, `http://127.0.0.1:${port}/c`)
      else response.end()
    })
    await probe({ port, path: '/a', httpHeaders: [{ name: 'Host', value: 'app.example' }] })
    t.strictSame(requests, ['app.example /a', 'app.example /b', `127.0.0.1:${port} /c`])
  })

  t.test('to the Host that was given leads to another host', async t => {
    const { port, requests } = await web(t, (request, response) => redirect(response, `http://${request.headers.host}/b`))
    t.match(await probe({ port, path: '/a', httpHeaders: [{ name: 'Host', value: 'app.example' }] }), { result: 'warning' })
    t.equal(requests.length, 1)
  })

  t.test('to nowhere fails, and without a Location it is an answer', async t => {
    const { port } = await web(t, (request, response) => {
      if (request.url === '/none') response.writeHead(302).end()
      else redirect(response, request.url === '/broken' ? 'http://[' : 'ftp://127.0.0.1/')
    })
    t.match(await probe({ port, path: '/none' }), { result: 'warning', status: 302 })
    t.match(await probe({ port, path: '/broken' }), { result: 'failure', output: /failed to parse Location header "http:\/\/\["$/ })
    t.match(await probe({ port, path: '/ftp' }), { result: 'failure', output: /unsupported protocol scheme "ftp"$/ })
  })

  t.test('is none with a status that means something else, whatever its Location', async t => {
    const { port, requests } = await web(t, (request, response) => redirect(response, '/200', Number(request.url!.slice(1))))
    for (const status of [300, 304, 305, 306]) t.match(await probe({ port, path: `/${status}` }), { result: 'warning', status })
    t.match(await probe({ port, path: '/201' }), { result: 'success', status: 201 })
    t.equal(requests.length, 5)
  })

  t.test('is followed without its body when that is long, or breaks off', async t => {
    const { port } = await raw(t, (socket, head) => {
      if (head.startsWith('GET /long')) socket.write('HTTP/1.1 302 Found\r\nLocation: /short\r\nContent-Length: 2049\r\n\r\n')
      else if (head.startsWith('GET /short')) socket.end('HTTP/1.1 302 Found\r\nLocation: /there\r\nContent-Length: 2048\r\n\r\nx')
      else socket.write(OK)
    })
    t.match(await probe({ port, path: '/long' }), { result: 'success', body: 'ok' })
  })
})

t.test('the timeout', async t => {
  const late = { result: 'failure', status: undefined, output: /Client\.Timeout exceeded while awaiting headers/ }

  t.test('covers the connection', async t => {
    // It listens, but never takes a connection, so that on Linux the third one gets no answer at all.
    const listener = new Worker(`
      const server = require('node:net').createServer()
      server.listen({ port: 0, host: '127.0.0.1', backlog: 1 }, () => {
        require('node:worker_threads').parentPort.postMessage(server.address().port)
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
      })
    `, { eval: true, env: {}, execArgv: [] })
    t.teardown(() => listener.terminate())
    const [port] = await once(listener, 'message')
    for (let i = 0; i < 2; i++) {
      const socket = connect(port, '127.0.0.1')
      t.teardown(() => socket.destroy())
      await once(socket, 'connect')
    }
    const time = new FakeTime()
    const probed = probe({ port, path: '/' }, { time })
    await time.advance(1000)
    t.match(await probed, { ...late, durationMs: 1000 })
  })

  t.test('covers the handshake of TLS', async t => {
    const time = new FakeTime()
    const port = await listen(t, createTcpServer(socket => socket.once('data', () => time.advance(1000)).on('error', () => {})))
    t.match(await probe({ port, path: '/', scheme: 'HTTPS' }, { time }), late)
  })

  t.test('covers the headers, is 1 s, and is not tried again', async t => {
    const time = new FakeTime()
    const { port, heads } = await raw(t, async socket => {
      await time.advance(999)
      t.equal(time.timers, 1)
      socket.write('HTTP/1.1 200 OK\r\nContent-')
      await time.advance(1)
    })
    t.match(await probe({ port, path: '/' }, { time }), { ...late, durationMs: 1000 })
    t.equal(heads.length, 1)
    t.equal(time.timers, 0)
  })

  t.test('is timeoutSeconds, for all redirects together', async t => {
    const time = new FakeTime()
    const { port, requests } = await web(t, async (request, response) => {
      await time.advance(2000)
      if (request.url === '/a') redirect(response, '/b')
    })
    t.match(await probe({ port, path: '/a', timeoutSeconds: 4 }, { time }), { ...late, durationMs: 4000 })
    t.equal(requests.length, 2)
  })

  t.test('covers the body of a redirect', async t => {
    const time = new FakeTime()
    onHeaders(t, async () => {
      // Time for the next request, which doesn't come.
      for (let turn = 0; turn < 50; turn++) await setImmediate()
      await time.advance(1000)
    })
    const { port, requests } = await web(t, (_, response) => response.writeHead(302, { Location: '/b' }).write('x'))
    t.match(await probe({ port, path: '/a' }, { time }), late)
    t.equal(requests.length, 1)
  })

  t.test('covers the body, where it is an error', async t => {
    const time = new FakeTime()
    onHeaders(t, () => time.advance(1000))
    const { port } = await web(t, (_, response) => response.write('x'))
    t.match(await probe({ port, path: '/' }, { time }), {
      result: 'unknown', status: 200, body: undefined, output: /Client\.Timeout exceeded while reading body/
    })
  })

  t.test('is over with the probe', async t => {
    const time = new FakeTime()
    const { port } = await raw(t, socket => socket.write(OK))
    await probe({ port, path: '/' }, { time })
    t.equal(time.timers, 0)
  })
})

t.test('the body', async t => {
  t.test('is read up to 10 KiB, and a longer one is no failure', async t => {
    const cut: Array<Promise<unknown>> = []
    const { port } = await web(t, (request, response) => {
      cut.push(new Promise(resolve => request.socket.on('close', resolve)))
      const more = () => { while (response.write('x'.repeat(1024))); }
      response.on('drain', more)
      more()
    })
    const { result, body, status } = await probe({ port, path: '/' })
    t.strictSame([result, status, body], ['success', 200, 'x'.repeat(10240)])
    await Promise.all(cut)
    t.equal(cut.length, 1)
  })

  t.test('may stall once there are 10 KiB of it', async t => {
    const { port } = await web(t, (_, response) => response.writeHead(503).write('x'.repeat(10240)))
    t.match(await probe({ port, path: '/' }), { result: 'failure', status: 503 })
  })

  t.test('is read before the status: a 503 that stalls is an error, tried three times with a timeout each', async t => {
    const time = new FakeTime()
    onHeaders(t, () => time.advance(1000))
    const { port, requests } = await web(t, (_, response) => response.writeHead(503, { 'Content-Length': 5 }).flushHeaders())
    t.match(await probe({ port, path: '/' }, { time }), { result: 'unknown', status: 503, durationMs: 3000 })
    t.equal(requests.length, 3)
  })

  t.test('is an error too when it breaks off', async t => {
    const { port, heads } = await raw(t, socket => socket.end('HTTP/1.1 503 No\r\nContent-Length: 5\r\n\r\nx'))
    t.match(await probe({ port, path: '/' }), { result: 'unknown', status: 503 })
    t.equal(heads.length, 3)
  })

  t.test('counts once it comes whole', async t => {
    const { port, heads } = await raw(t, socket => socket.end(`HTTP/1.1 ${heads.length < 3 ? 200 : 503} X\r\nContent-Length: 5\r\n\r\n${heads.length < 3 ? 'x' : 'whole'}`))
    t.match(await probe({ port, path: '/' }), { result: 'failure', status: 503, body: 'whole' })
    t.equal(heads.length, 3)
  })

  t.test('of HTTP/2 follows the same rules', async t => {
    const time = new FakeTime()
    let requests = 0
    const answers: Record<string, (stream: ServerHttp2Stream) => void> = {
      // The answer to the ping comes when the client has read what was written before.
      '/stalls': stream => stream.write('x', () => stream.session!.ping(() => time.advance(1000))),
      '/reset': stream => stream.write('x', () => stream.destroy(new Error('no more'))),
      '/lost': stream => stream.write('x', () => stream.session!.destroy()),
      '/long': stream => stream.write('x'.repeat(20000)),
      '/whole': stream => stream.end('x')
    }
    const server = createSecureServer(tls)
    server.on('stream', (stream, { ':path': path }) => {
      requests++
      stream.on('error', () => {})
      if (path === '/closed') return stream.close(constants.NGHTTP2_CANCEL)
      stream.respond({ ':status': 503 })
      answers[path!]!(stream)
    })
    const port = await listen(t, server)
    const results: Record<string, unknown> = {}
    for (const path of [...Object.keys(answers), '/closed']) {
      const { result, status } = await probe({ port, path, scheme: 'HTTPS' }, { time })
      results[path] = [result, status, requests]
      requests = 0
    }
    t.strictSame(results, {
      '/stalls': ['unknown', 503, 3],
      '/reset': ['unknown', 503, 3],
      '/lost': ['unknown', 503, 3],
      '/long': ['failure', 503, 1],
      '/whole': ['failure', 503, 1],
      '/closed': ['failure', undefined, 1]
    })
  })
})

t.test('without an answer it is a failure, and not tried again', async t => {
  t.test('as when nobody listens', async t => {
    const server = createTcpServer()
    const port = await listen(t, server)
    server.close()
    await once(server, 'close')
    t.match(await probe({ port, path: '/' }), { result: 'failure', status: undefined, body: undefined, output: `Get "http://127.0.0.1:${port}/": connect ECONNREFUSED 127.0.0.1:${port}` })
    t.match(await probe({ host: 'localhost', port, path: '/' }), { result: 'failure', output: /": .*ECONNREFUSED/ })
  })

  const answers: Record<string, (socket: Socket) => void> = {
    'as when the connection is closed': socket => socket.end(),
    'as when the connection is reset': socket => socket.resetAndDestroy(),
    'as when the headers break off': socket => socket.end('HTTP/1.1 200 OK\r\nContent-'),
    'as when it is no HTTP': socket => socket.end('220 mail.example ESMTP\r\n'),
    'as when the server wants another protocol': socket => socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n')
  }
  for (const [name, answer] of Object.entries(answers)) {
    t.test(name, async t => {
      const { port, heads } = await raw(t, answer)
      t.match(await probe({ port, path: '/' }), { result: 'failure', output: `Get "http://127.0.0.1:${port}/": ` })
      t.equal(heads.length, 1)
    })
  }

  t.test('as when a header can\'t be sent', async t => {
    const { port, heads } = await raw(t, socket => socket.write(OK))
    t.match(await probe({ port, path: '/', httpHeaders: [{ name: 'X', value: '\n' }] }), { result: 'failure', output: /Invalid character/ })
    t.equal(heads.length, 0)
  })
})

t.test('a probe that is given up ends, and is not tried again', async t => {
  const given = new AbortController()
  onHeaders(t, () => given.abort())
  const { port, requests } = await web(t, (_, response) => response.write('x'))
  t.match(await probe({ port, path: '/' }, { signal: given.signal }), { result: 'unknown' })
  t.equal(requests.length, 1)
})

/** A pod on a fake clock whose probes are answered by the test, and what came of it, with the seconds. */
function pod (probes: { [name in keyof KubeletOptions['probes']]?: Partial<ProbeSpec> }, options: Partial<KubeletOptions> = {}) {
  const time = new FakeTime()
  const results: Record<string, ProbeResult['result']> = {}
  const probed: string[] = []
  const told: string[] = []
  const seconds = () => time.now() / 1000
  const kubelet = new Kubelet({
    time,
    probe: async ({ path }) => {
      probed.push(`${seconds()} ${path}`)
      return { result: results[path!] ?? 'success', output: '', durationMs: 0 }
    },
    ...options,
    probes: Object.fromEntries(Object.entries(probes).map(([name, spec]) => [name, { httpGet: { port: 1, path: name }, ...spec }]))
  })
  kubelet.on('started', () => told.push(`${seconds()} started`))
  kubelet.on('ready', () => told.push(`${seconds()} ready`))
  kubelet.on('unready', () => told.push(`${seconds()} unready`))
  kubelet.on('kill', because => told.push(`${seconds()} kill ${because}`))
  kubelet.on('delete', () => told.push(`${seconds()} delete`))
  return { kubelet, time, results, probed, told }
}

t.test('without probes a container is started and ready at once', async t => {
  const { kubelet, time, told } = pod({})
  t.strictSame([kubelet.started, kubelet.ready], [false, false])
  kubelet.start()
  t.strictSame([kubelet.started, kubelet.ready, kubelet.killed], [true, true, undefined])
  t.strictSame(told, ['0 started', '0 ready'])
  await kubelet.stop()
  t.equal(kubelet.ready, false)
  t.equal(time.timers, 0)
})

t.test('a probe runs every 10 s, with a timeout of 1 s', async t => {
  const targets: unknown[] = []
  const { kubelet, time } = pod({ liveness: {} }, {
    probe: async target => {
      targets.push(target)
      return { result: 'success', output: '', durationMs: 0 }
    }
  })
  kubelet.start()
  await time.advance(30_000)
  t.strictSame(targets, new Array(4).fill({ port: 1, path: 'liveness', timeoutSeconds: 1 }))
})

t.test('the history has every probe that ran, and so have the events', async t => {
  const { kubelet, time, results } = pod({ readiness: { periodSeconds: 5 } })
  const told: unknown[] = []
  kubelet.on('probe', entry => told.push(entry))
  results['readiness'] = 'failure'
  kubelet.start()
  await time.advance(4000)
  results['readiness'] = 'success'
  await time.advance(1000)
  const entry = { probe: 'readiness', output: '', durationMs: 0 }
  t.strictSame(kubelet.history, [{ ...entry, at: 0, result: 'failure' }, { ...entry, at: 5000, result: 'success' }])
  t.strictSame(told, kubelet.history)
})

t.test('readiness', async t => {
  t.test('begins as failed, and one success is enough', async t => {
    const { kubelet, time, results, told } = pod({ readiness: {} })
    results['readiness'] = 'failure'
    kubelet.start()
    await time.advance(15_000)
    t.equal(kubelet.ready, false)
    results['readiness'] = 'success'
    await time.advance(15_000)
    t.equal(kubelet.ready, true)
    t.strictSame(told, ['0 started', '20 ready'])
  })

  t.test('ends with the third failure in a row, and a warning is none', async t => {
    const { kubelet, time, results, told } = pod({ readiness: {} })
    kubelet.start()
    await time.advance(5000)
    const row = ['failure', 'failure', 'warning', 'failure', 'failure', 'success', 'failure', 'failure', 'failure'] as const
    for (const result of row) {
      t.equal(kubelet.ready, true)
      results['readiness'] = result
      await time.advance(10_000)
    }
    t.equal(kubelet.ready, false)
    t.strictSame(told, ['0 started', '0 ready', '90 unready'])
  })

  t.test('an error neither counts as a failure nor ends a row of them', async t => {
    const { kubelet, time, results, told } = pod({ readiness: {} })
    kubelet.start()
    await time.advance(5000)
    for (const result of ['unknown', 'unknown', 'unknown', 'unknown', 'failure', 'unknown', 'failure', 'unknown', 'failure'] as const) {
      results['readiness'] = result
      await time.advance(10_000)
    }
    t.strictSame(told, ['0 started', '0 ready', '90 unready'])
    t.equal(kubelet.history.filter(({ result }) => result === 'unknown').length, 6)
  })

  t.test('an error makes nothing ready', async t => {
    const { kubelet, time, results } = pod({ readiness: {} })
    results['readiness'] = 'unknown'
    kubelet.start()
    await time.advance(100_000)
    t.equal(kubelet.ready, false)
  })

  t.test('has thresholds of its own', async t => {
    const { kubelet, time, results, told } = pod({ readiness: { periodSeconds: 1, successThreshold: 3, failureThreshold: 1 } })
    kubelet.start()
    await time.advance(2500)
    results['readiness'] = 'failure'
    await time.advance(1000)
    t.strictSame(told, ['0 started', '2 ready', '3 unready'])
  })

  t.test('is probed once more as soon as it has ended, and from then on by that beat', async t => {
    const { kubelet, time, results, probed } = pod({ readiness: { failureThreshold: 1 } })
    kubelet.start()
    await time.advance(5000)
    results['readiness'] = 'failure'
    await time.advance(25_000)
    t.strictSame(probed, [0, 10, 10, 20, 30].map(at => `${at} readiness`))
  })
})

t.test('liveness', async t => {
  t.test('begins as a success, and the third failure kills, once', async t => {
    const { kubelet, time, results, told, probed } = pod({ liveness: {}, readiness: {} })
    results['liveness'] = 'failure'
    kubelet.start()
    await time.advance(15_000)
    t.equal(kubelet.killed, undefined)
    await time.advance(5000)
    t.equal(kubelet.killed, 'liveness')
    await time.advance(60_000)
    t.strictSame(told, ['0 started', '0 ready', '20 kill liveness'])
    t.strictSame(probed.filter(probe => probe.endsWith('liveness')), ['0 liveness', '10 liveness', '20 liveness'], 'not probed while it is killed')
    t.equal(probed.length, 3 + 9, 'while readiness goes on')
    await kubelet.stop()
    t.equal(told.pop(), '80 unready')
  })

  t.test('an error never kills', async t => {
    const { kubelet, time, results } = pod({ liveness: { failureThreshold: 1 } })
    results['liveness'] = 'unknown'
    kubelet.start()
    await time.advance(100_000)
    t.equal(kubelet.killed, undefined)
  })
})

t.test('startup', async t => {
  t.test('keeps the others waiting: then readiness is probed at once, liveness with its next tick, and startup no more', async t => {
    const { kubelet, time, results, told, probed } = pod({ startup: { periodSeconds: 3, failureThreshold: 10 }, liveness: {}, readiness: {} })
    results['startup'] = 'failure'
    kubelet.start()
    await time.advance(10_000)
    t.strictSame([kubelet.started, kubelet.ready], [false, false])
    results['startup'] = 'success'
    await time.advance(15_000)
    t.strictSame([kubelet.started, kubelet.ready], [true, true])
    t.strictSame(told, ['12 started', '12 ready'])
    t.strictSame(probed, ['0 startup', '3 startup', '6 startup', '9 startup', '12 startup', '12 readiness', '20 liveness', '22 readiness'])
  })

  t.test('makes a container without a readiness probe ready', async t => {
    const { kubelet, time, results, told } = pod({ startup: {} })
    results['startup'] = 'failure'
    kubelet.start()
    await time.advance(5000)
    results['startup'] = 'success'
    await time.advance(5000)
    t.strictSame(told, ['10 started', '10 ready'])
  })

  t.test('that fails too often kills, and the others never run', async t => {
    const { kubelet, time, results, told, probed } = pod({ startup: { failureThreshold: 2 }, liveness: {}, readiness: {} })
    results['startup'] = 'failure'
    kubelet.start()
    await time.advance(100_000)
    t.strictSame(told, ['10 kill startup'])
    t.strictSame(probed, ['0 startup', '10 startup'])
    t.strictSame([kubelet.killed, kubelet.started, kubelet.ready], ['startup', false, false])
  })

  t.test('an error passes nothing and kills nothing', async t => {
    const { kubelet, time, results, told } = pod({ startup: { failureThreshold: 1 } })
    results['startup'] = 'unknown'
    kubelet.start()
    await time.advance(100_000)
    t.strictSame(told, [])
  })
})

t.test('initialDelaySeconds', async t => {
  t.test('puts the first probe off to the first tick after it', async t => {
    const { kubelet, time, probed } = pod({ liveness: { initialDelaySeconds: 12 }, readiness: { initialDelaySeconds: 7, periodSeconds: 7 } })
    kubelet.start()
    await time.advance(25_000)
    t.strictSame(probed, ['7 readiness', '14 readiness', '20 liveness', '21 readiness'])
  })

  t.test('counts from the start of the container, not from its startup probe', async t => {
    const { kubelet, time, results, probed } = pod({ startup: { periodSeconds: 4 }, readiness: { initialDelaySeconds: 5 } })
    results['startup'] = 'failure'
    await time.advance(60_000)
    kubelet.start()
    await time.advance(3000)
    results['startup'] = 'success'
    await time.advance(12_000)
    t.strictSame(probed, ['60 startup', '64 startup', '74 readiness'])
  })
})

t.test('when the pod is deleted', async t => {
  t.test('liveness stops, and readiness goes on', async t => {
    const { kubelet, time, results, told, probed } = pod({ liveness: {}, readiness: {} })
    kubelet.start()
    await time.advance(15_000)
    kubelet.delete()
    t.strictSame([kubelet.deleted, kubelet.ready], [true, true])
    results['liveness'] = results['readiness'] = 'failure'
    await time.advance(45_000)
    t.strictSame(told, ['0 started', '0 ready', '15 delete', '40 unready'])
    t.strictSame(probed.slice(4), [20, 30, 40, 50, 60].map(at => `${at} readiness`), 'without one more when it has ended')
  })

  t.test('startup stops, and the others still wait for it', async t => {
    const { kubelet, time, results, told, probed } = pod({ startup: {}, liveness: {}, readiness: {} })
    results['startup'] = 'failure'
    kubelet.start()
    await time.advance(5000)
    kubelet.delete()
    await time.advance(60_000)
    t.strictSame([told, probed], [['5 delete'], ['0 startup']])
  })

  t.test('nothing is killed by a probe that was under way', async t => {
    const gate = deferred<ProbeResult>()
    const { kubelet, time, told } = pod({ liveness: { failureThreshold: 1 } }, { probe: () => gate.promise as Promise<ProbeResult> })
    kubelet.start()
    kubelet.delete()
    gate.resolve({ result: 'failure', output: '', durationMs: 0 })
    await time.advance(1000)
    t.equal(kubelet.history.length, 1)
    t.equal(kubelet.killed, undefined)
    t.strictSame(told, ['0 started', '0 ready', '0 delete'])
  })
})

t.test('when the container has ended', async t => {
  t.test('it is not ready, and nothing is probed any more', async t => {
    const { kubelet, time, told, probed } = pod({ liveness: {}, readiness: {} })
    kubelet.start()
    await time.advance(5000)
    await kubelet.stop()
    t.equal(time.timers, 0)
    await time.advance(60_000)
    t.strictSame([told, probed], [['0 started', '0 ready', '5 unready'], ['0 readiness', '0 liveness']])
    await kubelet.stop()
    t.equal(told.length, 3)
  })

  t.test('stop waits for the probes under way, which leave no trace', async t => {
    const gate = deferred<ProbeResult>()
    const { kubelet } = pod({ liveness: {} }, { probe: () => gate.promise as Promise<ProbeResult> })
    kubelet.start()
    let stopped = false
    const stopping = kubelet.stop().then(() => { stopped = true })
    await setImmediate()
    t.equal(stopped, false)
    gate.resolve({ result: 'success', output: '', durationMs: 0 })
    await stopping
    t.strictSame(kubelet.history, [])
  })

  t.test('the probes under way are given up', async t => {
    const { port, requests } = await web(t, async () => { stopped.resolve(await kubelet.stop()) })
    const stopped = deferred<void>()
    const { kubelet } = pod({ readiness: { httpGet: { port, path: '/ready' } } }, { probe: undefined })
    kubelet.start()
    await stopped.promise
    t.strictSame([requests.length, kubelet.history.length], [1, 0])
  })
})

t.test('probes of one kind never overlap, and of the ticks they miss one is made up for', async t => {
  const gates: Array<ReturnType<typeof deferred<ProbeResult>>> = []
  const { kubelet, time } = pod({ liveness: {} }, {
    probe: () => {
      const gate = deferred<ProbeResult>()
      gates.push(gate)
      return gate.promise as Promise<ProbeResult>
    }
  })
  kubelet.start()
  await time.advance(35_000)
  t.equal(gates.length, 1)
  gates[0]!.resolve({ result: 'success', output: '', durationMs: 35_000 })
  await time.advance(0)
  t.equal(gates.length, 2)
  gates[1]!.resolve({ result: 'success', output: '', durationMs: 0 })
  await time.advance(4999)
  t.equal(gates.length, 2)
  await time.advance(1)
  t.equal(gates.length, 3)
  t.strictSame(kubelet.history.map(({ at }) => at), [0, 35_000])
})

t.test('when the event loop was blocked, the ticks keep to their beat', async t => {
  const { kubelet, time, probed } = pod({ liveness: {} })
  kubelet.start()
  await time.advance(5000)
  time.block(33_000)
  await time.advance(15_000)
  t.strictSame(probed, ['0 liveness', '38 liveness', '40 liveness', '50 liveness'])
})

t.test('scale shortens every second', async t => {
  const timeouts: unknown[] = []
  const { kubelet, time } = pod({ liveness: { initialDelaySeconds: 10, timeoutSeconds: 5 } }, {
    scale: 10,
    probe: async ({ timeoutSeconds }) => {
      timeouts.push(timeoutSeconds)
      return { result: 'success', output: '', durationMs: 0 }
    }
  })
  kubelet.start()
  await time.advance(3000)
  t.strictSame(timeouts, [0.5, 0.5, 0.5])
  t.strictSame(kubelet.history.map(({ at }) => at), [1000, 2000, 3000])
})

t.test('the life of a real server, on the real clock', async t => {
  const status = { '/startup': 503, '/live': 200, '/ready': 200 }
  const { port } = await web(t, (request, response) => response.writeHead(status[request.url as keyof typeof status]).end(request.url))
  // A second is 5 ms, so that each timeout is 5 s.
  const spec = (path: string, more?: object) => ({ httpGet: { port, path }, timeoutSeconds: 1000, ...more })
  const kubelet = new Kubelet({
    probes: { startup: spec('/startup', { failureThreshold: 1e6 }), liveness: spec('/live'), readiness: spec('/ready') }, scale: 200
  })
  t.teardown(() => kubelet.stop())
  kubelet.start()
  await once(kubelet, 'probe')
  t.match(kubelet.history[0], { probe: 'startup', result: 'failure', status: 503, body: '/startup' })
  status['/startup'] = 200
  await once(kubelet, 'ready')
  t.equal(kubelet.started, true)
  status['/ready'] = 503
  await once(kubelet, 'unready')
  status['/ready'] = 200
  await once(kubelet, 'ready')
  status['/live'] = 500
  t.strictSame(await once(kubelet, 'kill'), ['liveness'])
  t.strictSame(kubelet.history.filter(({ probe }) => probe === 'liveness').slice(-3).map(({ status }) => status), [500, 500, 500])
  kubelet.delete()
  await once(kubelet, 'probe')
  t.match(kubelet.history.at(-1), { probe: 'readiness', result: 'success' })
  await kubelet.stop()
})
