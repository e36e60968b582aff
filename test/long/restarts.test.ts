// Processes that are ended at random moments, by SIGKILL and SIGTERM, one after the other on the same ports.
// `npm run test:long` does it 200 times, HEALTHZ_PROPERTY_SEED=… at the moments of a failure again.
import { once } from 'node:events'
import { get, type RequestOptions } from 'node:http'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import t from 'tap'
import { trials } from '../helpers/property.js'
import { type Ending, LASTS, Service } from '../helpers/restarts.js'

const LONG = process.env.HEALTHZ_LONG === '1'
const { seed } = trials(1)
const RESTARTS = LONG ? 200 : 12
const LANES = 2

/** Where a process is when the signal comes: what it said last, and how long that goes on. */
const PHASES = {
  'before it is loaded': ['', 300],
  'before the plugin is there': ['loaded', LASTS.boot],
  boot: ['registered', 2 * LASTS.boot],
  serving: ['up', 100],
  draining: ['SIGTERM: draining', LASTS.drain],
  closing: ['drained', LASTS.close]
} as const
type Phase = keyof typeof PHASES

interface Plan { readonly phase: Phase, readonly signal: 'SIGKILL' | 'SIGTERM', readonly moment: number }

/** Each phase with each signal as often, at random moments. */
const plans: Plan[] = fc.sample(fc.noBias(fc.nat(1000)), { seed, numRuns: RESTARTS }).map((thousandths, i) => {
  const phases = Object.keys(PHASES) as Phase[]
  const signal = Math.floor(i / phases.length) % 2 === 0 ? 'SIGTERM' : 'SIGKILL'
  return { phase: phases[i % phases.length]!, signal, moment: thousandths / 1000 }
})

/** Below those that the system hands out, so that nobody else gets them between two processes. */
async function freePorts (count: number): Promise<number[]> {
  const found: number[] = []
  for (let port = 20_000 + process.pid % 10_000; found.length < count; port++) if (await isFree(port)) found.push(port)
  return found
}

async function isFree (port: number): Promise<boolean> {
  const server = createServer().listen(port, '127.0.0.1')
  const free = await once(server, 'listening').then(() => true, () => false)
  if (free) {
    server.close()
    await once(server, 'close')
  }
  return free
}

const figures: Record<string, number> = {}
const count = (what: string) => { figures[what] = (figures[what] ?? 0) + 1 }

/** Asks on and on while there is somebody to answer; what is answered is by the contract. */
async function ask (service: Service, options: RequestOptions, right: RegExp): Promise<void> {
  while (!service.over) {
    const answer = await new Promise<string | undefined>(resolve => {
      get({ host: '127.0.0.1', agent: false, ...options }, response => {
        let body = ''
        response.setEncoding('utf8').on('data', chunk => { body += chunk })
          .on('end', () => resolve(`${response.statusCode} ${body}`)).on('error', () => resolve(undefined))
      }).on('error', () => resolve(undefined))
    })
    if (answer === undefined) await sleep(5)
    else if (right.test(answer)) count(`${options.path} ${answer.slice(0, 3)}`)
    else throw new Error(`${options.path} was answered ${answer}`)
  }
}

async function play ({ phase, signal, moment }: Plan, ports: readonly number[]): Promise<Ending & { leftBehind: boolean }> {
  const service = new Service(ports)
  const [port, probePort] = ports as [number, number]
  const asking = Promise.all([
    ask(service, { port, path: '/work' }, /^200 done$|^503 .*FST_ERR_|^503 .*Service Unavailable/),
    ask(service, { port: probePort, path: '/healthz/ready' }, /^200 .*OK|^503 .*(Starting|Shutting down|timed out)/),
    ask(service, { port, path: '/healthz/live' }, /^200 .*OK|^503 .*Service Unavailable/)
  ])
  const [after, lasts] = PHASES[phase]
  if (phase === 'draining' || phase === 'closing') {
    await service.says('up')
    service.kill('SIGTERM')
  }
  if (after !== '') await service.says(after)
  await sleep(moment * lasts)
  service.kill(signal)
  const ending = await service.ended
  const { leftBehind } = service
  await asking
  return { ...ending, leftBehind }
}

/** How it must have ended, by what it said. */
function expected ({ phase, signal }: Plan, { said, ...ending }: Ending): Pick<Ending, 'code' | 'signal'> {
  // It may have been over before the signal came.
  const killed = signal === 'SIGKILL' && (ending.signal === 'SIGKILL' || (phase !== 'closing' && phase !== 'draining'))
  if (killed) return { code: null, signal: 'SIGKILL' }
  // Before the plugin is there, SIGTERM does what it does to any process.
  if (ending.signal === 'SIGTERM' && !said.includes('registered')) return { code: null, signal: 'SIGTERM' }
  return { code: said.includes('SIGTERM during shutdown, exiting') ? 1 : 0, signal: null }
}

t.setTimeout(LONG ? 600_000 : 60_000)

t.test('a process that is ended at any moment gives its ports back, leaves no process behind and exits as documented', {
  timeout: LONG ? 600_000 : 60_000
}, async t => {
  const ports = await freePorts(2 * LANES)
  const left = [...plans.entries()]
  await Promise.all(Array.from({ length: LANES }, async (_, lane) => {
    const own = ports.slice(2 * lane, 2 * lane + 2)
    for (let next = left.shift(); next !== undefined; next = left.shift()) {
      const [i, plan] = next
      const ending = await play(plan, own)
      const { code, signal, said, stderr, leftBehind } = ending
      const free = await Promise.all(own.map(isFree))
      const seen = { code, signal, stderr, leftBehind, free }
      const wanted = { ...expected(plan, ending), stderr: '', leftBehind: false, free: [true, true] }
      const at = `${plan.phase}, at ${Math.round(plan.moment * PHASES[plan.phase][1])} ms: ${plan.signal}`
      if (!t.strictSame(seen, wanted, `${i + 1}. ${at}`)) t.comment(said.join('\n'))
      if (code === 0) t.equal(said.at(-1), 'closed', 'it has closed')
      count(`${plan.phase}, ${plan.signal}: ${signal ?? `exit code ${code}`}`)
    }
  }))
  const told = Object.entries(figures).sort(([a], [b]) => a < b ? -1 : 1).map(([what, count]) => `${what}: ${count}`)
  t.comment(`seed ${seed}: ${told.join('; ')}`)
})
