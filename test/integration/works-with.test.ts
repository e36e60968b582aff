// What people have: fastify-cli, close-with-grace wired by hand, and servers of every kind.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { connect, constants } from 'node:http2'
import { request as https } from 'node:https'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import healthz from '../../lib/index.js'
import type { LogLine } from '../helpers/log.js'
import { request } from '../helpers/raw.js'
import { spawnNode, startService } from '../helpers/service.js'

const tls = {
  key: readFileSync(join(process.cwd(), 'test/fixtures/tls/key.pem')),
  cert: readFileSync(join(process.cwd(), 'test/fixtures/tls/cert.pem'))
}

async function serve (options: object) {
  const app = Fastify(options) as unknown as FastifyInstance
  app.register(healthz, { ready: async () => {} })
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { app, port: (app.server.address() as AddressInfo).port }
}

async function askTls (port: number, path: string) {
  const [response] = await once(https({ port, host: '127.0.0.1', path, rejectUnauthorized: false, agent: false }).end(), 'response')
  let body = ''
  for await (const chunk of response) body += chunk
  return { body, connection: response.headers.connection }
}

t.test('a server with https answers probes, and drains', async t => {
  const { app, port } = await serve({ https: tls })
  t.equal((await askTls(port, '/healthz/ready')).body, '{"status":200,"title":"OK"}')
  const drained = app.healthz.drain(60_000)
  t.same(await askTls(port, '/healthz/ready'), { body: '{"status":503,"title":"Shutting down"}', connection: 'close' })
  await app.close()
  await drained
})

t.test('a server with http2 over TLS answers probes over both, and drains', async t => {
  const { app, port } = await serve({ http2: true, https: { ...tls, allowHTTP1: true } })
  const session = connect(`https://127.0.0.1:${port}`, { rejectUnauthorized: false })
  const stream = session.request({ [constants.HTTP2_HEADER_PATH]: '/healthz/ready' })
  const [headers] = await once(stream, 'response')
  t.equal(headers[constants.HTTP2_HEADER_CONTENT_TYPE], 'application/problem+json')
  let body = ''
  for await (const chunk of stream.setEncoding('utf8')) body += chunk
  t.equal(body, '{"status":200,"title":"OK"}')
  const away = once(session, 'goaway')
  const drained = app.healthz.drain(60_000)
  t.same(await askTls(port, '/healthz/ready'), { body: '{"status":503,"title":"Shutting down"}', connection: 'close' }, 'over HTTP/1.1')
  await app.close()
  await Promise.all([away, drained])
})

t.test('close-with-grace wired by hand drains before it closes', async t => {
  const child = startService(t, `
    const app = Fastify({ logger: { stream } })
    app.register(healthz)
    require('close-with-grace')({ delay: 10_000 }, async ({ err }) => {
      if (!err) await app.healthz.drain(200)
      await app.close()
    })
    await app.listen({ port: 0, host: '127.0.0.1' })
    say('up', { port: app.server.address().port })`)
  const { port } = await child.line('up')
  child.kill('SIGTERM')
  await child.line(/^draining/)
  t.match((await request(port, 'GET', '/healthz/ready')).body, /Shutting down/)
  const { code, lines } = await child.exit
  t.equal(code, 0)
  t.ok(lines.find(({ msg }) => msg.startsWith('drained'))!.lastedMs >= 199)
})

t.test('an app that fastify-cli starts and closes drains in preClose', async t => {
  const args = ['start', '--options', '--log-level', 'info', '--close-grace-delay', '15000', 'dist/examples/fastify-cli.js']
  const child = spawnNode(['node_modules/fastify-cli/cli.js', ...args], { DRAIN_MS: '300', PORT: '0' })
  child.stderr.pipe(process.stderr)
  t.teardown(() => child.kill('SIGKILL'))
  const lines: LogLine[] = []
  const exit = once(child, 'exit')
  let port = 0
  for await (const text of createInterface(child.stdout)) {
    const line: LogLine = JSON.parse(text)
    lines.push(line)
    if (port === 0 && line.msg.startsWith('Server listening')) {
      port = Number(new URL(line.msg.split(' at ')[1]!).port)
      t.match((await request(port, 'GET', '/healthz/ready')).body, /OK/)
      child.kill('SIGTERM')
    }
    if (line.msg.startsWith('draining')) {
      t.match((await request(port, 'GET', '/healthz/ready')).body, /Shutting down/)
      t.match((await request(port, 'GET', '/')).body, 'served')
    }
  }
  t.strictSame(await exit, [0, null])
  t.ok(lines.some(({ msg, lastedMs }) => msg.startsWith('drained') && lastedMs >= 299))
})
