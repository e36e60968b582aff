import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import healthz, * as named from '../../lib/index.js'
import opentelemetry from '../../lib/telemetry/opentelemetry.js'
import prometheus from '../../lib/telemetry/prometheus.js'

t.test('the plugin is callable, and is its own default and named export', async t => {
  t.type(healthz, 'function')
  t.equal(require('../../lib/index.js'), healthz)
  t.equal(healthz.healthz, healthz)
  t.equal(healthz.default, healthz)
  t.equal(named.HealthError, healthz.HealthError)
})

t.test('its parts take the same versions of Fastify', async t => {
  const meta = Symbol.for('plugin-meta')
  const versions = [healthz, prometheus, opentelemetry].map(plugin => (plugin as unknown as Record<symbol, { fastify: string }>)[meta]!.fastify)
  t.strictSame(versions, ['5.x || 6.x', '5.x || 6.x', '5.x || 6.x'])
})

t.test('every file of lib/ and types/ loads, so that coverage counts them all', async t => {
  for (const folder of ['lib', 'types']) {
    const files = (readdirSync(join(process.cwd(), folder), { recursive: true }) as string[]).filter(file => /(?<!\.tst)\.ts$/.test(file))
    for (const file of files) t.ok(require(`../../${folder}/${file.replace(/ts$/, 'js')}`), file)
  }
})
