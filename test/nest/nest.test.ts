// The recipe for NestJS, in projects with either major of Nest, as ES modules and as CommonJS.
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { blocksOf, readPage } from '../helpers/docs.js'
import { project } from '../helpers/package.js'
import { hasAll, listens } from '../helpers/services.js'
import { compile, type Major, makeProject, missing, start, typeErrors } from './project.js'

export interface AppSettings {
  /** How the plugin logs with nestjs-pino: on its pino logger, or by Nest's. `false`: by Nest's own logger. */
  readonly pino: 'shared' | 'nest' | false
  readonly delay?: number
  /** `false`: neither a global prefix nor versions, which would keep some of Nest's middleware from other paths. */
  readonly prefix?: false
  readonly destroyFails?: boolean
  /** The app never listens, and the probes have a separate port. */
  readonly worker?: boolean
  /** A provider that is created for each request has a check. */
  readonly requestScoped?: boolean
  /** A provider takes a minute. */
  readonly slowBoot?: boolean
}

const OK = { status: 200, body: { status: 200, title: 'OK' } }
const FAILED = { status: 503, body: { status: 503, title: "database: Can't connect" } }
const FAILING = /^ready check "database" failed/

const run = (t: Test, folder: string, settings: AppSettings) => start(t, folder, 'test/nest/app', settings)
const messages = (lines: ReadonlyArray<{ msg: string }>) => lines.map(({ msg }) => msg)

