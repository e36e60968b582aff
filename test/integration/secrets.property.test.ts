/**
 * Random secrets, planted wherever a service may have some, and every byte that the service sends. What isn't for the
 * public isn't in it, in any encoding; what an operator needs is in the log. What is for the public is looked for too:
 * so it is known that a secret would be found.
 *
 * HEALTHZ_PROPERTY_RUNS=2000 plays so many services, HEALTHZ_PROPERTY_SEED=… those of a failure again.
 */
import { once } from 'node:events'
import { setTimeout } from 'node:timers/promises'
import fc from 'fast-check'
import Fastify from 'fastify'
import t from 'tap'
import healthz, { type CheckContext, HealthError } from '../../lib/index.js'
import page from '../../lib/page/index.js'
import { deferred } from '../helpers/checks.js'
import { trials } from '../helpers/property.js'
import { exchange, listen } from '../helpers/raw.js'

// Secrets

/** Both parts are looked for: letters that no encoding changes, and what every encoding changes. */
interface Secret { readonly letters: string, readonly signs: string }

const text = ({ letters, signs }: Secret) => letters + signs
const quoted = (value: string) => JSON.stringify(value).slice(1, -1)
const unicode = (value: string) => value.replace(/[^ -~]/g, unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
/** What the text is in base64, wherever in a longer text it stands. */
const base64 = (value: string) => [0, 1, 2].map(offset => {
  const bytes = Buffer.concat([Buffer.alloc(offset), Buffer.from(value)])
  return bytes.toString('base64').slice(offset === 0 ? 0 : offset + 1, Math.floor(bytes.length / 3) * 4)
})

/** All that a secret may look like in what is sent. */
function forms ({ letters, signs }: Secret): string[] {
  return [
    letters, Buffer.from(letters).toString('hex'), ...base64(letters),
    ...signs === ''
      ? []
      : [signs, quoted(signs), quoted(quoted(signs)), unicode(quoted(signs)), encodeURI(signs), encodeURIComponent(signs)]
  ]
}

const occurs = (haystack: string, forms: readonly string[]) => forms.some(form => haystack.includes(form))

const secret: fc.Arbitrary<Secret> = fc.record({
  letters: fc.stringMatching(/^[A-Za-z0-9]{16}$/),
  signs: fc.array(fc.constantFrom(...'"\\\n\0/%< é√\u2028💔+&'), { minLength: 8, maxLength: 12 })
    .map(signs => signs.join('') + 'ß"')
})

// Where they are

type Seers = 'nobody' | 'operators' | 'everybody'

/** A place in a check where a secret may be. */
interface Place {
  readonly name: string
  readonly check: (secret: string, context: CheckContext) => unknown
  readonly options?: healthz.CheckOptions
  readonly outcome: 'pass' | 'fail'
  readonly seenBy: Seers
  readonly logged: boolean
}

const hidden = { outcome: 'fail', seenBy: 'nobody', logged: true } as const
const silent = { ...hidden, logged: false } as const
const kept = { outcome: 'pass', seenBy: 'nobody', logged: false } as const
const fails = (make: (secret: string) => unknown) => (secret: string) => { throw make(secret) }
const failsLater = (make: (secret: string) => unknown) => async (secret: string) => { throw make(secret) }

const PLACES: readonly Place[] = [
  { name: 'an error', check: fails(secret => new Error(secret)), ...hidden },
  { name: 'a rejection', check: failsLater(secret => new TypeError(`before ${secret} after`)), ...hidden },
  { name: 'a thrown text', check: fails(secret => secret), ...hidden },
  { name: 'a thrown object', check: fails(secret => ({ password: secret, [secret]: 1 })), ...hidden },
  { name: 'a cause', check: fails(secret => new HealthError('away', { cause: new Error(secret) })), ...hidden },
  {
    name: 'the cause of a cause',
    check: failsLater(secret => new HealthError('away', { cause: new Error('x', { cause: new Error(secret) }) })),
    ...hidden
  },
  { name: 'the cause of an error', check: fails(secret => new Error('x', { cause: new Error(secret) })), ...hidden },
  {
    name: 'the address in a cause of a driver',
    check: fails(secret => new HealthError('away', { cause: Object.assign(new Error('x'), { config: { url: secret } }) })),
    ...silent
  },
  {
    name: 'what a driver says of the server',
    check: failsLater(secret => Object.assign(new Error('x'), { detail: secret, config: { dsn: [secret] } })),
    ...hidden
  },
  {
    name: 'an error among several',
    check: failsLater(secret => new AggregateError([new Error('x'), new Error(secret)], 'y')),
    ...hidden
  },
  {
    name: 'a stack',
    check: fails(secret => Object.assign(new Error('x'), { stack: `Error: x\n    at ${secret}:1:1` })),
    ...hidden
  },
  {
    name: 'the stack of a HealthError',
    check: fails(secret => Object.assign(new HealthError('away'), { stack: `HealthError\n    at ${secret}:1:1` })),
    ...hidden
  },
  {
    name: 'a property of a HealthError',
    check: fails(secret => Object.assign(new HealthError('away'), { title: secret, status: secret, name: secret })),
    ...hidden
  },
  {
    name: 'the name of an error',
    check: fails(secret => Object.defineProperty(new Error('x'), 'name', { value: secret })),
    ...silent
  },
  {
    name: 'a message that a HealthError would not tell',
    check: fails(secret => ({ name: 'HealthError', message: secret, title: secret })),
    ...hidden
  },
  {
    name: 'a rejection after the timeout',
    // Counted from the abort: a rejection that comes while the event loop is blocked is no late one.
    check: async (secret, { signal }) => {
      await once(signal, 'abort')
      await setTimeout(20)
      throw new HealthError(secret)
    },
    options: { timeout: 10 },
    ...silent
  },
  { name: 'a result', check: secret => secret, ...kept },
  {
    name: 'an object as a result',
    check: async secret => ({ title: secret, status: secret, toJSON: () => secret }),
    ...kept
  },
  { name: 'an error as a result', check: secret => new HealthError(secret), ...kept },
  {
    name: 'the message of a check that is not critical',
    check: fails(secret => new HealthError(secret)),
    options: { critical: false },
    outcome: 'fail',
    seenBy: 'operators',
    logged: true
  },
  {
    name: 'an error of a check that is not critical',
    check: fails(secret => new Error(secret)),
    options: { critical: false },
    ...hidden
  },
  {
    name: 'the data of a check',
    check: (secret, context) => { context.data = { [secret]: 1, text: secret } },
    outcome: 'pass',
    seenBy: 'operators',
    logged: false
  },
  {
    name: 'the data of a check that fails',
    check: (secret, context) => { context.data = { text: secret }; throw new HealthError('away') },
    outcome: 'fail',
    seenBy: 'operators',
    logged: false
  },
  {
    name: 'the data of a check that times out',
    check: (secret, context) => { context.data = { text: secret }; return new Promise(() => {}) },
    options: { timeout: 10 },
    outcome: 'fail',
    seenBy: 'operators',
    logged: false
  },
  {
    name: 'data that is dropped',
    check: (secret, context) => {
      const given = { rows: [secret], long: secret.repeat(100), toJSON: () => secret, get text () { throw new Error(secret) } }
      context.data = given as object as typeof context.data
    },
    ...kept
  },
  {
    name: 'the message of a HealthError',
    check: fails(secret => new HealthError(secret)),
    outcome: 'fail',
    seenBy: 'everybody',
    logged: true
  }
]

// Services

interface Planted extends Pick<Place, 'seenBy' | 'logged'> { readonly what: string, readonly forms: readonly string[] }

const service = fc.record({
  probe: fc.constantFrom('ready', 'startup', 'deep'),
  checks: fc.array(fc.record({ place: fc.constantFrom(...PLACES), name: secret, secret }), { minLength: 1, maxLength: 5 }),
  details: fc.constantFrom('nobody', 'header', 'throws', 'hangs'),
  elsewhere: secret,
  prefix: fc.constantFrom('/healthz', '/h'),
  noLog: fc.boolean()
})
type Service = typeof service extends fc.Arbitrary<infer S> ? S : never

const figures = { services: 0, secrets: 0, requests: 0, bytes: 0, hidden: 0, shown: 0, logged: 0 }

const DETAILS: Record<Service['details'], (secret: string) => healthz.HealthzOptions['details']> = {
  nobody: () => false,
  header: () => request => request.headers['x-operator'] === 'yes',
  throws: secret => () => { throw new Error(secret) },
  hangs: secret => async () => { await setTimeout(60); throw new Error(secret) }
}

async function play ({ probe, checks, details, elsewhere, prefix, noLog }: Service): Promise<void> {
  const planted: Planted[] = [
    { what: 'elsewhere', forms: forms(elsewhere), seenBy: 'nobody', logged: false },
    {
      what: 'the path of a file',
      forms: [__dirname, quoted(__dirname), encodeURIComponent(__dirname)],
      seenBy: 'nobody',
      logged: false
    }
  ]
  const byName: Record<string, healthz.CheckOptions & { check: healthz.Check }> = {}
  for (const { place, name, secret } of checks) {
    const { check, options, outcome, seenBy, logged } = place
    const shown = outcome === 'fail' && options?.critical !== false
    byName[name.letters] = { check: context => check(text(secret), context), ...options }
    planted.push({ what: place.name, forms: forms(secret), seenBy, logged })
    planted.push({
      what: `the name of a check with ${place.name}`,
      forms: forms({ ...name, signs: '' }),
      seenBy: shown ? 'everybody' : 'operators',
      logged: outcome === 'fail'
    })
  }
  figures.services++
  figures.secrets += planted.length

  let log = ''
  const app = Fastify({ logger: { level: 'trace', stream: { write (line) { log += line } } } })
  const boot = deferred()
  const close = deferred()
  const found = new Set<Planted>()

  /** All that can be asked in this phase, and what is found in what comes back. */
  async function askAll (phase: string, ports: number[]): Promise<void> {
    const [name] = Object.keys(byName)
    const base = `${prefix}/${probe}`
    const paths = ['', '?verbose', `?exclude=${name}&verbose`, `/${name}`, '/nobody', '/../nowhere', '/%zz']
      .map(end => base + end)
    const requests = [
      ...paths.flatMap(path => [`GET ${path}`, `HEAD ${path}`]), `POST ${base}`, `OPTIONS ${base}`,
      ...['/statusz', '/statusz/events'].flatMap(path => [`GET ${path}`, `HEAD ${path}`])
    ]
    const operators = details === 'header' ? ['no', 'yes'] : ['no']
    const asked = ports.flatMap(port => operators.flatMap(
      operator => [
        ...requests.map(request => ({ port, operator, request, accept: '*/*' })),
        { port, operator, request: 'GET /statusz', accept: 'application/json' }
      ]
    ))
    asked.push({ port: ports[0]!, operator: 'no', request: 'GET no path', accept: '*/*' })
    const told = phase === 'serving' || (phase === 'draining' && probe !== 'ready')
    await Promise.all(asked.map(async ({ port, operator, request, accept }) => {
      const head = `${request} HTTP/1.1\r\nHost: localhost\r\nAccept: ${accept}\r\nX-Operator: ${operator}\r\nConnection: close\r\n\r\n`
      // The events of the page don't end.
      const answer = await exchange(port, head, /^data: .*\n\n/m)
      if (answer === '') throw new Error(`${phase}: no answer to ${head}`)
      figures.requests++
      figures.bytes += answer.length
      for (const one of planted) {
        // A 404 says what was asked for.
        if (occurs(head, one.forms)) continue
        const may = operator === 'yes' ? one.seenBy !== 'nobody' : one.seenBy === 'everybody' && told
        if (!occurs(answer, one.forms)) figures.hidden++
        else if (may) found.add(one)
        else throw new Error(`${phase}: ${one.what} is in the answer to ${head}${answer}`)
      }
    }))
  }

  try {
    await app.register(healthz, {
      prefix,
      ...(probe === 'deep' ? { probes: { deep: byName } } : { [probe]: byName }),
      details: DETAILS[details](text(elsewhere)),
      timeout: 30,
      noLog,
      listen: { port: 0, host: '127.0.0.1', alongside: true },
      routeOptions: { config: { token: text(elsewhere) } }
    })
    await app.register(page)
    const own = app.healthz.address!.port
    app.register(async () => { await boot.promise })
    app.addHook('preClose', async () => { await close.promise })
    const port = listen(app)
    await askAll('starting', [own])
    boot.resolve()
    const both = [await port, own]
    await askAll('serving', both)
    for (const one of planted) {
      const { what, forms, seenBy, logged } = one
      const seen = seenBy === 'everybody' || (seenBy === 'operators' && details === 'header')
      if (seen && !found.has(one)) throw new Error(`${what} should have been shown`)
      if (seen) figures.shown++
      if (logged && !log.includes(forms[0]!)) throw new Error(`${what} should be in the log`)
      if (logged) figures.logged++
    }
    app.healthz.drain(60_000)
    await askAll('draining', both)
    const closed = app.close()
    await askAll('closing', both)
    close.resolve()
    await closed
  } finally {
    boot.resolve()
    close.resolve()
    await app.close()
  }
}

const { numRuns, seed } = trials(60)
// A safeguard against what hangs, far above what it takes.
const enough = 180_000 + numRuns * 1000
t.setTimeout(2 * enough)

t.test('what is not for the public is never sent, what belongs in the log is there', { timeout: 2 * enough }, async t => {
  let unhandled = 0
  const onUnhandled = () => { unhandled++ }
  process.on('unhandledRejection', onUnhandled)
  t.teardown(() => { process.off('unhandledRejection', onUnhandled) })

  const parameters = { numRuns, seed, interruptAfterTimeLimit: enough, markInterruptAsFailure: true }
  await fc.assert(fc.asyncProperty(service, play), parameters)

  t.equal(unhandled, 0)
  t.comment(`seed ${seed}: ${Object.entries(figures).map(([what, count]) => `${count} ${what}`).join(', ')}`)
  for (const [what, count] of Object.entries(figures)) t.ok(count > 0, `there were ${what}`)
})
