// What docs/shutdown.md says of node:cluster, with examples/cluster.ts: a primary and two workers.
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent, get } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import type { LogLine } from '../helpers/log.js'
import { freePort } from '../helpers/own-server.js'
import { project } from '../helpers/package.js'
import { spawnNode } from '../helpers/service.js'

const EXAMPLE = join(project, 'dist/examples/cluster.js')

t.jobs = 4
t.setTimeout(120_000)

const isListening = ({ msg }: LogLine) => msg.startsWith('Server listening at http://127.0.0.1:')
const portOf = ({ msg }: LogLine) => Number(new URL(msg.split(' at ')[1]!).port)

/** Starts a program whose processes log to the same stdout, in a process group of its own. */
function start (t: Test, program: string) {
  const child = spawnNode([program], { PORT: '0', PROBES_PORT: '0' }, { detached: true })
  const lines: LogLine[] = []
  let stderr = ''
  let exited = false
  createInterface(child.stdout).on('line', line => lines.push(JSON.parse(line)))
  child.stderr.setEncoding('utf8').on('data', chunk => { stderr += chunk })
  const exit = once(child, 'close').then(([code, signal]) => {
    exited = true
    return { code, signal, stderr }
  })
  t.teardown(async () => {
    if (!exited) process.kill(-child.pid!, 'SIGKILL')
    await exit
  })

  /** Resolves with the first `count` lines that match, once they are there. */
  async function logged (matches: (line: LogLine) => boolean, count: number): Promise<LogLine[]> {
    for (;;) {
      const found = lines.filter(matches)
      if (found.length >= count) return found.slice(0, count)
      if (exited) throw new Error(`it exited too early: ${JSON.stringify(lines)} ${stderr}`)
      await sleep(10)
    }
  }
  return { pid: child.pid!, lines, logged, exit }
}

/** Starts the example, and resolves once both workers listen. */
async function startExample (t: Test) {
  const started = start(t, EXAMPLE)
  const listening = await started.logged(isListening, 3)
  const ofWorkers = listening.filter(({ pid }) => pid !== started.pid)
  t.equal(ofWorkers.length, 2)
  return {
    ...started,
    port: portOf(ofWorkers[0]!),
    probesPort: portOf(listening.find(({ pid }) => pid === started.pid)!),
    workers: ofWorkers.map(({ pid }) => pid as number)
  }
}

/** A GET over that agent, or over a new connection. */
async function fetchText (port: number, path: string, { agent = false as Agent | false, timeout = 30_000 } = {}) {
  const request = get({ host: '127.0.0.1', port, path, agent, timeout })
  request.on('timeout', () => { request.destroy(new Error('no response')) })
  const [response] = await once(request, 'response')
  let text = ''
  for await (const chunk of response.setEncoding('utf8')) text += chunk
  return { status: response.statusCode as number, text }
}

async function probe (port: number, name: string, timeout?: number): Promise<[status: number, title: string]> {
  const { status, text } = await fetchText(port, `/healthz/${name}`, { timeout })
  return [status, JSON.parse(text).title]
}
/** The same, of one that may not respond. */
const tryProbe = (port: number) => probe(port, 'live', 2000).then(([status]) => status, ({ message }) => message as string)

/** Probes until the title is that. */
async function becomes (t: Test, port: number, name: string, title: string): Promise<void> {
  let last: [number, string] | undefined
  for (let i = 0; i < 400; i++) {
    last = await probe(port, name)
    if (last[1] === title) {
      t.equal(last[0], title === 'OK' ? 200 : 503, title)
      return
    }
    await sleep(25)
  }
  t.fail(`${name} is ${last} instead of ${title}`)
}

