import { readFileSync } from 'node:fs'
import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import { createServer as createTcpServer, type Server } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { http } from '../../../lib/checks/index.js'
import { proxyTo } from '../../helpers/proxy.js'
import { hangOften, readyWith } from '../../helpers/ready.js'

async function listen (t: Test, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  t.teardown(() => server.close())
  await once(server, 'listening')
  return (server.address() as { port: number }).port
}

async function serve (t: Test, listener: RequestListener): Promise<string> {
  const server = createServer(listener)
  t.teardown(() => server.closeAllConnections())
  return `http://127.0.0.1:${await listen(t, server)}`
}

/** Connections of this process, made or in the making. */
function connections (): number {
  return process.getActiveResourcesInfo().filter(name => /^TCP(Socket|Connect)Wrap$/.test(name)).length
}

/** What the check says of what is answered word by word, or of a connection that closes after it. */
async function told (t: Test, answer: string, close = true, timeout = 5000): Promise<string> {
  const port = await listen(t, createTcpServer(socket => {
    socket.on('error', () => {}).once('data', () => { if (close) socket.end(answer); else socket.write(answer) })
  }))
  const { ask } = await readyWith(t, { api: http({ url: `http://127.0.0.1:${port}` }) }, timeout)
  return await ask()
}

t.test('options that could not be meant are refused, and no secret is in it', async t => {
  const refused = (options: object, message: RegExp | string) =>
    t.throws(() => http({ url: 'http://a', ...options }), { code: 'HEALTHZ_ERR_OPTION_INVALID', message })
  for (const url of ['', 'example.com', 5, null, {}]) refused({ url }, /^Expected `http\(\)\.url` to be a URL, got /)
  refused({ url: 'redis://:secret@a' }, 'Expected `http().url` to be an `http:` or `https:` URL, got `\'redis:\'` (string)')
  for (const status of [0, 101, 600, '200', null, [], [200, 'x']]) {
    refused({ status }, /^Expected `http\(\)\.status` to be an integer from 200 to 599, or an array of them, got /)
  }
  refused({ headers: ['a'] }, /^Expected `http\(\)\.headers` to be an object of headers by name, got /)
  for (const headers of [{ x: 'sec\nret' }, { x: undefined }]) {
    refused({ headers }, "Expected `http().headers` to be an object of valid headers by name, got `'x'` (string)")
  }
  refused({ headers: { 'x y': '' } }, /'x y'/)
})

t.test('it asks with GET, with the headers given, on a connection of its own', async t => {
  const seen: any[] = []
  const url = await serve(t, (request, response) => {
    seen.push({ method: request.method, url: request.url, ...request.headers })
    response.setHeader('connection', 'keep-alive').end('x'.repeat(100_000))
  })
  const before = connections()
  const { ask } = await readyWith(t, {
    plain: http({ url: `${url}/a?b=c` }),
    given: http({ url: new URL(url.replace('127', 'me:secret@127')), headers: { 'User-Agent': 'us', 'X-Key': 'secret' } })
  }, 5000)
  t.equal(await ask(), 'OK')
  t.match(seen[0], { method: 'GET', url: '/a?b=c', connection: 'close', 'user-agent': 'fastify-healthz' })
  t.match(seen[1], { url: '/', 'user-agent': 'us', 'x-key': 'secret', authorization: /^Basic / })
  while (connections() > before) await sleep(1)
})

t.test('the status must be the expected one; a redirect is not followed', async t => {
  let status = 200
  const url = await serve(t, (_request, response) => { response.writeHead(status, { location: '/elsewhere' }).end('x') })
  const { ask } = await readyWith(t, {
    any: http({ url }),
    one: http({ url, status: 401 }),
    some: http({ url, status: [200, 429] })
  }, 5000)
  const titles = async (code: number) => {
    status = code
    return await ask()
  }
  t.equal(await titles(200), 'one: responded with 200')
  t.equal(await titles(204), 'one: responded with 204; some: responded with 204')
  t.equal(await titles(302), 'any: responded with 302; one: responded with 302; some: responded with 302')
  t.equal(await titles(401), 'any: responded with 401; some: responded with 401')
  t.equal(await titles(429), 'any: responded with 429; one: responded with 429')
  t.equal(await titles(503), 'any: responded with 503; one: responded with 503; some: responded with 503')
})

t.test('its data is the status, whether it is the expected one or not', async t => {
  const url = await serve(t, (request, response) => {
    response.writeHead(Number(request.url!.slice(1)))
    if (request.url === '/201') response.write('a body that stalls')
    else response.end()
  })
  const { app } = await readyWith(t, {
    expected: http({ url: `${url}/204` }),
    other: http({ url: `${url}/503` }),
    stalls: http({ url: `${url}/201` }),
    away: http({ url: 'http://secret.invalid' })
  }, 1000)
  const { checks } = await app.healthz.run('ready')
  t.strictSame(Object.values(checks).map(({ status, data }) => [status, data]), [
    ['pass', { status: 204 }], ['fail', { status: 503 }], ['fail', { status: 201 }], ['fail', undefined]
  ])
})

