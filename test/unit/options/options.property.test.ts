/**
 * Random options, tested over HTTP: registration fails with a code and the name of the invalid option, or every probe
 * responds as documented. Neither the options nor anything else in the process is modified.
 *
 * HEALTHZ_PROPERTY_RUNS=20000 sets the number of runs, HEALTHZ_PROPERTY_SEED=… repeats those of a failure.
 */
import { inspect, isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import Fastify from 'fastify'
import t from 'tap'
import healthz from '../../../lib/index.js'
import { type CheckModel, type Example, examples } from '../../helpers/options.js'
import { trials } from '../../helpers/property.js'
import { listen, request } from '../../helpers/raw.js'

const figures = { examples: 0, refused: 0, served: 0, probes: 0, requests: 0 }
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR2', 'uncaughtException', 'unhandledRejection']

/** A deep description of an object, without calling getters. */
function description (value: unknown, seen = new Set<unknown>()): unknown {
  if (value === null || (typeof value !== 'object' && typeof value !== 'function') || seen.has(value)) return value
  seen.add(value)
  const own = Object.getOwnPropertyDescriptors(value)
  return [value, Object.getPrototypeOf(value), Object.isExtensible(value),
    Reflect.ownKeys(own).map(key => [key, { ...own[key as string] }, description(own[key as string]!.value, seen)])]
}

const everywhere = () => [
  [Object, Function, Array, Map, Promise].map(({ prototype }) => Reflect.ownKeys(prototype).map(key => [
    key, ...Object.values(Object.getOwnPropertyDescriptor(prototype, key)!)
  ])),
  SIGNALS.map(name => process.listenerCount(name))
]

function verdict (probe: string, checks: readonly CheckModel[]): { status: number, title: string } {
  const failing = checks.filter(({ critical, fails }) => critical && fails !== undefined)
  if (failing.length === 0) return { status: 200, title: 'OK' }
  const titles = failing.map(({ name, fails }) => name === 'default'
    ? fails!.message || `The ${probe} check ${fails!.words}`
    : `${name}: ${fails!.message || fails!.words}`)
  return { status: Math.min(...failing.map(({ fails }) => fails!.status)), title: titles.join('; ') }
}

function claim (is: unknown, should: unknown, what: string): void {
  if (!isDeepStrictEqual(is, should)) throw new Error(`${what}: ${JSON.stringify(is)} in place of ${JSON.stringify(should)}`)
}

async function answers (port: number, { root, probes, off, paths, operator }: Example): Promise<void> {
  const ask = async (method: string, path: string) => {
    figures.requests++
    const { statusLine, headers, body } = await request(port, method, encodeURI(path))
    claim(headers.get('content-type'), 'application/problem+json', `${method} ${path} ${statusLine}`)
    const status = Number(statusLine.split(' ')[1])
    return { status, body: body === '' ? {} : JSON.parse(body), allow: headers.get('allow') }
  }
  await Promise.all([...probes].map(async ([name, checks]) => {
    figures.probes++
    const path = paths.get(name)!
    const should = verdict(name, checks)
    claim(await ask('GET', path), { status: should.status, body: should, allow: undefined }, name)
    claim((await ask('HEAD', path)).status, should.status, `HEAD ${name}`)
    const refusal = { status: 405, title: 'Method Not Allowed' }
    claim(await ask('POST', path), { status: 405, body: refusal, allow: 'GET, HEAD' }, `POST ${name}`)
    const { body: { checks: told, bootMs, ...rest } } = await ask('GET', `${path}?verbose`)
    claim(rest, should, `${name}?verbose`)
    claim(typeof bootMs, operator && name === 'startup' ? 'number' : 'undefined', `${name}?verbose`)
    claim(told && Object.keys(told).sort(), operator ? checks.map(({ name }) => name).sort() : undefined, `${name}?verbose`)
    for (const { name: check, fails, critical } of operator ? checks : []) {
      const status = fails === undefined ? 'pass' : critical ? 'fail' : 'warn'
      claim(Object.getOwnPropertyDescriptor(told, check)?.value.status, status, `${name}/${check}`)
    }
  }))
  for (const name of root === '' ? [] : [...off, 'nowhere']) {
    const title = `The ${name} check endpoint is not setup`
    claim(await ask('GET', `${root}/${name}`), { status: 404, body: { status: 404, title }, allow: undefined }, name)
  }
}

/** @param given what the options are to come to; without probes they are to be refused */
async function attempt (given: Pick<Example, 'options' | 'bad'> & Partial<Example>): Promise<void> {
  const { options, bad } = given
  figures.examples++
  const worldBefore = everywhere()
  const before = given.probes === undefined ? undefined : description(options)
  const app = Fastify({ logger: { level: 'silent' } })
  try {
    app.register(healthz, options)
    const [port, error] = await listen(app).then(port => [port], error => [undefined, error])
    if (port === undefined) {
      figures.refused++
      if (bad.length === 0) throw new Error(`refused: ${error.stack}`)
      claim(/^HEALTHZ_ERR_/.test(error.code), true, `the code of ${error}`)
      const names = bad.map(name => given.probes === undefined ? `\`${name}` : `\`${name}\``)
      if (!names.some(name => error.message.includes(name))) throw new Error(`${error.message} names none of ${names}`)
    } else {
      if (bad.length > 0) throw new Error(`not refused: ${bad}`)
      figures.served++
      await answers(app.healthz.address?.port ?? port, given as Example)
    }
  } finally {
    await app.close()
  }
  if (before !== undefined && !isDeepStrictEqual(description(options), before)) throw new Error('the options were changed')
  if (!isDeepStrictEqual(everywhere(), worldBefore)) throw new Error(`the process was changed: ${inspect(everywhere(), { depth: 4 })}`)
}

const { numRuns, seed } = trials(400)
// A safeguard against what hangs, far above what it takes.
const enough = 60_000 + numRuns * 300
t.setTimeout(3 * enough)
const parameters = { numRuns, seed, interruptAfterTimeLimit: enough, markInterruptAsFailure: true }

t.test('options are rejected with code and name, or each probe responds as documented', { timeout: 2 * enough }, async t => {
  await fc.assert(fc.asyncProperty(examples, attempt), parameters)
  t.comment(`seed ${seed}: ${Object.entries(figures).map(([what, count]) => `${count} ${what}`).join(', ')}`)
  for (const [what, count] of Object.entries(figures)) t.ok(count > 0, `there were ${what}`)
})

t.test('a sparse array is not an array of signals', async t => {
  await t.resolves(attempt({ options: { shutdown: { signals: new Array(2) } }, bad: ['shutdown.signals'] }))
})
