/**
 * Random bytes over real sockets: whatever is asked, in whatever pieces, is answered by the contract or refused by Node
 * or Fastify before it is ours, and nothing is left behind.
 *
 * HEALTHZ_PROPERTY_RUNS=1000 plays so many times up to eight connections at once, HEALTHZ_PROPERTY_SEED=… those of a
 * failure again. `npm run test:long` sends 100,000 requests and more.
 */
import { type AddressInfo, connect } from 'node:net'
import { setImmediate as turn } from 'node:timers/promises'
import fc from 'fast-check'
import Fastify from 'fastify'
import t, { type Test } from 'tap'
import healthz, { HealthError } from '../../lib/index.js'
import page from '../../lib/page/index.js'
import { type Answer, AnswerReader } from '../helpers/answers.js'
import { type CheckModel, fault, type Message, type Session, sessions, type Site } from '../helpers/requests.js'
import type { LogLine } from '../helpers/log.js'
import { trials } from '../helpers/property.js'

const LONG = process.env.HEALTHZ_LONG === '1'
const { numRuns, seed } = trials(LONG ? 5500 : 150)
const LEAST = LONG ? 100_000 : 0
/** Longer than any connection here takes. */
const HELD_MS = 20_000

const SECRET = 'hunter2'
/** Longer than a body may be, with characters of one to six bytes in JSON. */
const LOUD = 'Can\'t "connect" \n\0 \u2028 💔 é '.repeat(400)

const CHECKS: Record<string, Record<string, healthz.CheckOptions & { check: healthz.Check }>> = {
  live: {},
  ready: {
    database: { check: async () => { throw new HealthError("Can't connect", { cause: new Error(SECRET) }) } },
    cache: { check: () => { throw new Error(SECRET) }, critical: false },
    disk: { check: () => {} }
  },
  startup: { migrations: { check: async () => { await turn() } } },
  broken: { a: { check: () => { throw new Error(SECRET) } }, b: { check: async () => false } },
  slow: { a: { check: async () => { await turn(); await turn() } } },
  stuck: { hang: { check: () => new Promise(() => {}), timeout: 5 } },
  loud: { a: { check: () => { throw new HealthError(LOUD) } }, b: { check: () => {}, maxAge: 1000 } },
  'A.b_c-9': { default: { check: () => false } },
  ['__proto__']: { constructor: { check: () => {} } }
}
const failed = (title: string) => ({ fails: { status: 503, title } }) as const
const unexpected = { fails: { status: 500, title: 'failed unexpectedly' } } as const
const PROBES: Record<string, readonly CheckModel[]> = {
  live: [],
  ready: [
    { name: 'database', ...failed("Can't connect") },
    { name: 'cache', ...unexpected, critical: false },
    { name: 'disk' }
  ],
  startup: [{ name: 'migrations' }],
  broken: [{ name: 'a', ...unexpected }, { name: 'b', ...failed('failed') }],
  slow: [{ name: 'a' }],
  stuck: [{ name: 'hang', ...failed('timed out') }],
  loud: [{ name: 'a', ...failed(LOUD) }, { name: 'b' }],
  'A.b_c-9': [{ name: 'default', ...failed('failed') }],
  ['__proto__']: [{ name: 'constructor' }]
}

const MOVED = { ready: '/readyz', loud: '/x/y', slow: '/-x' }

interface Server extends Site {
  readonly log: readonly LogLine[]
  close (): Promise<void>
}

