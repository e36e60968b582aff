import { EventEmitter, once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import http from 'node:http'
import { connect } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { mock } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import rateLimit from '@fastify/rate-limit'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import healthz, { HealthError } from '../../../lib/index.js'
import page from '../../../lib/page/index.js'
import { Viewers } from '../../../lib/page/viewers.js'
import { capture } from '../../helpers/log.js'
import { router } from '../../helpers/router.js'

const OPERATOR = { authorization: 'secret' }
const details = ({ headers }: { headers: Record<string, unknown> }) => headers.authorization === 'secret'

async function boot (t: Test, options: healthz.HealthzOptions = {}, given: page.PageOptions = {}) {
  const { lines, logger } = capture()
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  let healthy = true
  const check = () => { if (!healthy) throw new HealthError("Can't connect", { cause: new Error('hunter2') }) }
  app.register(healthz, { ready: { database: check, cache: { check: () => { throw new Error('hunter2') }, critical: false } }, details, ...options })
  app.register(page, { name: 'orders', ...given })
  return { app, lines, setHealthy: (to: boolean) => { healthy = to } }
}

const at = (app: FastifyInstance, separate: boolean) => separate ? app.healthz.address!.port : (app.server.address() as AddressInfo).port

/** A response, and its body as it comes. */
async function get (t: Test, port: number, path: string, headers: object = OPERATOR, method = 'GET') {
  const request = http.request({ port, host: '127.0.0.1', path, method, headers: { ...headers }, agent: false }).end()
  t.teardown(() => request.destroy())
  const [response] = await once(request, 'response') as [IncomingMessage]
  return response.setEncoding('utf8')
}

async function bodyOf (response: IncomingMessage): Promise<string> {
  let body = ''
  for await (const chunk of response) body += chunk
  return body
}

t.test('it shows operators the probes and checks as HTML, or as JSON to who accepts only that, and runs none', async t => {
  let runs = 0
  const { app } = await boot(t, { live: () => { runs++ } })
  await app.ready()
  await app.healthz.run('ready')
  const response = await app.inject({ url: '/statusz', headers: OPERATOR })
  t.equal(response.statusCode, 200)
  t.match(response.headers, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store', 'x-robots-tag': 'noindex' })
  t.match(response.body, /database.*<\/html>/s)
  const json = await app.inject({ url: '/statusz', headers: { ...OPERATOR, accept: 'application/json' } })
  t.match(json.headers, { 'content-type': 'application/json', vary: 'accept' })
  const status = json.json()
  t.match(status, { service: 'orders', state: 'serving', pid: process.pid, bootMs: Number })
  const [ready] = status.probes
  t.match(ready, { name: 'ready', outcome: 'pass', checks: [{ name: 'cache', outcome: 'warn', title: 'failed unexpectedly' }, { name: 'database', outcome: 'pass' }] })
  t.equal(ready.checks[0].outcomes.at(-1), 'warn')
  t.match(status.probes.find(({ name }: { name: string }) => name === 'live').checks[0], { outcome: 'unknown', outcomes: [] })
  t.match((await app.inject({ url: '/statusz', headers: { ...OPERATOR, accept: 'text/html,application/json' } })).body, '<!doctype html>')
  t.equal(runs, 0)
  t.notMatch(response.body + json.body, 'hunter2')
})

t.test('to a stranger it is a path that does not exist, on either port', async t => {
  for (const separate of [false, true]) {
    const { app } = await boot(t, separate ? { listen: { port: 0, host: '127.0.0.1' } } : {})
    await app.listen({ port: 0, host: '127.0.0.1' })
    const port = at(app, separate)
    for (const path of ['/statusz', '/statusz?a', '/statusz/', '/statusz/events', '/statusz/nothing']) {
      for (const method of ['GET', 'HEAD', 'POST', 'OPTIONS']) {
        for (const accept of ['text/html', 'application/json']) {
          const [hidden, missing] = await Promise.all([path, path.replace('z', 'x')].map(async path => {
            const response = await get(t, port, path, { accept }, method)
            const { date, ...headers } = response.headers
            return [response.statusCode, headers, (await bodyOf(response)).replaceAll('statusx', 'statusz')]
          }))
          t.strictSame(hidden, missing, `${method} ${path} ${accept}`)
        }
      }
    }
    t.equal((await get(t, port, '/statusz')).statusCode, 200)
    if (separate) t.equal((await get(t, at(app, false), '/statusz')).statusCode, 404, 'it is where the probes are')
    t.equal((await get(t, port, '/healthz/live')).statusCode, 200)
  }
})

t.test('below a prefix, at another path, it refers to its events, and leaves no line in the log', async t => {
  const { lines, logger } = capture()
  const app = Fastify({ logger })
  t.teardown(() => app.close())
  app.register(async scope => {
    scope.register(healthz, { details: true })
    scope.register(page, { path: '/ops/health' })
  }, { prefix: '/api' })
  await app.ready()
  const { body, statusCode } = await app.inject('/api/ops/health')
  t.equal(statusCode, 200)
  t.match(body, 'data-events="health/events"')
  t.strictSame(lines, [])
})

t.test('the name is that which npm knows, if any, with the version', async t => {
  const { npm_package_name: name, npm_package_version: version } = process.env
  t.teardown(() => Object.assign(process.env, name !== undefined && { npm_package_name: name, npm_package_version: version }))
  for (const [known, shown] of [[{ npm_package_name: 'orders', npm_package_version: '1.4.2' }, 'orders 1.4.2'], [{}, 'Health']] as const) {
    delete process.env.npm_package_name
    delete process.env.npm_package_version
    Object.assign(process.env, known)
    const app = Fastify()
    t.teardown(() => app.close())
    app.register(healthz, { details: true })
    app.register(page)
    t.match((await app.inject('/statusz')).body, `<h1>${shown}</h1>`)
  }
})

t.test('figures of a check are shown, and a long title is shortened', async t => {
  const { app } = await boot(t, {
    ready: context => {
      context.data = { waiting: 3 }
      throw new HealthError('x'.repeat(10_000))
    }
  })
  await app.ready()
  await app.healthz.run('ready')
  const { probes } = (await app.inject({ url: '/statusz', headers: { ...OPERATOR, accept: 'application/json' } })).json()
  t.match(probes[0].checks[0], { title: `${'x'.repeat(297)}…`, data: { waiting: 3 } })
})

t.test('viewers get changes as they happen, and are gone with the drain', async t => {
  for (const listen of [undefined, { port: 0, host: '127.0.0.1' }]) {
    const { app, setHealthy } = await boot(t, { listen })
    await app.listen({ port: 0, host: '127.0.0.1' })
    const port = at(app, listen !== undefined)
    const response = await get(t, port, '/statusz/events')
    t.match(response.headers, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
    let text = ''
    response.on('data', chunk => { text += chunk })
    setHealthy(false)
    await app.healthz.run('ready')
    while (!/✕ fail/.test(text)) await once(response, 'data')
    while (!/\n\ndata: \n\n/.test(text)) await once(response, 'data')
    const ends = once(response, 'end')
    const drained = app.healthz.drain(0)
    await ends
    t.equal((await get(t, port, '/statusz/events')).statusCode, 204, 'no more of them')
    t.equal((await get(t, port, '/statusz')).statusCode, 200, 'the page is still there')
    await drained
    await app.close()
  }
})

t.test('the twenty-first viewer gets none, and one that leaves makes room', async t => {
  const { app } = await boot(t)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const port = at(app, false)
  const viewers = await Promise.all(Array.from({ length: 20 }, () => get(t, port, '/statusz/events')))
  t.ok(viewers.every(({ statusCode }) => statusCode === 200))
  t.equal((await get(t, port, '/statusz/events')).statusCode, 204)
  viewers[0]!.destroy()
  for (;;) {
    const { statusCode } = await get(t, port, '/statusz/events')
    if (statusCode === 200) break
  }
  for (const viewer of viewers) viewer.destroy()
})

/** A viewer that keeps what it is sent, below timers that the test advances. */
function watch (t: Test, render: () => string) {
  mock.timers.enable({ apis: ['setInterval'] })
  t.teardown(() => mock.timers.reset())
  const drain = new AbortController()
  const viewers = new Viewers(render, drain.signal)
  const written: string[] = []
  const response = Object.assign(new EventEmitter(), {
    writableLength: 0, writeHead () {}, end () {}, write: (chunk: string) => { written.push(chunk) }
  })
  viewers.add(response as unknown as ServerResponse)
  const sent = (ms: number) => {
    mock.timers.tick(ms)
    return written.splice(0)
  }
  return { drain, viewers, response, sent }
}

t.test('a viewer that does not read gets what it has missed once it does', async t => {
  let version = 0
  const { drain, viewers, response, sent } = watch(t, () => `version ${version}`)
  t.strictSame(sent(0), ['data: "version 0"\n\n'])
  response.writableLength = 1
  version = 1
  viewers.update()
  t.strictSame(sent(3000), [])
  response.writableLength = 0
  t.strictSame(sent(1000), ['data: "version 1"\n\n'])
  t.strictSame(sent(2000), ['data: \n\n'], 'then it is up to date')
  drain.abort()
  t.equal(viewers.full, true)
  t.strictSame(sent(10_000), [])
})

t.test('durations go on where nothing changes: there is an update every ten seconds', async t => {
  let renders = 0
  const { drain, sent } = watch(t, () => `${++renders}`)
  t.equal(sent(9000).length, 5, 'the first one and four heartbeats')
  t.strictSame(sent(1000), ['data: "2"\n\n'])
  drain.abort()
})

t.test('a viewer that does not read does not hold the close', async t => {
  const { app } = await boot(t)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const response = await get(t, at(app, false), '/statusz/events')
  response.pause()
  const ends = once(response, 'end')
  await app.close()
  response.resume()
  await ends
  t.pass('the close has ended it')
})

t.test('a viewer that hangs up while `details` is awaited takes no place', async t => {
  const { app } = await boot(t, { details: async () => { await sleep(20); return true } })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const port = at(app, false)
  const requests = new Set<object>()
  app.server.on('request', request => { requests.add(request) })
  for (let i = 1; i <= 20; i++) {
    const request = http.get({ port, host: '127.0.0.1', path: '/statusz/events', agent: false }).on('error', () => {})
    while (requests.size < i) await sleep(1)
    request.destroy()
  }
  await sleep(100)
  const response = await get(t, port, '/statusz/events')
  t.equal(response.statusCode, 200)
})

t.test('a viewer over HTTP/2 that does not read does not hold the close', async t => {
  const app = Fastify({ http2: true })
  app.register(healthz, { details: true })
  app.register(page)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const session = connect(`http://127.0.0.1:${(app.server.address() as AddressInfo).port}`, { settings: { initialWindowSize: 10 } })
  t.teardown(() => session.destroy())
  session.on('error', () => {})
  const [unread, gone] = ['/statusz/events', '/statusz/events'].map(path => session.request({ ':path': path }).on('error', () => {}).pause())
  await Promise.all([once(unread!, 'response'), once(gone!, 'response')])
  gone!.close()
  await app.close()
  t.pass('closed')
})

t.test('an open page is not the traffic that a drain waits for', async t => {
  const { app, lines } = await boot(t)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const port = at(app, false)
  const drained = app.healthz.drain(200)
  for (const path of ['/statusz', '/statusz/events']) await get(t, port, path)
  await drained
  t.strictSame(lines.filter(({ msg }) => /traffic/.test(msg)), [])
})

t.test('a page in an app that ignores trailing slashes finds its events', async t => {
  const app = Fastify(router({ ignoreTrailingSlash: true }))
  t.teardown(() => app.close())
  app.register(healthz, { details: true })
  app.register(page)
  t.match((await app.inject('/statusz')).body, 'data-events="statusz/events"')
  t.match((await app.inject('/statusz/?a=/b')).body, 'data-events="events"')
})

t.test('a long name is shortened', async t => {
  const { app } = await boot(t, {}, { name: 'x'.repeat(1_000_000) })
  const { body } = await app.inject({ url: '/statusz', headers: OPERATOR })
  t.ok(Buffer.byteLength(body) < 40 * 1024)
})

t.test('a path of the separate port at which something is served is refused', async t => {
  for (const [path, options] of [['/healthz/live', {}], ['/readyz', { paths: { ready: '/readyz' } }]] as const) {
    const app = Fastify()
    app.register(healthz, { listen: { port: 0, host: '127.0.0.1' }, ...options })
    app.register(page, { path })
    await t.rejects(async () => app.ready(), { code: 'HEALTHZ_ERR_OPTION_INVALID', message: /path/ })
    await app.close()
  }
})

t.test('a stranger cannot tell the page by the limits of @fastify/rate-limit', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(rateLimit, { max: 1, timeWindow: '1 minute' })
  app.register(healthz)
  app.register(page)
  for (const url of ['/statusz', '/statusz', '/statusx', '/statusx']) {
    const { statusCode, headers } = await app.inject(url)
    t.equal(statusCode, 404)
    t.strictSame(Object.keys(headers).filter(name => /ratelimit/.test(name)), [])
  }
})

t.test('an app that drains already has no viewers', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(healthz, { details: true })
  app.healthz.drain(0)
  await app.register(page, {})
  await app.ready()
  t.equal((await app.inject('/statusz/events')).statusCode, 204)
})

t.test('wrong options are refused, and so is an app without healthz', async t => {
  for (const [options, code] of [
    [{ path: 'statusz' }, 'HEALTHZ_ERR_OPTION_INVALID'],
    [{ path: '/a/' }, 'HEALTHZ_ERR_OPTION_INVALID'],
    [{ path: '/a/../b' }, 'HEALTHZ_ERR_OPTION_INVALID'],
    [{ path: 7 }, 'HEALTHZ_ERR_OPTION_INVALID'],
    [{ name: '' }, 'HEALTHZ_ERR_OPTION_INVALID'],
    [{ name: 7 }, 'HEALTHZ_ERR_OPTION_INVALID'],
    [{ prefix_: '/a' }, 'HEALTHZ_ERR_OPTION_UNKNOWN']
  ] as const) {
    const app = Fastify()
    app.register(healthz)
    app.register(page, options as object)
    await t.rejects(async () => app.ready(), { code })
    await app.close()
  }
  const app = Fastify()
  app.register(page)
  await t.rejects(async () => app.ready(), /fastify-healthz/)
  await app.close()
})
