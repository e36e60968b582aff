// Which client the metrics are made with, and which registry they go to.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as successor from '@prometheus-io/client'
import Fastify from 'fastify'
import * as original from 'prom-client'
import t, { type Test } from 'tap'
import healthz, { HealthError } from '../../../lib/index.js'
import { findClient } from '../../../lib/telemetry/prometheus-client.js'
import prometheus from '../../../lib/telemetry/prometheus.js'

const CLIENTS = ['@prometheus-io/client', 'prom-client']
const Registries = [successor.Registry, original.Registry] as unknown as Array<typeof original.Registry>

/** What Node throws where a module isn't installed, or can't be loaded. */
function errorOf (folder: string, name: string): Error {
  try {
    createRequire(join(folder, 'app.js'))(name)
  } catch (error) {
    return error as Error
  }
  throw new Error(`${name} can be loaded`)
}

/** Makes `require` throw for a client until the test is over. */
function fail (t: Test, name: string, error: Error): void {
  const file = require.resolve(name)
  const loaded = require.cache[file]
  const value = Object.defineProperty({ loaded: true }, 'exports', { get: () => { throw error } })
  // Fastify looks through the exports of all modules for the name of a plugin: that one isn't for it.
  Object.defineProperty(require.cache, file, { value, enumerable: false, configurable: true })
  t.teardown(() => Object.defineProperty(require.cache, file, { value: loaded, enumerable: true, configurable: true, writable: true }))
}

/** A folder outside the project, from which none of its packages is found. */
function outside (t: Test): string {
  const folder = mkdtempSync(join(tmpdir(), 'fastify-healthz-'))
  t.teardown(() => rmSync(folder, { recursive: true }))
  return folder
}

const uninstall = (t: Test, name: string) => fail(t, name, errorOf(outside(t), name))

/** Boots an app with the metrics, runs its checks, and returns what is scraped with what differs in each run left out. */
async function scrape (t: Test, register: original.Registry, options: object): Promise<string> {
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(healthz, { ready: { a: () => {}, b: () => { throw new HealthError('away') } } })
  app.register(prometheus, options)
  await app.ready()
  await app.healthz.run('ready')
  const text = await register.metrics()
  await app.close()
  t.strictSame(register.getMetricsAsArray(), [], 'nothing is left')
  return text.replace(/^(healthz_boot_seconds|healthz_\w+_(?:seconds|sum|bucket)\{.*\}) .*$/gm, '$1')
}

for (const [name, { register }] of [['@prometheus-io/client', successor], ['prom-client', original]] as const) {
  t.test(`where ${name} alone is installed, the metrics are in its global registry`, async t => {
    uninstall(t, CLIENTS.find(other => other !== name)!)
    t.match(await scrape(t, register as original.Registry, {}), 'healthz_check_up{probe="ready",check="a"} 1')
  })
}

t.test('where both are installed, the boot is refused without a registry', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(healthz)
  app.register(prometheus)
  await t.rejects(async () => app.ready(), {
    code: 'HEALTHZ_ERR_METRICS_CLIENT_AMBIGUOUS',
    message: '`@prometheus-io/client` and `prom-client` are installed: pass the scraped registry as `register`'
  })
})

t.test('where neither is installed, the boot is refused, whatever registry there is', async t => {
  for (const name of CLIENTS) uninstall(t, name)
  for (const options of [{}, { register: new original.Registry() }]) {
    const app = Fastify()
    t.teardown(() => app.close())
    app.register(healthz)
    app.register(prometheus, options)
    await t.rejects(async () => app.ready(), {
      code: 'HEALTHZ_ERR_METRICS_CLIENT_MISSING',
      message: 'Install the client that serves your metrics: `@prometheus-io/client` or `prom-client`'
    })
  }
})

t.test('a registry decides whose metrics it gets', async t => {
  for (const [i, client] of [successor, original].entries()) {
    const register: original.Registry = new Registries[i]!()
    const found = findClient(register)
    t.equal(found.register, register)
    t.equal(found.client.Gauge, client.Gauge)
  }
})

t.test('a registry of a client that is not to be found takes the metrics of the other one, as if they were its own', async t => {
  for (const type of [original.Registry.PROMETHEUS_CONTENT_TYPE, original.Registry.OPENMETRICS_CONTENT_TYPE]) {
    for (const [i, Registry] of Registries.entries()) {
      const register = new Registry()
      ;(register as original.Registry<any>).setContentType(type)
      const expected = await scrape(t, register, { register })
      await t.test(`${CLIENTS[i]}, ${type}`, async t => {
        uninstall(t, CLIENTS[i]!)
        t.equal(await scrape(t, register, { register }), expected)
      })
    }
  }
})

t.test('a client that is installed and does not load is no missing one', async t => {
  for (const name of CLIENTS) {
    const folder = outside(t)
    const main = join(folder, 'node_modules', name, 'index.js')
    mkdirSync(join(main, '..'), { recursive: true })
    writeFileSync(main, "require('tdigest-that-is-missing')")
    const missing = errorOf(folder, name)
    t.match(missing, { code: 'MODULE_NOT_FOUND' })
    for (const error of [missing, new SyntaxError('Unexpected token')]) {
      await t.test(`${name}: ${error.name}`, async t => {
        fail(t, name, error)
        t.throws(() => findClient(undefined), error)
      })
    }
  }
})

t.test('a client that is not in a single executable is missing', async t => {
  for (const name of CLIENTS) fail(t, name, Object.assign(new Error('No such built-in module'), { code: 'ERR_UNKNOWN_BUILTIN_MODULE' }))
  t.throws(() => findClient(undefined), { code: 'HEALTHZ_ERR_METRICS_CLIENT_MISSING' })
})

t.test('under Yarn Plug\'n\'Play a client that is not provided is missing', async t => {
  const [first, second] = CLIENTS as [string, string]
  uninstall(t, second)
  fail(t, first, Object.assign(new Error(
    `fastify-healthz tried to access ${first} (a peer dependency) but it isn't provided by your application; ` +
    `this makes the require call ambiguous and unsound.\n\nRequired package: ${first}\nRequired by: fastify-healthz@virtual:1 (via /app/)\n`
  ), { code: 'MODULE_NOT_FOUND' }))
  t.throws(() => findClient(undefined), { code: 'HEALTHZ_ERR_METRICS_CLIENT_MISSING' })
})
