// What the separate port answers and logs, byte by byte, with a thread and without.
import { connect } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { startService } from '../helpers/service.js'

const SIDES = ['plain', 'thread'] as const
type Side = typeof SIDES[number]

/** What a client sends, in pieces; or what else it does. */
type Step = string | { readonly wait: number } | 'FIN' | 'RST' | 'pause' | 'resume'
interface Conversation {
  readonly name: string
  readonly steps: readonly Step[]
  /** Its end depends on what has arrived when the server closes. */
  readonly torn?: boolean
}

const request = (head: string, ...fields: string[]) => [head, 'Host: a', ...fields, '', ''].join('\r\n')
const get = (path: string, ...fields: string[]) => request(`GET ${path} HTTP/1.1`, ...fields)
const CLOSE = 'Connection: close'
const OPERATOR = 'X-Operator: yes'
const gap = { wait: 20 }
const talk = (name: string, ...steps: Step[]): Conversation => ({ name, steps })
const torn = (name: string, ...steps: Step[]): Conversation => ({ name, steps, torn: true })

const TALKS: readonly Conversation[] = [
  ...['live', 'ready', 'startup', 'slow', 'stuck', 'loud', 'nowhere', '', 'live/', 'ready/database', 'ready?verbose', '..', '%2e', '%zz']
    .map(path => talk(`GET ${path}`, get(`/healthz/${path}`, CLOSE))),
  ...['live?verbose', 'ready?verbose', 'ready?verbose&x=1', 'slow?verbose', 'loud?verbose', 'ready/database', 'ready/cache', 'ready/none', 'ready?exclude=database']
    .map(path => talk(`GET ${path} by an operator`, get(`/healthz/${path}`, CLOSE, OPERATOR))),
  ...['HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH', 'TRACE', 'QUERY', 'M-SEARCH', 'FOO']
    .map(method => talk(method, request(`${method} /healthz/ready HTTP/1.1`, CLOSE))),
  talk('HEAD with details', request('HEAD /healthz/ready/none HTTP/1.1', CLOSE, OPERATOR)),
  torn('CONNECT', request('CONNECT a:80 HTTP/1.1')),
  talk('another path', get('/', CLOSE)),
  talk('an absolute target', get('http://a/healthz/ready', CLOSE)),
  talk('an asterisk', request('OPTIONS * HTTP/1.1', CLOSE)),
  talk('an upgrade', get('/healthz/live', 'Connection: upgrade, close', 'Upgrade: websocket')),
  talk('an expectation', get('/healthz/live', 'Expect: 100-continue', CLOSE)),
  talk('another expectation', get('/healthz/live', 'Expect: more', CLOSE)),
  talk('an empty body', get('/healthz/live', 'Content-Length: 0', CLOSE)),
  torn('a body', get('/healthz/live', 'Content-Length: 5') + 'abcde'),
  torn('a body to come', get('/healthz/ready', 'Content-Length: 1000000')),
  torn('a body in chunks', request('POST /healthz/ready HTTP/1.1', 'Transfer-Encoding: chunked') + '3\r\nabc\r\n0\r\n\r\n'),
  torn('a large body', request('PUT /healthz/ready HTTP/1.1', 'Content-Length: 300000') + 'x'.repeat(300_000)),
  talk('a JSON body without a type', request('POST / HTTP/1.1', 'Content-Length: 2', 'Content-Type: application/json') + '{}'),
  talk('HTTP/1.0', 'GET /healthz/ready HTTP/1.0\r\n\r\n'),
  talk('HTTP/1.0, kept alive', 'GET /healthz/ready HTTP/1.0\r\nConnection: keep-alive\r\n\r\n'),
  talk('HTTP/0.9', 'GET /healthz/ready\r\n'),
  talk('HTTP/2.0', 'GET /healthz/ready HTTP/2.0\r\n\r\n'),
  talk('the preface of HTTP/2', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  talk('no Host', 'GET /healthz/ready HTTP/1.1\r\n\r\n'),
  talk('two Hosts', get('/healthz/live', 'Host: b', CLOSE)),
  talk('a bad line', 'nonsense\r\n\r\n'),
  talk('a bad header', get('/healthz/live', 'bad header', CLOSE)),
  talk('a bad length', get('/healthz/live', 'Content-Length: x', CLOSE)),
  talk('two lengths', get('/healthz/live', 'Content-Length: 1', 'Content-Length: 2', CLOSE)),
  talk('a smuggler', get('/healthz/live', 'Content-Length: 1', 'Transfer-Encoding: chunked', CLOSE)),
  talk('TLS', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'),
  torn('a long header', get('/healthz/live', `X: ${'x'.repeat(20_000)}`, CLOSE)),
  torn('a long target', get(`/healthz/${'x'.repeat(20_000)}`, CLOSE)),
  talk('a large header', get('/healthz/live', `X: ${'x'.repeat(10_000)}`, CLOSE)),
  talk('kept alive', get('/healthz/ready')),
  talk('kept alive, three times', get('/healthz/live'), { wait: 200 }, get('/healthz/ready'), { wait: 200 }, get('/healthz/slow', CLOSE)),
  talk('pipelined', get('/healthz/live') + get('/healthz/slow') + get('/healthz/ready') + get('/healthz/live', CLOSE)),
  talk('pipelined, slow ones', get('/healthz/slow').repeat(5) + get('/healthz/stuck', CLOSE)),
  talk('pipelined, then a bad one', get('/healthz/live') + 'nonsense\r\n\r\n'),
  talk('pipelined a hundred times', get('/healthz/ready').repeat(99) + get('/healthz/ready', CLOSE)),
  torn('pipelined behind a body', request('PUT /healthz/live HTTP/1.1', 'Content-Length: 1') + 'x' + get('/healthz/ready')),
  torn('more behind the last', get('/healthz/live', CLOSE) + get('/healthz/ready')),
  talk('in pieces', 'GET /heal', gap, 'thz/ready HT', gap, 'TP/1.1\r\nHo', gap, 'st: a\r\nConnection: close\r\n', gap, '\r\n'),
  talk('byte by byte', ...[...get('/healthz/live', CLOSE)].flatMap(byte => [byte, { wait: 1 }])),
  talk('empty lines before', '\r\n\r\n' + get('/healthz/live', CLOSE)),
  talk('FIN after the request', get('/healthz/ready'), 'FIN'),
  talk('FIN after the request to a slow one', get('/healthz/late-1'), 'FIN'),
  talk('FIN after the request to a slow one, later', get('/healthz/late-2'), gap, 'FIN'),
  talk('FIN after pipelined requests', get('/healthz/live') + get('/healthz/late-3') + get('/healthz/ready'), 'FIN'),
  talk('FIN within a head', 'GET /healthz/ready HTTP/1.1\r\nHo', gap, 'FIN'),
  talk('FIN within a body', get('/healthz/ready', 'Content-Length: 5') + 'ab', 'FIN'),
  talk('FIN at once', 'FIN'),
  talk('RST at once', 'RST'),
  talk('RST after an answer', get('/healthz/live'), { wait: 1000 }, 'RST'),
  talk('RST while it waits', get('/healthz/late-4'), { wait: 50 }, 'RST'),
  talk('a reader that pauses', 'pause', get('/healthz/loud').repeat(50) + get('/healthz/live', CLOSE), { wait: 300 }, 'resume')
]

/** They take seconds, so they are held in one state only. */
const LIMITS: readonly Conversation[] = [
  talk('never speaks'),
  talk('never finishes', 'GET /healthz/ready HTTP/1.1\r\nHo'),
  torn('sends a head in small pieces', ...[...'GET /healthz/r'].flatMap(byte => [byte, { wait: 500 }])),
  talk('never finishes the second', get('/healthz/live') + 'GET /'),
  talk('waits for a check longer than any limit', get('/healthz/long', CLOSE))
]

const PROGRAM = `
  // Neither the ports nor signals keep a process alive.
  const alive = setInterval(() => {}, 1000)
  const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))
  const signal = () => new Promise(resolve => process.once('SIGUSR2', resolve))
  const { HealthError } = healthz
  let boot = signal()
  const serve = async (side, thread) => {
    const app = Fastify({ logger: { base: { side }, level: 'trace', stream } })
    app.register(healthz, {
      listen: { port: 0, host: '127.0.0.1', thread },
      timeout: 60_000,
      noLog: true,
      ready: { database: () => { throw new HealthError('down') }, cache: { check: () => { throw new Error('secret') }, critical: false } },
      probes: {
        slow: { a: () => sleep(100) },
        stuck: { a: { check: () => new Promise(() => {}), timeout: 400 } },
        long: { a: () => sleep(7000) },
        // One for each who doesn't wait for it.
        ...Object.fromEntries([1, 2, 3, 4].map(i => ['late-' + i, { a: () => sleep(1500) }])),
        loud: { a: () => { throw new HealthError('loud '.repeat(200)) } }
      },
      details (request) {
        const { remoteAddress, remotePort, remoteFamily, localAddress, localPort } = request.socket
        say('details', { side, remotePort, ends: { remoteAddress, remoteFamily, localAddress, listens: localPort === app.healthz.address.port, ip: request.ip } })
        return request.headers['x-operator'] === 'yes'
      }
    })
    app.addHook('onClose', () => leave)
    app.register(async () => { await boot })
    app.ready(() => {})
    while (app.hasDecorator('healthz') === false || app.healthz.address === null) await sleep(5)
    say('port', { side, port: app.healthz.address.port })
    return app
  }
  let leave
  const apps = [await serve('plain', false), await serve('thread', true)]
  say('starting')
  await boot
  for (const app of apps) await app.listen({ port: 0, host: '127.0.0.1' })
  say('serving')
  await signal()
  for (const app of apps) app.healthz.drain(600_000)
  say('draining')
  await signal()
  leave = signal()
  const closed = Promise.all(apps.map(app => app.close()))
  await sleep(200)
  say('closing')
  await closed
  clearInterval(alive)
  say('closed')`

/** Has a conversation, until the server closes it. */
async function have (port: number, { steps, torn = false }: Conversation) {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  let answer = ''
  let localPort: number | undefined
  const events: string[] = []
  const closed = new Promise<void>(resolve => socket.once('close', () => resolve()))
  socket.setEncoding('latin1')
    .on('connect', () => { localPort = socket.localPort })
    .on('data', (chunk: string) => { answer += chunk })
    .on('end', () => { events.push('FIN'); socket.end() })
    .on('error', ({ code }: NodeJS.ErrnoException) => { events.push(code!) })
  for (const step of steps) {
    if (step === 'FIN') socket.end()
    else if (step === 'RST') socket.resetAndDestroy()
    else if (step === 'pause') socket.pause()
    else if (step === 'resume') socket.resume()
    else if (typeof step === 'string') socket.write(step, 'latin1')
    else await sleep(step.wait)
  }
  await closed
  answer = answer.replace(/^Date: .*/gm, 'Date: now')
  // Details have times, whose lengths differ.
  if (/"checkedAt"/.test(answer)) answer = answer.replace(/"(?:checkedAt|\w+Ms)":[^,}]+/g, '"time"').replace(/^content-length: .*/gm, 'content-length')
  return { localPort, answer, end: torn ? undefined : events.join() }
}

/** A line without what differs between any two. */
function stable ({ side, time, reqId, responseTime, pid, err, req, ...line }: Record<string, any>) {
  return JSON.stringify({ ...line, err: err && { ...err, stack: undefined }, req: req && { ...req, remotePort: undefined } })
    .replace(/"(\w+Ms)":[\d.]+/g, '"$1"').replace(/\d+ ms/g, 'some ms')
}

t.test('with a thread the separate port answers and logs as without, in each state of the app', { timeout: 120_000 }, async t => {
  const child = startService(t, PROGRAM)
  for (const state of ['starting', 'serving', 'draining', 'closing'] as const) {
    await child.line(state)
    const from = child.lines.length
    const ports = Object.fromEntries(child.lines.filter(({ msg }) => msg === 'port').map(({ side, port }) => [side, port])) as Record<Side, number>
    const talks = state === 'serving' ? [...TALKS, ...LIMITS] : TALKS
    const [plain, thread] = await Promise.all(SIDES.map(side => Promise.all(talks.map(async (talk, i) => {
      // Not all at once, so that on a slow machine no limit comes into play that shouldn't.
      await sleep(20 * i)
      return have(ports[side], talk)
    }))))
    t.match(plain![0]!.answer, /^HTTP\/1.1 200 OK\r\n[^]*"OK"}$/, state)
    for (const [i, { name }] of talks.entries()) {
      const { localPort: _plain, ...expected } = plain![i]!
      const { localPort: _thread, ...found } = thread![i]!
      t.strictSame(found, expected, `${state}: ${name}`)
    }
    await sleep(500)
    const lines = child.lines.slice(from)
    const of = (side: Side) => lines.filter(line => line.side === side && line.msg !== 'details').map(stable).sort()
    t.strictSame(of('thread'), of('plain'), `${state}: the log`)
    const details = (side: Side) => lines.filter(line => line.side === side && line.msg === 'details')
    t.strictSame(details('thread').map(({ ends }) => ends), details('plain').map(({ ends }) => ends), `${state}: the ends of the connection`)
    const ours = thread!.map(({ localPort }) => localPort)
    t.ok(details('thread').every(({ remotePort }) => ours.includes(remotePort)), `${state}: and the port of the client`)
    t.ok(details('thread').length > 0 || state !== 'serving')
    child.kill('SIGUSR2')
  }
  await child.line('closed')
  t.match(await child.exit, { code: 0, stderr: '' }, 'and it ends by itself')
})
