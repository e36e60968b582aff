import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { startExample } from './helpers/example.js'
import { messages } from '../helpers/log.js'
import { proxyTo } from '../helpers/proxy.js'
import { needs, PORTS } from '../helpers/services.js'

const read = (name: string) => readFileSync(join(__dirname, '../../examples', name), 'utf8')

/** What the header of `basic.ts` tells a newcomer to type. */
const tour = [...read('basic.ts').matchAll(/^\/\/ +curl (?:-i|-X (\w+)) localhost:8080(\/\S+)$/gm)]
  .map(([, method = 'GET', path]) => ({ method, path: path! }))

/** The title of the 503, by program. */
const programs = {
  basic: "database: Can't connect",
  specifiers: "Can't connect to the database",
  contributed: "database: Can't connect"
}

for (const [name, title] of Object.entries(programs)) {
  t.test(`${name}: the commands of the tour show a 503, one line with its cause, and the recovery`, async t => {
    const example = await startExample(name)
    t.teardown(example.stop)
    const listening = example.log.length
    const ask = async ({ method, path }: typeof tour[number]) => {
      const answer = await fetch(example.url + path, { method })
      return { status: answer.status, body: await answer.text() }
    }

    const answers = []
    for (const command of tour) {
      answers.push(await ask(command))
      // Asked again while it fails, it has nothing new to say.
      if (answers.at(-1)!.status === 503) answers.push(await ask(command))
    }
    // A line of it comes after all others that there may be.
    await ask({ method: 'POST', path: '/database/up' })
    const isDone = ({ msg }: { msg: string }) => msg === 'request completed'
    await example.logged(isDone, 5)

    const ok = { status: 200, body: '{"status":200,"title":"OK"}' }
    const away = { status: 503, body: JSON.stringify({ status: 503, title }) }
    const switched = (state: string) => ({ status: 200, body: `The database is ${state}\n` })
    t.strictSame(answers, [ok, ok, switched('down'), away, away, switched('up'), ok])

    const lines = example.log.slice(listening).filter(({ msg }) => !/^(Server listening|Status page) at/.test(msg))
    const [failing, recovered] = lines.filter(({ msg }) => msg.startsWith('ready'))
    t.strictSame(messages(lines), [
      'incoming request', 'request completed', // down
      failing?.msg, 'request completed', 'request completed', // 503 twice
      'incoming request', 'request completed', // up
      recovered?.msg,
      'incoming request', 'request completed' // up once more
    ])
    t.match(failing, {
      level: 40, probe: 'ready', msg: "Can't connect", err: { type: 'HealthError', stack: 'connect ECONNREFUSED' }
    })
    t.match(recovered, { level: 30, probe: 'ready', msg: /recovered after \d/, lastedMs: Number })
    t.match(lines.filter(line => isDone(line) && line.probe), [{ res: { statusCode: 503 } }, { res: { statusCode: 503 } }])
  })
}

