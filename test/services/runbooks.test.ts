// The failures of docs/runbooks.md, each in a real service. What they show is in the page, apart from its numbers.
//
// HEALTHZ_WRITE_RUNBOOKS=1 writes it there.
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { type HttpGet, probe } from '../helpers/kubelet.js'
import type { LogLine } from '../helpers/log.js'
import { project } from '../helpers/package.js'
import { type Proxy, proxyTo } from '../helpers/proxy.js'
import { request } from '../helpers/raw.js'
import { follow, PRELUDE, spawnNode } from '../helpers/service.js'
import { needs, PORTS } from '../helpers/services.js'

const PAGE = join(project, 'docs/runbooks.md')
const WRITE = process.env.HEALTHZ_WRITE_RUNBOOKS === '1'

type Service = ReturnType<typeof follow> & { readonly port: number, readonly proxy: Proxy }

interface Failure {
  /** Options of the plugin, as source; `pool` is a database. */
  readonly options: string
  /** What else the app does, as source. */
  readonly setup?: string
  readonly args?: readonly string[]
  /** Brings the failure about. */
  readonly breaks?: (service: Service) => unknown
  readonly probed?: 'Readiness' | 'Liveness' | 'Startup'
  /** The line of the log. */
  readonly log?: RegExp
  /** The samples. */
  readonly metric?: RegExp
  /** Nothing can be asked any more: what is there instead of an event. */
  readonly ends?: (exit: Awaited<ReturnType<typeof follow>['exit']>) => string[]
  /** The excerpt of `?verbose`. */
  readonly verbose?: string
}

const PATHS = { Readiness: 'ready', Liveness: 'live', Startup: 'startup' } as const
const DATABASE = 'ready: { database: postgres(pool) }'