async function serve (name: string, options: healthz.HealthzOptions, details: Site['details'], scope = ''): Promise<Server> {
  const log: LogLine[] = []
  // All lines would be more than the memory holds.
  const keep = (line: string) => { if (/^\{"level":[456]0/.test(line)) log.push(JSON.parse(line)) }
  const app = Fastify({ logger: { stream: { write: keep } } })
  const { live, ready, startup, ...probes } = CHECKS
  const given: healthz.HealthzOptions = {
    live: live!,
    ready: ready!,
    startup: startup!,
    probes,
    details: details === 'who says so' ? ({ headers }) => headers['x-operator'] === 'yes' : details === 'everybody',
    ...options
  }
  let address = () => app.server.address() as AddressInfo
  const appPaths = ['/', '/hello']
  app.register(async scope => {
    scope.register(healthz, given)
    scope.register(page)
    scope.register(async scope => { if (options.listen !== undefined) address = () => scope.healthz.address! })
  }, { prefix: scope })
  for (const path of appPaths) app.get(path, async () => 'hello')
  await app.listen({ port: 0, host: '127.0.0.1' })
  const own = options.listen !== undefined
  const pagePaths = details === 'everybody' ? [(own ? '' : scope) + '/statusz'] : []
  const root = (own ? '' : scope) + (options.prefix ?? '/healthz')
  const moved = new Map(Object.entries(options.paths ?? {}).map(([probe, path]) => [probe, (own ? '' : scope) + path]))
  return {
    name,
    port: address().port,
    root: options.prefix === '' ? '' : root,
    paths: Object.fromEntries(Object.keys(PROBES).map(probe => [probe, moved.get(probe) ?? `${root}/${probe}`])),
    probes: PROBES,
    details,
    methods: app.supportedMethods,
    appPaths: own ? pagePaths : [...appPaths, ...pagePaths],
    separate: own,
    log,
    close: () => app.close()
  }
}

const figures: Record<string, number> = {}
const count = (what: string, by = 1) => { figures[what] = (figures[what] ?? 0) + by }

/** @throws when an answer isn't what it should be */
async function play (server: Server, { messages: given, cuts, ends }: Session): Promise<void> {
  const messages = given.map((message, i) => message(server, i === given.length - 1))
  const bytes = Buffer.concat(messages.map(({ bytes }) => bytes))
  const improper = messages.some(({ refusals }) => refusals !== undefined)
  const socket = connect({ port: server.port, host: '127.0.0.1', noDelay: true })
  const reader = new AnswerReader(nth => messages[nth]?.method === 'HEAD')
  let broken: unknown
  // Node reads no more after a write that failed, since the server had closed: an answer that was there is lost.
  let writeFailed = false
  socket.on('error', ({ syscall }: NodeJS.ErrnoException) => { writeFailed = syscall === 'write' })
  socket.setEncoding('latin1').on('data', chunk => {
    try {
      reader.push(chunk as unknown as string)
    } catch (error) {
      broken = error
      socket.destroy()
    }
  })
  let held = false
  const closed = new Promise(resolve => socket.on('close', resolve))
  const timer = setTimeout(() => { held = true; socket.destroy() }, HELD_MS)

  for (const part of pieces(bytes, cuts)) {
    if (!socket.writable) break
    socket.write(part)
    if (cuts.length > 0) await turn()
  }
  if (ends === 'aborts') socket.resetAndDestroy()
  else if (improper || ends === 'half') socket.end()
  await closed
  clearTimeout(timer)
  count('connections')
  count('requests', messages.length)
  if (cuts.length > 0) count('sent in pieces')
  if (ends === 'half') count('half-closed')
  if (ends === 'aborts') count('aborted')
  if (writeFailed && !improper && ends === 'waits') count('closed while they were written')
  try {
    if (held) throw new Error('the connection is held')
    if (broken !== undefined) throw broken
    judge(server, messages, reader, improper || writeFailed || ends !== 'waits')
  } catch (error) {
    const sent = JSON.stringify(bytes.toString('latin1')).slice(0, 3000)
    const answered = reader.answers.map(({ status }) => status)
    throw new Error(`at ${server.name}: ${(error as Error).message}\nanswered: ${answered}\nsent (${ends}): ${sent}`)
  }
}

/** A slow sender's bytes come one by one, but for those of which there are too many. */
function * pieces (bytes: Buffer, cuts: Session['cuts']): Iterable<Buffer> {
  const at = cuts === 'bytes'
    ? Array.from({ length: Math.min(bytes.length, 500) }, (_, i) => i)
    : cuts.map(cut => Math.floor(cut * bytes.length)).sort((a, b) => a - b)
  let from = 0
  for (const to of [...at, bytes.length]) {
    if (to > from) yield bytes.subarray(from, to)
    from = to
  }
}

/** @param lossy whether answers may be missing at the end, because the server or the client ended it before */
function judge (server: Site, messages: readonly Message[], { answers, rest }: AnswerReader, lossy: boolean): void {
  const show = (answer: Answer) => JSON.stringify({ ...answer, headers: [...answer.headers] }).slice(0, 1000)
  const refusals = new Set(messages.flatMap(({ refusals = [] }) => refusals))
  const left = [...answers]
  let over = false
  for (const message of messages) {
    const answer = left[0]
    if (answer === undefined || over) break
    const wrong = fault(server, message, answer)
    if (wrong !== undefined && left.length === 1 && isRefusal(answer)) break
    if (wrong !== undefined) throw new Error(`${message.method} ${message.target.slice(0, 1000)}: ${wrong.slice(0, 1000)}\n${show(answer)}`)
    left.shift()
    count(isOurs(answer) ? String(answer.status) : `${answer.status} of others`)
    over = answer.headers.get('connection') === 'close'
  }
  function isRefusal (answer: Answer): boolean { return refusals.has(answer.status) && !isOurs(answer) }
  const [last, ...more] = left
  if (last !== undefined) {
    if (more.length > 0 || !isRefusal(last)) throw new Error(`an answer too many: ${show(last)}`)
    count(`refused with ${last.status}`)
  }
  if (lossy) return
  if (rest !== '') throw new Error(`half an answer: ${rest}`)
  const unanswered = messages.length - answers.length
  if (unanswered > 0 && !over) throw new Error(`${unanswered} requests without an answer`)
}

function isOurs ({ headers }: Answer): boolean { return headers.get('content-type') === 'application/problem+json' }

/** What was sent says more than how it was made. */
function reporter ({ failed, errorInstance, seed, counterexamplePath }: fc.RunDetails<any>): void {
  if (!failed) return
  const message = (errorInstance as Error | null)?.message ?? 'it took too long'
  // Some of it is no text.
  const escape = (character: string) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
  const shown = message.slice(0, 6000).replace(/[^\n\x20-\x7e]/g, escape)
  throw new Error(`seed ${seed}, path ${counterexamplePath}: ${shown}`)
}

const sockets = () => process.getActiveResourcesInfo().filter(name => name === 'TCPSocketWrap').length

const longest = 60_000 + numRuns * 100
t.setTimeout(2 * longest)

t.test('whatever is sent is answered by the contract, or refused before it is ours; nothing crashes, and nothing is left', {
  timeout: 2 * longest
}, async t => {
  const before = sockets()
  const servers = await Promise.all([
    serve('defaults', { noLog: true }, 'nobody'),
    serve('details', {}, 'everybody'),
    serve('no prefix', { prefix: '', noLog: true }, 'who says so'),
    serve('a prefix around it', { prefix: '/-', paths: MOVED, noLog: true }, 'everybody', '/api'),
    serve('a port of their own', { listen: { port: 0, host: '127.0.0.1' } }, 'who says so', '/api'),
    serve('a port of their own, no prefix', { prefix: '', listen: { port: 0, host: '127.0.0.1' }, noLog: true }, 'everybody')
  ])
  t.teardown(() => Promise.all(servers.map(server => server.close())))
  const began = Date.now()
  await fc.assert(fc.asyncProperty(fc.array(sessions, { minLength: 1, maxLength: 8, size: 'max' }), async sessions => {
    await Promise.all(sessions.map(session => play(servers[session.site % servers.length]!, session)))
  }), { numRuns, seed, reporter, interruptAfterTimeLimit: longest, markInterruptAsFailure: true })
  const took = Date.now() - began

  await after(t, servers)
  const deadline = Date.now() + 5000
  while (sockets() > before && Date.now() < deadline) await turn()
  t.ok(sockets() <= before, `no connection is held: ${sockets()} sockets, ${before} before`)
  await Promise.all(servers.map(server => server.close()))
  t.ok(figures.requests! >= LEAST, 'there were enough requests')
  const told = Object.entries(figures).sort(([a], [b]) => a < b ? -1 : 1).map(([what, count]) => `${what}: ${count}`)
  t.comment(`seed ${seed}: in ${Math.round(took / 1000)} s ${told.join(', ')}`)
  const answers = ['200', '404', '405', '500', '503', '404 of others', '400 of others', 'refused with 400']
  const ways = ['sent in pieces', 'half-closed', 'aborted', ...LONG ? ['refused with 431', 'refused with 417'] : []]
  for (const what of [...answers, ...ways]) t.ok(figures[what]! > 0, `there were ${what}`)
})

/** Each probe answers still, and the log knows of no error but those that checks threw. */
async function after (t: Test, servers: readonly Server[]): Promise<void> {
  for (const server of servers) {
    for (const target of Object.values(server.paths)) {
      const bytes = Buffer.from(`GET ${target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`)
      const message = { method: 'GET', target, operator: false, body: false, closes: true, bytes }
      await play(server, { site: 0, messages: [() => message], cuts: [], ends: 'waits' })
    }
    const known = /^(broken|ready) check "(a|cache)" failed unexpectedly$|^stuck /
    const errors = server.log.filter(({ level, msg }) => level >= 50 && !known.test(msg))
    t.strictSame(errors.map(({ msg }) => msg), [], `nothing went wrong at ${server.name}`)
  }
}
