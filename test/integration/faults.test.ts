/**
 * Everything that we could think of that goes wrong around a probe, over the wire. Whatever it is, the answer is the one
 * in the table (`helpers/faults.ts`), the log says so, the next probe is right, other routes are served, and nothing is
 * thrown out of the event loop.
 */
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import healthz from '../../lib/index.js'
import { type Fault, FAULTS, MODULES, type Surrounding, SURROUNDINGS } from '../helpers/faults.js'
import { capture, type LogLine } from '../helpers/log.js'
import { listen, request } from '../helpers/raw.js'
import { startService } from '../helpers/service.js'

const figures = { faults: 0, probes: 0, 'other requests': 0, 'lines of the log': 0 }
const escaped: unknown[] = []
for (const event of ['unhandledRejection', 'uncaughtExceptionMonitor'] as const) {
  process.on(event, (error: unknown) => { escaped.push(error) })
}

type Answered = readonly [status: number, title: string]

/** The answer to a probe, whose form is that of the contract. */
async function ask (t: Test, port: number, path: string): Promise<Answered> {
  const { statusLine, headers, body } = await request(port, 'GET', path)
  figures.probes++
  const { status, title, ...rest } = JSON.parse(body)
  const length = Buffer.byteLength(body)
  const form = ['content-type', 'cache-control', 'content-length'].map(name => headers.get(name))
  const contract = [`HTTP/1.1 ${status}`, {}, true, 'application/problem+json', 'no-store', String(length)]
  t.strictSame([statusLine.slice(0, 12), rest, length < 10 * 1024, ...form], contract, 'in the form that it should have')
  return [status, title]
}

function gives (t: Test, got: Answered, [status, title]: readonly [number, string | RegExp], when: string): void {
  const right = got[0] === status && (typeof title === 'string' ? got[1] === title : title.test(got[1]))
  t.ok(right, `${when} it gives ${status}`, { got: got.map(shortened), expected: [status, shortened(title)] })
}

const LEVELS: Record<number, string> = { 30: 'info', 40: 'warn', 50: 'error' }
const said = ({ level, msg }: LogLine) => `${LEVELS[level]}: ${msg}`
const shortened = (text: unknown) => String(text).slice(0, 200)

/** What the plugin wrote by itself, but not about where it listens. */
function wrote (t: Test, lines: readonly LogLine[], expected: ReadonlyArray<string | RegExp>): void {
  const written = lines.filter(line => !('res' in line)).map(said)
  figures['lines of the log'] += written.length
  const right = written.length === expected.length &&
    expected.every((line, i) => typeof line === 'string' ? line === written[i] : line.test(written[i]!))
  const difference = { got: written.map(shortened), expected: expected.map(shortened) }
  t.ok(right, 'the log says what it should, and nothing else', difference)
}

async function serve (t: Test, { options = {}, prepare, write }: Partial<Surrounding> = {}) {
  const { lines, stream } = capture()
  const app = Fastify({
    logger: {
      stream: {
        write (line) {
          stream.write(line)
          const last = lines.at(-1)!
          if ('check' in last && write !== undefined) {
            lines.pop()
            write(last)
          }
        }
      }
    }
  })
  t.teardown(() => app.close())
  app.register(healthz, { noLog: true, ...options })
  app.get('/work', { logLevel: 'silent' }, async () => 'done')
  const port = await listen(app)
  await ask(t, port, '/healthz/live')
  prepare?.(app)
  lines.length = 0
  return { app, lines, port }
}

/** Requests to other routes of the app, one after the other, until they are stopped. All are to be answered with 200. */
function work (t: Test, port: number): () => Promise<void> {
  const stop = new AbortController()
  const wrong: unknown[] = []
  const over = (async () => {
    while (!stop.signal.aborted) {
      for (const path of ['/work', '/healthz/live']) {
        const answer = await fetch(`http://127.0.0.1:${port}${path}`)
        await answer.text()
        if (answer.status !== 200) wrong.push([path, answer.status])
        figures['other requests']++
      }
    }
  })()
  return async () => {
    stop.abort()
    await over
    t.strictSame(wrong, [], 'other routes were served')
  }
}

interface Service { readonly app: FastifyInstance, readonly lines: LogLine[], readonly port: number }

