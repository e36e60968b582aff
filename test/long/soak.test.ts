// What is left of many probes: a service whose checks fail in every way at random is asked over real sockets while others
// ask for the app's own route, and measured after each half. `npm run test:long` sends a million and more.
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { type Answer, AnswerReader } from '../helpers/answers.js'
import { trials } from '../helpers/property.js'
import { spawnNode, TYPESCRIPT } from '../helpers/service.js'
import type { Measure, SoakSettings } from '../helpers/soak/service.js'

const LONG = process.env.HEALTHZ_LONG === '1'
const { seed } = trials(1)
const PROBES = LONG ? 1_000_000 : 20_000
/** So many seconds of the service are one of ours: the long version is an hour of its time. */
const FASTER = 40
/** Asked before the first measure: code is compiled, and buffers grow. */
const WARM_UP = PROBES / 10
/** Ten bytes that each probe leaves behind would be 5 MB in half of the long version. */
const MAX_GROWTH = 2 * 2 ** 20

const NAMES = ['live', 'ready', 'hanging', 'background', 'changing', 'startup', 'ready?verbose', 'live']

class Client {
  readonly statuses: Record<string, number> = {}
  probes = 0
  worked = 0
  slowest = 0
  #nth = 0
  #left = 0

  constructor (private readonly port: number) {}

  /** Sends so many probes, and what it takes of other requests meanwhile. */
  async send (probes: number): Promise<void> {
    this.#left = probes
    let done = false
    const probing = Promise.all([
      ...Array.from({ length: 8 }, () => this.#keepAsking(20)),
      ...Array.from({ length: 2 }, () => this.#askAsTheKubelet())
    ]).then(() => { done = true })
    await Promise.all([probing, ...Array.from({ length: 2 }, () => this.#work(() => done))])
  }

  /** One connection that is kept, and so many requests in it at once. */
  async #keepAsking (depth: number): Promise<void> {
    const connection = new Connection(this.port)
    while (this.#left > 0) {
      const paths = Array.from({ length: Math.min(depth, this.#left) }, () => this.#path())
      this.#left -= paths.length
      for (const answer of await connection.ask(paths)) this.#judge(answer)
    }
    await connection.close()
  }

  async #askAsTheKubelet (): Promise<void> {
    while (this.#left > 0) {
      this.#left--
      const connection = new Connection(this.port)
      for (const answer of await connection.ask([this.#path()], 'Connection: close\r\n')) this.#judge(answer)
      await connection.closed
    }
  }

  async #work (done: () => boolean): Promise<void> {
    const connection = new Connection(this.port)
    while (!done()) {
      const began = performance.now()
      for (const { status, body } of await connection.ask(['/work'])) {
        if (status !== 200 || body !== '{"worked":true}') throw new Error(`the app answered ${status} ${body}`)
        this.worked++
      }
      this.slowest = Math.max(this.slowest, performance.now() - began)
    }
    await connection.close()
  }

  #path (): string { return `/healthz/${NAMES[this.#nth++ % NAMES.length]}` }

  #judge ({ status, headers, body }: Answer): void {
    const title = { 200: 'OK"', 500: '', 503: '' }[status]
    const right = title !== undefined && body.startsWith(`{"status":${status},"title":"${title}`)
    const ours = headers.get('content-type') === 'application/problem+json'
    if (!right || !ours) throw new Error(`a probe was answered ${status} ${body}`)
    this.probes++
    this.statuses[status] = (this.statuses[status] ?? 0) + 1
  }
}

class Connection {
  readonly #socket
  readonly closed

  constructor (port: number) {
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true }).setEncoding('latin1')
    this.closed = once(this.#socket, 'close')
  }

  async ask (paths: readonly string[], headers = ''): Promise<Answer[]> {
    const reader = new AnswerReader()
    const answered = new Promise<void>((resolve, reject) => {
      this.#socket.removeAllListeners('data').on('data', chunk => {
        reader.push(chunk as unknown as string)
        if (reader.answers.length === paths.length) resolve()
      })
      this.closed.then(() => reject(new Error('the service closed a connection')), reject)
    })
    this.#socket.write(paths.map(path => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${headers}\r\n`).join(''))
    await answered
    return reader.answers
  }

  async close (): Promise<void> {
    this.#socket.end()
    await this.closed
  }
}

async function start (t: Test, settings: SoakSettings) {
  const child = spawnNode(['--expose-gc', ...TYPESCRIPT, join(__dirname, '../helpers/soak/service.ts'), JSON.stringify(settings)])
  t.teardown(() => child.kill('SIGKILL'))
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', chunk => { stderr += chunk })
  const exited = once(child, 'close').then(([code]) => ({ code, stderr }))
  const ended = exited.then(({ stderr }) => { throw new Error(stderr) })
  const [address] = await Promise.race([once(createInterface(child.stdout), 'line'), ended])
  return { port: Number(new URL(address).port), exited, end: () => child.kill('SIGTERM') }
}

t.setTimeout(LONG ? 600_000 : 90_000)

t.test('of many probes nothing is left: no heap, no handle, no listener; and no check is run more often than it may be', {
  timeout: LONG ? 600_000 : 90_000
}, async t => {
  const service = await start(t, { seed, faster: FASTER })
  const client = new Client(service.port)
  const measure = async (): Promise<Measure> => {
    const connection = new Connection(service.port)
    const [answer] = await connection.ask(['/measure'])
    await connection.close()
    return JSON.parse(answer!.body)
  }
  await client.send(WARM_UP)
  const warm = await measure()
  const began = performance.now()
  await client.send(PROBES / 2)
  const half = await measure()
  await client.send(PROBES / 2)
  const whole = await measure()
  const took = (performance.now() - began) / 1000
  service.end()
  t.strictSame(await service.exited, { code: 0, stderr: '' })

  const growth = [half.heapUsed - warm.heapUsed, whole.heapUsed - half.heapUsed]
  t.ok(growth[1]! < MAX_GROWTH, `the heap does not grow: ${growth[1]} bytes in the second half`)
  t.strictSame(half.resources, warm.resources, 'nor what keeps the process alive')
  t.strictSame(whole.resources, warm.resources)
  t.equal(half.listeners, warm.listeners, 'nor the number of listeners')
  t.equal(whole.listeners, warm.listeners)

  const { figures } = whole
  t.strictSame(whole.broken, [], 'no check ran beside itself, or too soon after one that hangs; changes were told once')
  t.equal(figures.finished, figures.runs, 'each run has one end')
  t.equal(client.probes, WARM_UP + PROBES)
  for (const [status, answers] of Object.entries(client.statuses)) {
    t.equal(figures[`answers with ${status}`], answers, `counted ${status} on both sides`)
  }
  t.ok(client.worked > 0)
  if (LONG) t.ok(took < 300, 'below five minutes')

  const { probes, statuses, worked, slowest } = client
  t.comment(`seed ${seed}: ${probes} probes, ${JSON.stringify(statuses)}`)
  t.comment(`beside ${worked} requests of the app's, the slowest in ${Math.round(slowest)} ms`)
  t.comment(`${took.toFixed(1)} s, for the service ${Math.round((whole.uptime - warm.uptime) / 60_000)} min`)
  t.comment(`heap, KiB: ${[warm, half, whole].map(({ heapUsed }) => Math.round(heapUsed / 1024)).join(' → ')}`)
  t.comment(`listeners: ${whole.listeners}; resources: ${JSON.stringify(whole.resources)}`)
  t.comment(Object.entries(figures).map(([what, count]) => `${what}: ${count}`).join(', '))
})