t.test('metrics: a scrape shows what was asked before, and asks nothing', async t => {
  const example = await startExample('metrics')
  t.teardown(example.stop)
  const scrape = async () => {
    const answer = await fetch(`${example.url}/metrics`)
    t.equal(answer.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
    return (await answer.text()).split('\n').filter(line => /^healthz_\w+_(up|total)/.test(line))
  }
  const aborted = ['live', 'ready', 'startup'].map(probe => `healthz_probe_aborted_total{probe="${probe}"} 0`)
  const late = ['healthz_drain_late_connections_total 0', 'healthz_loop_blocked_total 0', 'healthz_loop_blocked_seconds_total 0']
  t.strictSame(await scrape(), [...aborted, ...late])
  t.equal((await fetch(`${example.url}/healthz/ready`)).status, 200)
  const samples = [
    'healthz_probe_up{probe="ready"} 1',
    ...aborted,
    'healthz_check_up{probe="ready",check="database"} 1',
    'healthz_check_up{probe="ready",check="cache"} 0',
    'healthz_check_runs_total{probe="ready",check="database",outcome="pass"} 1',
    'healthz_check_runs_total{probe="ready",check="database",outcome="warn"} 0',
    'healthz_check_runs_total{probe="ready",check="database",outcome="fail"} 0',
    'healthz_check_runs_total{probe="ready",check="cache",outcome="pass"} 0',
    'healthz_check_runs_total{probe="ready",check="cache",outcome="warn"} 1',
    'healthz_check_runs_total{probe="ready",check="cache",outcome="fail"} 0',
    ...late
  ]
  t.strictSame(await scrape(), samples)
  t.strictSame(await scrape(), samples)
})

t.test('postgres-redis: boots without its cache, and has it when it comes', async t => {
  if (!await needs(t, 'postgres', 'redis')) return
  const cache = await proxyTo(PORTS.redis)
  t.teardown(cache.close)
  await cache.refuse()
  const example = await startExample('postgres-redis', {
    DATABASE_URL: `postgres://postgres@127.0.0.1:${PORTS.postgres}/test`,
    REDIS_URL: `redis://127.0.0.1:${cache.port}`
  })
  t.teardown(example.stop)
  const get = async (path: string) => (await fetch(example.url + path)).json()
  t.strictSame(await get('/healthz/ready'), { status: 200, title: 'OK' })
  t.match(await get('/time'), { cached: false })
  await cache.resume()
  while ((await get('/time') as { cached: boolean }).cached === false) await setTimeout(25)
  t.strictSame(await get('/healthz/ready'), { status: 200, title: 'OK' })
})

t.test('postgres-redis: tells why it is not ready, and is by itself when the service is back', async t => {
  if (!await needs(t, 'postgres', 'redis')) return
  const database = await proxyTo(PORTS.postgres)
  t.teardown(database.close)
  const cache = await proxyTo(PORTS.redis)
  t.teardown(cache.close)
  const example = await startExample('postgres-redis', {
    DATABASE_URL: `postgres://postgres@127.0.0.1:${database.port}/test`,
    REDIS_URL: `redis://127.0.0.1:${cache.port}`
  })
  t.teardown(example.stop)
  const get = async (path: string) => {
    const answer = await fetch(example.url + path)
    return { status: answer.status, body: await answer.json() }
  }
  const ready = () => get('/healthz/ready').then(({ body }) => body as { status: number, title: string })
  const ok = { status: 200, title: 'OK' }
  /** Asks until the answer is that. Another one on the way is nothing wrong; one that stays is. */
  const becomes = async (t: Test, status: number, title: string) => {
    for (let i = 0; i < 200; i++) {
      const answer = await ready()
      if (answer.title === title) return t.equal(answer.status, status, title)
      await setTimeout(25)
    }
    t.fail(title)
  }

  t.match(await get('/time'), { status: 200, body: { time: String } })
  t.strictSame(await ready(), ok)

  t.test('a database that is down', async t => {
    await database.refuse()
    database.cut()
    await becomes(t, 503, 'database: connection refused')
    await database.resume()
    await becomes(t, 200, 'OK')
  })

  t.test('a network that swallows what is sent to the database', async t => {
    database.swallow()
    t.strictSame(await ready(), { status: 503, title: 'database: no answer within 800 ms' })
    await database.resume()
    await becomes(t, 200, 'OK')
  })

  t.test('a cache that is down is a warning in the log, and the service goes on', async t => {
    await cache.refuse()
    cache.cut()
    t.strictSame(await ready(), ok)
    t.match(await get('/time'), { status: 200, body: { cached: false } })
    const [warning] = await example.logged(({ check }) => check === 'cache')
    t.match(warning, { level: 40, probe: 'ready', msg: /^ready check "cache" failed: (not connected|connection lost)$/ })

    await cache.resume()
    while (!example.log.some(({ check, level }) => check === 'cache' && level === 30)) {
      t.strictSame(await ready(), ok)
      await setTimeout(25)
    }
  })
})