async function walk (t: Test, { app, lines, port }: Service, fault: Fault): Promise<void> {
  const { status, title, again = [status, title], log, timeout, lasts } = fault
  lines.length = 0
  figures.faults++
  const undo: Array<() => void> = []
  const add = (name: string, check: healthz.Check) => { undo.push(app.healthz.add('ready', name, check)) }
  let calls = 0
  let well = false
  let answer = () => {}
  const answered = new Promise<void>(resolve => { answer = resolve })
  const remove = app.healthz.add('ready', 'fault', {
    check: context => well || fault.check({ app, context, port, calls: ++calls, answered, remove, add }),
    ...(timeout !== undefined && { timeout })
  })

  gives(t, await ask(t, port, '/healthz/ready'), [status, title], 'at first')
  answer()
  await answered
  gives(t, await ask(t, port, '/healthz/ready'), again, 'the next time')
  well = true
  for (const end of undo) end()
  gives(t, await ask(t, port, '/healthz/ready'), lasts ? again : [200, 'OK'], 'well again')
  remove()
  gives(t, await ask(t, port, '/healthz/ready'), [200, 'OK'], 'without the check')
  const about = (line: string) => line.replace(': ', ': ready check ')
  wrote(t, lines, log.map(line => typeof line === 'string' ? about(line) : new RegExp(about(line.source), line.flags)))
}

t.test('a check may do whatever it will, and one service outlives it all', async t => {
  const service = await serve(t)
  const stop = work(t, service.port)
  for (const fault of FAULTS) await t.test(`a check that ${fault.kind}`, t => walk(t, service, fault))
  await stop()
})

t.test('what surrounds the checks may fail too', async t => {
  for (const surrounding of SURROUNDINGS) {
    await t.test(surrounding.kind, async t => {
      const { status, title, again = [status, title], path = 'ready', log } = surrounding
      figures.faults++
      const { app, lines, port } = await serve(t, surrounding)
      const stop = again === 'closed' ? undefined : work(t, port)
      gives(t, await ask(t, port, `/healthz/${path}`), [status, title], 'at first')
      if (again === 'closed') {
        await app.close()
        await t.rejects(request(port, 'GET', '/healthz/ready'), { code: 'ECONNREFUSED' })
      } else {
        gives(t, await ask(t, port, `/healthz/${path}`), again, 'the next time')
      }
      await stop?.()
      wrote(t, lines, log)
    })
  }
})

t.test('a module that no check can come from refuses the boot, with an error of our own', async t => {
  const folder = t.testdir(Object.fromEntries(MODULES.map(({ name, source }) => [name, source])))
  for (const { kind, name, code, says } of MODULES) {
    await t.test(`one that ${kind}`, async t => {
      figures.faults++
      const { lines, logger } = capture()
      const app = Fastify({ logger, pluginTimeout: code === 'HEALTHZ_ERR_CHECK_LOAD_TIMEOUT' ? 1000 : 60_000 })
      t.teardown(() => app.close())
      app.register(healthz, { ready: { a: `./${name}` }, root: folder, listen: { port: 0, host: '127.0.0.1' } })
      const error = await app.listen({ port: 0, host: '127.0.0.1' }).then(() => undefined, error => error)
      t.match(error, { code, message: says })
      t.match(error.message, /`ready\.a`/, 'it names the option')
      t.strictSame(app.addresses(), [])
      const { port } = lines.find(({ msg }) => msg.startsWith('Probes listening'))!
      await t.rejects(request(port, 'GET', '/healthz/live'), { code: 'ECONNREFUSED' }, 'the port of their own is given back')
    })
  }
})

t.test('nothing was thrown out of the event loop', async t => {
  t.equal(escaped.length, 0, 'nor a rejection left unhandled', { escaped })
  t.comment(Object.entries(figures).map(([what, count]) => `${count} ${what}`).join(', '))
})

// Only Node could catch that: the signal itself calls its listeners.
t.test('an error in a listener of a check\'s signal is like any that is thrown out of the event loop', async t => {
  const service = startService(t, `
    const app = Fastify({ logger: { stream } })
    app.register(healthz, {
      ready: ({ signal }) => {
        signal.addEventListener('abort', () => { throw new Error('in a listener') })
        return new Promise(() => {})
      },
      timeout: 20,
      shutdown: true
    })
    await app.ready()
    const { body } = await app.inject('/healthz/ready')
    say(body)
  `)
  const { code, lines } = await service.exit
  t.equal(code, 1)
  t.match(lines.find(({ level }) => level === 60), { err: { message: 'in a listener' } })
  t.ok(lines.some(({ msg }) => msg === '{"status":503,"title":"Shutting down"}'), 'the probe is still answered')
})