/** Requests without a pause, over connections that are kept alive and over new ones, until it is stopped. */
function load (port: number) {
  const results: Array<{ at: number, from?: string, error?: unknown }> = []
  const agent = new Agent({ keepAlive: true, maxSockets: 4 })
  const stopped = new AbortController()
  const client = async (agent: Agent | false) => {
    while (!stopped.signal.aborted) {
      try {
        const { status, text } = await fetchText(port, '/', { agent })
        if (status !== 200) throw new Error(`${status} ${text}`)
        results.push({ at: Date.now(), from: text })
      } catch (error) {
        results.push({ at: Date.now(), error })
      }
      await sleep(2)
    }
  }
  const clients = Promise.all([agent, agent, agent, agent, false as const, false as const].map(client))
  return {
    results,
    async stop () {
      stopped.abort()
      await clients
      agent.destroy()
    }
  }
}

for (const [whom, toWhom] of [['the primary alone', 1], ['the whole process group', -1]] as const) {
  t.test(`on SIGTERM to ${whom} each worker drains once, no request is lost, and the primary exits with 0`, async t => {
    const { pid, port, probesPort, workers, lines, logged, exit } = await startExample(t)
    await becomes(t, probesPort, 'ready', 'OK')
    const requests = load(port)
    await sleep(300)
    process.kill(toWhom * pid, 'SIGTERM')
    const draining = await logged(({ msg }) => msg === 'SIGTERM: draining for 5 s, ready fails from now on', 2)
    t.strictSame(draining.map(({ pid }) => pid).sort(), workers.sort())
    t.strictSame(await probe(probesPort, 'ready'), [503, 'Shutting down'])
    t.strictSame(await probe(probesPort, 'live'), [200, 'OK'])
    await sleep(2000)
    // What is sent after the drain is refused: the removal of the endpoint has propagated by then.
    await requests.stop()

    t.match(await exit, { code: 0, signal: null, stderr: '' })
    t.strictSame(requests.results.filter(({ error }) => error !== undefined), [])
    const served = requests.results.filter(({ at }) => at > Math.max(...draining.map(({ time }) => time)))
    t.ok(served.length > 20, `${requests.results.length} requests, ${served.length} during the drain`)
    t.equal(new Set(served.map(({ from }) => from)).size, 2, 'by both workers')
    const drained = lines.filter(({ msg, pid }) => msg.startsWith('drained for') && workers.includes(pid))
    t.strictSame(drained.map(({ pid }) => pid).sort(), workers.sort())
    t.ok(drained.every(({ lastedMs }) => lastedMs >= 4999))
    t.strictSame(lines.filter(({ level }) => level > 30), [])
  })
}

t.test('Ctrl-C ends it without a drain', async t => {
  const { pid, lines, exit } = await startExample(t)
  process.kill(-pid, 'SIGINT')
  t.match(await exit, { code: 0, stderr: '' })
  t.equal(lines.filter(({ msg }) => msg === 'SIGINT: draining for 0 s, ready fails from now on').length, 3)
})

const UNSHARE = ['--pid', '--fork', '--kill-child']
const noNamespace = spawnSync('unshare', [...UNSHARE, 'true']).status !== 0 && 'no PID namespace can be made on this machine'

t.test('as process 1 it ends on SIGTERM, too', { skip: noNamespace }, async t => {
  const program = join(folder(t), 'unshare.js')
  // Forwards its signal to the process that is 1 in the namespace, as the container runtime does.
  writeFileSync(program, `
    const { spawn } = require('node:child_process')
    const { readFileSync } = require('node:fs')
    const unshare = spawn('unshare', ${JSON.stringify([...UNSHARE, process.execPath, EXAMPLE])}, { stdio: 'inherit' })
    process.on('SIGTERM', () => {
      process.kill(Number(readFileSync('/proc/' + unshare.pid + '/task/' + unshare.pid + '/children', 'utf8')), 'SIGTERM')
    })
    unshare.on('exit', code => process.exit(code))`)
  const { pid, lines, logged, exit } = start(t, program)
  t.ok((await logged(isListening, 3)).some(({ pid }) => pid === 1))
  process.kill(pid, 'SIGTERM')
  t.match(await exit, { code: 0, stderr: '' })
  t.equal(lines.filter(({ msg, pid }) => /^drained for/.test(msg) && pid !== 1).length, 2)
})