for (const major of [12, 11] as Major[]) {
  for (const type of ['module', 'commonjs'] as const) {
    t.test(`Nest ${major}, ${type}`, async t => {
      if (!hasAll(t, missing(major))) return
      const folder = makeProject(t, major, type)
      compile(folder, ['examples/nest/healthz', 'test/nest/app'])

      for (const prefix of ['/api/v1', '']) {
        t.test(`nothing that Nest puts around routes reaches the probes, and the cause is logged once: prefix "${prefix}"`, async t => {
          const [down, up, nowhere] = ['/database/down', '/database/up', '/nowhere'].map(path => prefix + path) as [string, string, string]
          const app = run(t, folder, { pino: 'shared', ...(prefix === '' && { prefix: false }) })
          t.strictSame(await app.get('/healthz/ready'), OK)
          t.strictSame(await app.get('/healthz/live'), OK)
          t.strictSame(await app.get(down), { status: 200, body: {} })
          t.strictSame(await app.get('/healthz/ready'), FAILED)
          t.strictSame(await app.get('/healthz/ready'), FAILED)
          t.strictSame(await app.get(up), { status: 200, body: {} })
          t.strictSame(await app.get('/healthz/ready'), OK)
          t.match(await app.get(nowhere), { status: 404, body: { filtered: true } })
          app.kill('SIGTERM')
          t.match(await app.exit, { code: 0, stderr: '' })

          const listening = messages(app.lines).indexOf('listening')
          const lines = app.lines.slice(listening + 1)
          t.match(lines.filter(({ msg }) => FAILING.test(msg)), [
            { level: 40, probe: 'ready', check: 'database', err: { type: 'HealthError', stack: /connect ECONNREFUSED/ } }
          ])
          t.match(lines.filter(({ msg }) => /recovered/.test(msg)), [{ level: 30, probe: 'ready' }])
          t.strictSame(lines.flatMap(({ req, msg }) => msg === 'request completed' ? req.url : []),
            [down, up, nowhere], 'pino-http logs other requests')
          t.strictSame(lines.flatMap(({ url, msg }) => msg === 'guard' ? url : []), [down, up])
          t.strictSame(lines.flatMap(({ url, msg }) => msg === 'middleware' ? url : []), [down, up, nowhere])
          t.equal(lines.filter(({ msg }) => msg === 'interceptor').length, 2)
          t.equal(lines.filter(({ msg }) => msg === 'filter').length, 1)
        })
      }

      t.test('SIGTERM drains before Nest destroys a provider, in spite of enableShutdownHooks', async t => {
        const app = run(t, folder, { pino: 'nest', delay: 1500 })
        t.strictSame(await app.get('/healthz/ready'), OK)
        app.kill('SIGTERM')
        t.match(await app.line(/^SIGTERM: draining for 1.5 s/), { level: 30, context: 'Healthz' })
        t.match(await app.get('/healthz/ready'), { status: 503, body: { title: 'Shutting down' } })
        t.strictSame(await app.get('/healthz/live'), OK)
        t.strictSame(await app.get('/api/v1/work/300'), { status: 200, body: { up: true } })
        t.match(await app.exit, { code: 0, signal: null, stderr: '' })
        const end = app.lines.filter(({ msg }) => /^drained|^on/.test(msg))
        t.match(end, [{ msg: /^drained for \d/ }, { msg: 'onModuleDestroy' }, { msg: 'onApplicationShutdown', signal: 'SIGTERM' }])
        t.equal(end.length, 3)
        t.notOk(messages(app.lines).some(msg => /another SIGTERM listener/.test(msg)), 'Nest has no listener')
      })

      t.test('without nestjs-pino the cause is in the line of Nest\'s logger, and a hook that fails is logged', async t => {
        const app = run(t, folder, { pino: false, destroyFails: true })
        await app.get('/api/v1/database/down')
        t.strictSame(await app.get('/healthz/ready'), FAILED)
        t.strictSame(await app.get('/healthz/ready'), FAILED)
        app.kill('SIGTERM')
        // Nest 12 logs the error of a hook and calls the others.
        t.match(await app.exit, { code: major === 11 ? 1 : 0 })
        const logged = (text: RegExp) => messages(app.lines).filter(msg => text.test(msg)).length
        t.equal(logged(/WARN \[Healthz\] ready check "database" failed: Can't connect$/), 1)
        t.equal(logged(/\[cause\]: Error: connect ECONNREFUSED/), 1)
        t.ok(logged(/the pool is stuck/) || (await app.exit).stderr.includes('the pool is stuck'))
        t.equal(logged(/^onApplicationShutdown$/), major === 11 ? 0 : 1)
      })
    })
  }
}

t.test('the recipe compiles against the types of Nest 11', async t => {
  if (!hasAll(t, missing(11))) return
  t.strictSame(typeErrors(makeProject(t, 11, 'module'), 'examples/nest/healthz'), [])
})

t.test('the boot and an app that never listens', async t => {
  const folder = makeProject(t, 12, 'commonjs')
  compile(folder, ['examples/nest/healthz', 'test/nest/app'])

  t.test('serves the probes on their separate port, and ends on SIGTERM', async t => {
    const app = run(t, folder, { pino: 'shared', worker: true })
    t.strictSame(await app.get('/healthz/ready'), OK)
    app.kill('SIGTERM')
    t.match(await app.exit, { code: 0, stderr: '' })
    t.strictSame(messages(app.lines).filter(msg => /^on/.test(msg)), ['onModuleDestroy', 'onApplicationShutdown'])
  })

  t.test('a check of a provider that is not a singleton refuses the boot', async t => {
    const app = run(t, folder, { pino: 'shared', requestScoped: true })
    t.match(await app.exit, { code: 1 })
    t.match(await app.line(/unhandled rejection/), { level: 60, err: { message: 'RequestScoped has checks and must be a singleton' } })
  })

  t.test('SIGTERM while a provider is created ends the process', async t => {
    const app = run(t, folder, { pino: false, slowBoot: true })
    await app.line('booting')
    app.kill('SIGTERM')
    t.match(await app.exit, { code: 0, stderr: '' })
    t.notOk(messages(app.lines).includes('onModuleDestroy'))
  })
})

t.test('main.ts: the commands of its header show a 503, whose cause is logged once, and it ends with 0', async t => {
  const header = readFileSync(join(project, 'examples/nest/main.ts'), 'utf8')
  const commands = [...header.matchAll(/^\/\/ +curl (?:-i|-X (\w+)) localhost:8080(\/\S+)$/gm)]
  const port = await freePort()
  const example = start(t, join(project, 'dist'), 'examples/nest/main', {}, { PORT: String(port) })
  await example.line(/serving after/)
  while (!await listens(port)) await sleep(25)
  const statuses = []
  for (const [, method = 'GET', path] of commands) statuses.push((await fetch(`http://127.0.0.1:${port}${path}`, { method })).status)
  t.strictSame(statuses, [200, 201, 503])
  // SIGINT doesn't drain.
  example.kill('SIGINT')
  t.match(await example.exit, { code: 0 })
  t.equal(messages(example.lines).filter(msg => msg.includes('connect ECONNREFUSED')).length, 1)
  t.match(messages(example.lines).at(-1), /\[Database\] closed/)
})

t.test('docs/nest.md shows the recipe as it is, in at most 60 lines', async t => {
  const code = readFileSync(join(project, 'examples/nest/healthz.ts'), 'utf8')
  t.equal(blocksOf(readPage('docs/nest.md'))[0]!.code, code.slice(code.indexOf('\n') + 1).trimEnd())
  t.ok(code.trimEnd().split('\n').length <= 60)
})

async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