t.test('an answer must come to its end, unless its status is wrong', async t => {
  const hello = 'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello'
  t.equal(await told(t, `${hello}hello`), 'OK')
  t.equal(await told(t, hello), 'api: connection lost', 'cut in the middle of the body')
  t.equal(await told(t, hello, false, 300), 'api: no answer within 300 ms', 'a body that stalls')
  t.equal(await told(t, 'HTTP/1.1 200 OK\r\nContent-Le'), 'api: connection lost', 'cut in the middle of the headers')
  t.equal(await told(t, 'HTTP/1.1 200 OK\r\nContent-Le', false, 300), 'api: no answer within 300 ms')
  t.equal(await told(t, ''), 'api: connection lost', 'closed without an answer')
  t.equal(await told(t, hello.replace('200 OK', '500 No'), false), 'api: responded with 500', 'a wrong one whose body stalls')
  t.equal(await told(t, hello.replace('200 OK', '500 No')), 'api: responded with 500')
})

t.test('a slow body passes if it is done in time', async t => {
  const url = await serve(t, async (_request, response) => {
    for (const part of 'hello') {
      response.write(part)
      await sleep(10)
    }
    response.end()
  })
  const { ask } = await readyWith(t, { api: http({ url }) }, 5000)
  t.equal(await ask(), 'OK')
})

t.test('what is no HTTP says so', async t => {
  t.equal(await told(t, '220 mail.example ESMTP\r\n', false), 'api: invalid HTTP response')
  t.equal(await told(t, 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz', false), 'api: failed', 'a broken body')
  t.equal(await told(t, 'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n', false), 'api: connection lost')
})

t.test('what is refused or has no name says so, and not its name', async t => {
  const proxy = await proxyTo(1)
  await proxy.close()
  const { ask, lines } = await readyWith(t, {
    one: http({ url: `http://127.0.0.1:${proxy.port}/secret` }),
    many: http({ url: `http://localhost:${proxy.port}/secret` }),
    name: http({ url: 'http://secret.invalid' })
  }, 5000)
  t.equal(await ask(), 'one: connection refused; many: connection refused; name: host not found')
  t.match(lines.find(({ check }) => check === 'one')!.err.message, /127\.0\.0\.1/, 'the log has the cause')
})

t.test('TLS is verified', async t => {
  const file = (name: string) => readFileSync(join(__dirname, '../../fixtures/tls', `${name}.pem`))
  const port = await listen(t, createSecureServer({ key: file('key'), cert: file('cert') }, (_request, response) => { response.end() }))
  const plain = await serve(t, (_request, response) => { response.end() })
  const { ask } = await readyWith(t, {
    tls: http({ url: `https://127.0.0.1:${port}` }),
    plain: http({ url: plain.replace('http:', 'https:') })
  }, 5000)
  t.equal(await ask(), 'tls: certificate not trusted; plain: TLS handshake failed')
})

t.test('what happens to the network shows, and passes when it is over', async t => {
  const url = await serve(t, (_request, response) => { response.end('hello') })
  const proxy = await proxyTo(Number(new URL(url).port))
  t.teardown(() => proxy.refuse())
  const { ask, recovers } = await readyWith(t, { api: http({ url: `http://127.0.0.1:${proxy.port}` }) }, 500)
  t.equal(await ask(), 'OK')
  proxy.swallow()
  t.equal(await ask(), 'api: no answer within 500 ms')
  const accepted = proxy.next()
  const asked = ask()
  await accepted
  proxy.cut()
  t.equal(await asked, 'api: connection lost')
  await proxy.resume()
  t.equal(await recovers(), 'OK')
  await proxy.refuse()
  t.equal(await ask(), 'api: connection refused')
  await proxy.resume()
  t.equal(await recovers(), 'OK')
})

t.test('however often it hangs, no connection is left', async t => {
  const open = new Set<unknown>()
  const listener = (begin: boolean): RequestListener => (_request, response) => {
    open.add(response)
    response.on('close', () => { open.delete(response) })
    if (begin) response.write('hello')
  }
  const before = connections()
  for (const begin of [false, true]) {
    const url = await serve(t, listener(begin))
    const titles = await hangOften(t, http({ url }), () => {}, () => {})
    // A hundred at once on one event loop may be late to connect.
    t.notOk(titles.some(title => !/^no (answer|connection) within 20 ms$/.test(title)), titles.join('; '))
  }
  while (open.size > 0 || connections() > before) await sleep(1)
})