const FAILURES: Record<string, Failure> = {
  'database refuses': {
    options: DATABASE,
    breaks: async ({ proxy }) => { proxy.cut(); await proxy.refuse() },
    log: /"database" failed/,
    metric: /^healthz_check_up/,
    verbose: 'database'
  },
  'database hangs': {
    options: DATABASE,
    breaks: ({ proxy }) => proxy.swallow(),
    log: /"database" timed out/,
    metric: /^healthz_check_up/,
    verbose: 'database'
  },
  'database is slow': {
    options: DATABASE,
    breaks: ({ proxy }) => proxy.delay(150),
    metric: /^healthz_check_duration_seconds_(sum|count|bucket\{le="0\.25")/,
    verbose: 'database'
  },
  'wrong password': {
    options: 'ready: { database: postgres(new pg.Pool({ ...server, user: "typo" })) }',
    log: /"database" failed/,
    metric: /^healthz_check_up/,
    verbose: 'database'
  },
  'disk full': {
    // As full as it gets here.
    options: 'ready: { disk: diskFree({ path: "/", min: 0.9999 }) }',
    log: /"disk" failed/,
    metric: /^healthz_check_up/,
    verbose: 'disk'
  },
  'loop blocked': {
    options: 'listen: { port: 0, host: "127.0.0.1", thread: true }',
    setup: `
      function report () { for (const end = Date.now() + 4000; Date.now() < end;); }
      app.get('/report', async () => { report(); return 'reported' })`,
    breaks: async service => {
      const { port } = new URL(/at (\S+)/.exec((await service.line(/^Server listening/)).msg)![1]!)
      request(Number(port), 'GET', '/report').catch(() => {})
      await service.complaint(/event loop blocked.*\n/)
    },
    log: /^event loop blocked/,
    metric: /^healthz_loop_blocked/
  },
  'out of memory': {
    options: 'ready: { heap: heapUsed({ max: 40 * 1024 * 1024 }) }',
    setup: `
      const leak = []
      app.get('/leak', async () => { setInterval(() => { leak.push(Array.from({ length: 50_000 }, (_, i) => ({ i }))) }, 50); return 'leaking' })`,
    args: ['--max-old-space-size=64'],
    breaks: async service => {
      await request(service.port, 'GET', '/leak')
      const warned = service.line(/"heap" failed/)
      const prober = setInterval(() => { request(service.port, 'GET', '/healthz/ready').catch(() => {}) }, 50)
      await warned.finally(() => clearInterval(prober))
    },
    log: /"heap" failed/,
    ends: ({ signal, stderr }) => [
      // V8 gives one of several reasons.
      `FATAL ERROR: … ${/Allocation failed - .*/.exec(stderr)![0]}`,
      `Last State: Terminated, Exit Code: ${signal === 'SIGABRT' ? 134 : signal}`
    ]
  },
  'boot too slow': {
    options: 'listen: { port: 0, host: "127.0.0.1" }',
    setup: 'app.addHook("onReady", async () => { await new Promise(resolve => setTimeout(resolve, 3000)) })',
    probed: 'Startup',
    log: /^serving after/,
    metric: /^healthz_boot_seconds/
  },
  'drain too short': {
    options: '',
    setup: 'app.get("/drain", async () => { app.healthz.drain(1500); return "draining" })',
    breaks: async service => {
      await request(service.port, 'GET', '/drain')
      while (!service.lines.some(({ msg }) => /^drain ended/.test(msg))) await request(service.port, 'GET', '/metrics')
    },
    log: /^drain ended/,
    metric: /^healthz_drain/
  },
  'probe misconfigured': {
    options: 'timeout: 6000, ready: { database: async () => { await new Promise(resolve => setTimeout(resolve, 5000)) } }',
    log: /aborted by the client/,
    metric: /^healthz_probe_aborted_total\{probe="ready"\}/
  }
}

async function start (t: Test, { options, setup = '', args = [] }: Failure): Promise<Service> {
  const proxy = await proxyTo(PORTS.postgres)
  t.teardown(() => proxy.close())
  const service = follow(t, spawnNode([...args, '--eval', `${PRELUDE}
    const pg = require('pg')
    const { register } = require('prom-client')
    const { diskFree, heapUsed, postgres } = require('./dist/lib/checks/index.js')
    const server = { host: '127.0.0.1', port: ${proxy.port}, user: ${JSON.stringify(process.env.PGUSER ?? 'postgres')}, database: 'test' }
    const pool = new pg.Pool(server)
    pool.on('error', () => {})
    const app = Fastify({ logger: { stream } })
    app.register(healthz, { details: true, noLog: true, ${options} })
    app.register(require('./dist/lib/telemetry/prometheus.js'), { register })
    app.get('/metrics', () => register.metrics())
    ${setup}
    app.listen({ port: 0, host: '127.0.0.1' })
  `]))
  const listening = await service.line(/^(Probes|Server) listening at/)
  return { ...service, proxy, port: Number(new URL(listening.msg.split(' at ')[1]!).port) }
}

/** As pino-pretty shows it, shortened. */
function shownLine ({ level, msg, err, stack }: LogLine): string[] {
  const [culprit] = String(stack ?? '').split('\n')
  return [
    `${level === 30 ? 'INFO' : 'WARN'}: ${msg}`,
    ...err === undefined ? [] : [`err: ${err.message}`],
    ...stack === undefined ? [] : [`stack: ${culprit!.trim().replace('[eval]', '/app/report.js')}`]
  ]
}

async function shown (t: Test, failure: Failure): Promise<string> {
  const { probed = 'Readiness', breaks, log, metric, verbose, ends } = failure
  const service = await start(t, failure)
  const path = `/healthz/${PATHS[probed]}`
  const get: HttpGet & { timeoutSeconds: number } = { port: service.port, path, timeoutSeconds: 2 }
  if (failure.options === DATABASE) t.equal((await probe(get)).status, 200, 'it is well before')
  await breaks?.(service)
  const lines: string[] = []
  const say = (what: string, text: readonly string[]) => {
    text.forEach((line, i) => lines.push(`${(i === 0 ? what : '').padEnd(10)}${line}`))
  }
  const { status, body, output } = ends === undefined ? await probe(get) : { status: 0, body: undefined, output: '' }
  const event = output.replace(/127\.0\.0\.1:\d+/, '10.128.0.17:8080')
    // The kubelet's words for the error of Node.
    .replace(/: The operation was aborted.*/, ': context deadline exceeded (Client.Timeout exceeded while awaiting headers)')
  say('log', log === undefined ? ['nothing: the check passes'] : shownLine(await service.line(log)))
  if (metric !== undefined) {
    const app = failure.options.startsWith('listen') ? new URL((await service.line(/^Server listening/)).msg.split(' at ')[1]!).port : service.port
    const { body } = await request(Number(app), 'GET', '/metrics')
    say('metric', body.split('\n').filter(line => metric.test(line)))
  }
  if (verbose !== undefined) {
    const { body } = await request(service.port, 'GET', `${path}?verbose`)
    const { checkedAt, ...check } = JSON.parse(body).checks[verbose]
    say('verbose', [JSON.stringify({ [verbose]: check })])
  } else if (body !== undefined) {
    say('response', [body])
  }
  if (ends !== undefined) say('kubelet', ends(await service.exit))
  else say('kubelet', [status === 200 ? 'no event' : `Warning  Unhealthy  ${probed} probe failed: ${event}`])
  return lines.map(line => line + '\n').join('')
}

async function suite (): Promise<void> {
  let page = readFileSync(PAGE, 'utf8')
  const blockOf = (name: string) => new RegExp(`(<!-- ${name} -->\n\`\`\`\n)([^]*?)(\`\`\`)`)
  const masked = (text: string) => text.replace(/\d+(\.\d+)?/g, 'N')
  for (const [name, failure] of Object.entries(FAILURES)) {
    await t.test(`${name}: it shows what docs/runbooks.md has`, async t => {
      const text = await shown(t, failure)
      if (WRITE) page = page.replace(blockOf(name), (_, start, _old, end) => `${start}${text}${end}`)
      t.equal(masked(blockOf(name).exec(page)?.[2] ?? 'no such block'), masked(text))
    })
  }
  if (WRITE) writeFileSync(PAGE, page)
}

needs(t, 'postgres').then(there => there ? suite() : undefined)