t.test('it exits with 1 if a worker fails during the shutdown', async t => {
  const { pid, workers, lines, logged, exit } = await startExample(t)
  process.kill(pid, 'SIGTERM')
  await logged(({ msg }) => /^SIGTERM: draining for 5 s/.test(msg), 2)
  process.kill(workers[0]!, 'SIGKILL')
  t.match(await exit, { code: 1 })
  t.ok(lines.some(({ msg, pid }) => msg.startsWith('drained for') && pid === workers[1]), 'the other one has drained')
  t.match(lines.at(-1), { level: 50, err: { message: 'a worker failed' } })
})

t.test('a blocked worker is seen on the port of the primary, and hidden on the one that the workers share', async t => {
  const { port, probesPort, workers } = await startExample(t)
  await becomes(t, probesPort, 'live', 'OK')
  process.kill(workers[0]!, 'SIGSTOP')
  const [status, title] = await probe(probesPort, 'live')
  t.equal(status, 503)
  t.match(title, /^worker-[12]: no answer within 800 ms$/)
  // Connections are dealt out in turn.
  const shared = await Promise.all([1, 2, 3, 4].map(() => tryProbe(port)))
  t.ok(shared.includes(200) && shared.includes('no response'), String(shared))
  process.kill(workers[0]!, 'SIGCONT')
  await becomes(t, probesPort, 'live', 'OK')
})

t.test('a worker that exits is not ready before, and is replaced', async t => {
  const { pid, port, probesPort, workers, logged } = await startExample(t)
  await becomes(t, probesPort, 'ready', 'OK')
  process.kill(workers[0]!, 'SIGTERM')
  await logged(({ msg }) => /^SIGTERM: draining for 5 s/.test(msg), 1)
  t.match((await probe(probesPort, 'ready'))[1], /^worker-[12]: Shutting down$/)
  const [line] = await logged(({ msg }) => /^worker [12] exited, replacing it$/.test(msg), 1)
  t.match(line, { level: 50, pid, code: 0 })
  await logged(isListening, 4)
  await becomes(t, probesPort, 'ready', 'OK')
  const from = await Promise.all([1, 2, 3, 4].map(() => fetchText(port, '/')))
  t.equal(new Set(from.map(({ text }) => text)).size, 2)
})

t.test('a blocked worker is seen on a port of its own for the probes, but not on one that all workers name', async t => {
  const ports = [await freePort(), await freePort(), await freePort()]
  const [fastify, healthz] = ['node_modules/fastify', 'dist/lib/index.js'].map(path => JSON.stringify(join(project, path)))
  const program = join(folder(t), 'ports.js')
  writeFileSync(program, `
    const cluster = require('node:cluster')
    if (cluster.isPrimary) {
      for (const OWN of ${JSON.stringify(ports.slice(0, 2))}) cluster.fork({ OWN })
    } else {
      const app = require(${fastify})({ logger: true })
      app.register(require(${healthz}), { listen: { port: Number(process.env.OWN), host: '127.0.0.1' } })
      app.listen({ port: 0, host: '127.0.0.1' })
      const other = require(${fastify})()
      other.register(require(${healthz}), { listen: { port: ${ports[2]}, host: '127.0.0.1' } })
      other.listen({ port: 0, host: '127.0.0.1' }).then(() => app.log.info({ port: Number(process.env.OWN) }, 'up'))
    }`)
  const { logged } = start(t, program)
  const up = await logged(({ msg }) => msg === 'up', 2)
  t.strictSame(await Promise.all(ports.map(tryProbe)), [200, 200, 200])
  process.kill(up.find(({ port }) => port === ports[0])!.pid, 'SIGSTOP')
  t.strictSame(await Promise.all(ports.slice(0, 2).map(tryProbe)), ['no response', 200])
  t.ok((await Promise.all([1, 2].map(() => tryProbe(ports[2]!)))).includes(200))
})

function folder (t: Test): string {
  const path = mkdtempSync(join(tmpdir(), 'healthz-cluster-'))
  t.teardown(() => rmSync(path, { recursive: true }))
  return path
}
