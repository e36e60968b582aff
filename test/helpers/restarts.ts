import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { project } from './package.js'

/** The duration of the phases in which a process can be killed, in ms. */
export const LASTS = { boot: 60, drain: 400, work: 40, close: 60 }

/** Uses `dist/`, since transpiling `lib/` in each process would take most of the time. */
const PROGRAM = `
  const say = line => require('node:fs').writeSync(1, line + '\\n')
  const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))
  const Fastify = require('fastify')
  const healthz = require('./dist/lib/index.js')
  const [port, probePort] = process.argv.slice(1).map(Number)
  say('loaded')
  const app = Fastify({ logger: { stream: { write: line => say(JSON.parse(line).msg) } } })
  app.register(healthz, {
    noLog: true,
    ready: { database: () => sleep(5) },
    probes: { background: { a: { check: () => {}, interval: 10 } } },
    shutdown: { delay: ${LASTS.drain}, timeout: 5000 },
    listen: { port: probePort, host: '127.0.0.1', alongside: true }
  })
  app.after(() => say('registered'))
  app.register(async () => { await sleep(${LASTS.boot}) })
  app.addHook('onReady', async () => { say('nearly ready'); await sleep(${LASTS.boot}) })
  app.addHook('onClose', async () => { await sleep(${LASTS.close}); say('closed') })
  app.get('/work', async () => { await sleep(${LASTS.work}); return 'done' })
  ;(async () => {
    await app.listen({ port, host: '127.0.0.1' })
    say('up')
  })()`

export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly said: readonly string[]
  readonly stderr: string
}

/** A service in its own process group, on these two ports. */
export class Service {
  readonly said: string[] = []
  readonly ended: Promise<Ending>
  readonly #child
  readonly #waiting = new Set<() => void>()
  #over = false

  constructor (ports: readonly number[]) {
    // tap instruments every child process with signal listeners, which a real service doesn't have.
    const program = [process.execPath, '--eval', PROGRAM, ...ports.map(String)]
    const child = this.#child = spawn('env', ['-u', 'NODE_OPTIONS', ...program], {
      cwd: project, detached: true, stdio: ['ignore', 'pipe', 'pipe']
    })
    let stderr = ''
    child.stderr.setEncoding('utf8').on('data', chunk => { stderr += chunk })
    createInterface(child.stdout).on('line', line => {
      this.said.push(line)
      this.#look()
    })
    this.ended = once(child, 'close').then(([code, signal]) => {
      this.#over = true
      this.#look()
      return { code, signal, said: this.said, stderr }
    })
  }

  get over (): boolean { return this.#over }

  /** Resolves when a line starts with `start`, or when the process has exited. */
  async says (start: string): Promise<void> {
    while (!this.#over && !this.said.some(line => line.startsWith(start))) {
      await new Promise<void>(resolve => this.#waiting.add(resolve))
    }
  }

  kill (signal: NodeJS.Signals): void { this.#child.kill(signal) }

  /** Whether a process of its group is still running. */
  get leftBehind (): boolean {
    try {
      process.kill(-this.#child.pid!, 0)
      return true
    } catch {
      return false
    }
  }

  #look (): void {
    for (const again of this.#waiting) again()
    this.#waiting.clear()
  }
}
