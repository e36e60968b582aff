// Asks the same servers with the command and with the kubelet of `test/helpers/`, which know nothing of each other.
import { readFile } from 'node:fs/promises'
import { createServer as createHttpsServer } from 'node:https'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import t from 'tap'
import { probe } from '../helpers/kubelet.js'
import { FakeTime } from '../helpers/time.js'
import { command, listen, raw } from './command.js'

type Behaviour = (socket: Socket, path: string, port: number, head: string) => void
type Result = 'success' | 'warning' | 'failure' | 'unknown'

const says = (...parts: string[]): Behaviour => socket => { socket.end(parts.join('')) }
const status = (code: number, ...fields: string[]) =>
  says([`HTTP/1.1 ${code} Whatever`, 'Content-Length: 2', ...fields].join('\r\n'), '\r\n\r\n', code === 204 || code === 304 ? '' : 'ok')
/** `/` leads elsewhere; everything else is fine. */
const leads = (location: string | ((port: number) => string), code = 302): Behaviour => (socket, path, port, head) => {
  const to = typeof location === 'string' ? location : location(port)
  const behave = path === '/' ? status(code, `Location: ${to}`) : status(200)
  behave(socket, path, port, head)
}
/** `/` leads to `/1`, that to `/2`, and so on. */
const chain = (redirects: number): Behaviour => (socket, path, port, head) => {
  const step = Number(path.slice(1))
  const behave = step < redirects ? status(302, `Location: /${step + 1}`) : status(200)
  behave(socket, path, port, head)
}
const X = 'x'.repeat(20_000)

const behaviours: Record<string, [result: Result, behaviour: Behaviour]> = {
  ...Object.fromEntries([200, 201, 204, 226, 299].map(code => [`${code}`, ['success', status(code)]])),
  ...Object.fromEntries([300, 301, 302, 304, 305, 307, 308, 399].map(code => [`${code} without a Location`, ['warning', status(code)]])),
  ...Object.fromEntries([400, 401, 404, 429, 500, 503, 599, 600, 999].map(code => [`${code}`, ['failure', status(code)]])),
  '200 with a Location': ['success', leads('/next', 200)],
  '304 with a Location': ['warning', leads('/next', 304)],
  '503 with a Location': ['failure', leads('/next', 503)],
  ...Object.fromEntries([301, 302, 303, 307, 308].map(code => [`${code} on the same host`, ['success', leads('/next', code)]])),
  'a redirect to the same host by name': ['success', leads(port => `http://127.0.0.1:${port}/next`)],
  'a redirect to a host without a scheme': ['success', leads(port => `//127.0.0.1:${port}/next`)],
  'a redirect to a query': ['success', leads('?next')],
  'a redirect to nothing': ['warning', leads('')],
  'a redirect to another name of the same host': ['warning', leads(port => `http://localhost:${port}/next`)],
  'a redirect to another host': ['warning', leads('http://elsewhere.example/')],
  'a redirect to another address': ['warning', leads('//127.0.0.2/')],
  'a redirect to where there is no host': ['warning', leads('mailto:me@example.com')],
  'a redirect to another scheme': ['failure', leads('ftp://127.0.0.1/')],
  'a redirect to what is no URL': ['failure', leads('http://[/')],
  'a redirect to a port where nothing listens': ['failure', leads('http://127.0.0.1:1/')],
  'a redirect to itself': ['failure', leads('/')],
  'nine redirects': ['success', chain(9)],
  'ten redirects': ['failure', chain(10)],
  'a redirect to a failure': ['failure', (socket, path, ...rest) => (path === '/' ? leads('/next') : status(503))(socket, path, ...rest)],
  'a redirect that keeps the Host': ['success', (socket, path, port, head) => {
    const behave = path === '/' ? leads('/next') : status(/^Host: 127\.0\.0\.1:\d+\r$/m.test(head) ? 200 : 500)
    behave(socket, path, port, head)
  }],
  'interim answers': ['success', says('HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n', 'HTTP/1.1 200 OK\r\n\r\n')],
  'interim answers before a failure': ['failure', says('HTTP/1.1 103 Early Hints\r\n\r\n', 'HTTP/1.1 503 No\r\n\r\n')],
  'no reason': ['success', says('HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n')],
  'HTTP/1.0': ['success', says('HTTP/1.0 200 OK\r\n\r\nok')],
  'a body up to the end': ['success', says('HTTP/1.1 200 OK\r\n\r\nok')],
  'a body in chunks': ['success', says('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n')],
  'a failure in chunks': ['failure', says('HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n')],
  'a long body': ['success', says(`HTTP/1.1 200 OK\r\nContent-Length: ${X.length}\r\n\r\n${X}`)],
  'a long failure': ['failure', says(`HTTP/1.1 503 No\r\nContent-Length: ${X.length}\r\n\r\n${X}`)],
  'a long body that never ends': ['success', socket => { socket.write(`HTTP/1.1 200 OK\r\n\r\n${X}`) }],
  'a long body that breaks off': ['success', says(`HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n${X}`)],
  'a connection that stays open': ['success', socket => { socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok') }],
  'more than one answer': ['success', says('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', 'HTTP/1.1 500 No\r\n\r\n')],
  'a short body': ['unknown', says('HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok')],
  'a short failure': ['unknown', says('HTTP/1.1 503 No\r\nContent-Length: 3\r\n\r\nok')],
  'chunks without an end': ['unknown', says('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n')],
  'chunks without a size': ['unknown', says('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\nok\r\n')],
  'no answer': ['failure', says('')],
  'half a head': ['failure', says('HTTP/1.1 200 OK\r\nContent-Le')],
  'a reset': ['failure', socket => { socket.resetAndDestroy() }],
  'another protocol': ['failure', says('-ERR unknown command\r\n')],
  'a protocol that is switched to': ['failure', says('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n')],
  'headers of many lines': ['success', says('HTTP/1.1 200 OK\r\n', 'A: b\r\n'.repeat(1000), 'Content-Length: 0\r\n\r\n')]
}

for (const [name, [result, behaviour]] of Object.entries(behaviours)) {
  t.test(`${name}: ${result}`, async t => {
    const { port } = await raw(t, (socket, head) => behaviour(socket, head.split(' ')[1]!, port, head))
    t.equal((await probe({ port }, { time: new FakeTime() })).result, result, 'as the kubelet sees it')
    const { code, stderr } = await command([`${port}/`])
    // An error counts as nothing with the kubelet. One who asks once has to know, and it isn't healthy.
    t.strictSame([code, stderr !== ''], [result === 'success' || result === 'warning' ? 0 : 1, result !== 'success'])
  })
}

t.test('TLS where there is none, and the other way round, fails; a redirect from one to the other is followed', async t => {
  const file = (name: string) => readFile(join(__dirname, '../fixtures/tls', name))
  const server = createHttpsServer({ key: await file('key.pem'), cert: await file('cert.pem') }, (_request, response) => response.end())
  const secure = await listen(t, server)
  const { port } = await raw(t, (socket, head) => leads(`https://127.0.0.1:${secure}/`)(socket, head.split(' ')[1]!, port, head))
  const cases = [
    { port, scheme: 'HTTP', result: 'success', code: 0 },
    { port: secure, scheme: 'HTTPS', result: 'success', code: 0 },
    { port: secure, scheme: 'HTTP', result: 'failure', code: 1 }
  ]
  for (const { port, scheme, result, code } of cases) {
    t.equal((await probe({ port, scheme }, { time: new FakeTime() })).result, result)
    t.equal((await command([`${scheme}://127.0.0.1:${port}/`])).code, code)
  }
})
