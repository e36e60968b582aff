// The package as its users get it: packed, and installed outside the project. `test/project/package.test.ts` has the other ways
// to import and to compile it.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { pack, project, run } from '../helpers/package.js'

const NAME = 'fastify-healthz'

const node = (cwd: string, ...args: string[]) => run(process.execPath, args, cwd)

/** What can be imported beside the plugin, e.g. `fastify-healthz/checks`. */
const furtherEntries = ({ exports }: { exports: object }) => Object.keys(exports)
  .filter(key => key !== '.' && key !== './package.json').map(key => NAME + key.slice(1))

const packed = pack('@types/node')
t.teardown(async () => (await packed).remove())

t.test('gives the same plugin and the same HealthError to every import and require', async t => {
  const { user } = await packed
  const program = (load: string) => `${load}
const plugins = [healthz, healthz.healthz, healthz.default, required, named, all.default, all.healthz]
const errors = [HealthError, healthz.HealthError, required.HealthError, all.HealthError]
console.log(typeof healthz, plugins.every(plugin => plugin === healthz))
console.log(typeof HealthError, errors.every(error => error === HealthError))
console.log(HealthError.name, new HealthError('Away') instanceof required.HealthError)
`
  await writeFile(join(user, 'same.mjs'), program(`
import { createRequire } from 'node:module'
import healthz from '${NAME}'
import { healthz as named, HealthError } from '${NAME}'
import * as all from '${NAME}'
const required = createRequire(import.meta.url)('${NAME}')`))
  await writeFile(join(user, 'same.cjs'), `
const healthz = require('${NAME}')
const { healthz: named, HealthError } = require('${NAME}')
const required = require(require('node:path').join(__dirname, 'node_modules/${NAME}'))
import('${NAME}').then(all => {${program('')}})`)

  const runs = await Promise.all(['same.mjs', 'same.cjs'].map(file => node(user, file)))
  for (const { stdout, stderr } of runs) {
    t.equal(stderr, '')
    t.equal(stdout, 'function true\nfunction true\nHealthError true\n')
  }
})

t.test('loads itself and its dependencies, and neither TypeBox nor Fastify', async t => {
  const { user, manifest } = await packed
  await writeFile(join(user, 'loads.cjs'), `
const healthz = require('${NAME}')
const first = Object.keys(require.cache)
const app = require('fastify')()
app.register(healthz, { ready: () => {} })
app.inject('/healthz/ready').then(({ statusCode }) => {
  console.log(JSON.stringify({ statusCode, first, all: Object.keys(require.cache) }))
})`)
  const { stdout, stderr } = await node(user, 'loads.cjs')
  t.equal(stderr, '')
  const { statusCode, first, all } = JSON.parse(stdout) as { statusCode: number, first: string[], all: string[] }
  t.equal(statusCode, 200)
  const packages = (files: string[]) => {
    const names = files.map(file => /.*[\\/]node_modules[\\/]((?:@[^\\/]+[\\/])?[^\\/]+)/.exec(file)?.[1]?.replace('\\', '/'))
    return [...new Set(names)].filter(name => name !== undefined)
  }
  const allowed = [NAME, ...Object.keys(manifest.dependencies)]
  t.ok(packages(first).includes(NAME))
  t.same(packages(first).filter(name => !allowed.includes(name)), [])
  t.notOk(packages(all).includes('@sinclair/typebox'), 'nor is TypeBox loaded by the first answer')
  const parts = /fastify-healthz[\\/]dist[\\/]lib[\\/](checks|page|telemetry[\\/](opentelemetry|prometheus))[\\/.]|@opentelemetry/
  t.same(all.filter(file => parts.test(file)), [], 'nor are the ready-made checks, the page, the metrics and the API of OpenTelemetry')

  const load = (part: string) => node(user, '-p', `require('${NAME}/${part}'); JSON.stringify(Object.keys(require.cache))`)
  const [checks, page, prometheus, opentelemetry] = await Promise.all(
    [load('checks'), load('page'), load('prometheus'), load('opentelemetry')]
  )
  t.same(packages(JSON.parse(checks.stdout)).filter(name => !allowed.includes(name)), [], 'the checks load no driver')
  t.same(packages(JSON.parse(page.stdout)).filter(name => !allowed.includes(name)), [], 'the page loads nothing else')
  t.same(packages(JSON.parse(prometheus.stdout)).filter(name => !allowed.includes(name)), [], 'nor do the metrics load a client yet')
  t.same(packages(JSON.parse(opentelemetry.stdout)).filter(name => !allowed.includes(name)), ['@opentelemetry/api'], 'only its API')
})

t.test('its further entries give the same to import and to require', async t => {
  const { user, manifest } = await packed
  await writeFile(join(user, 'entries.mjs'), `
import { createRequire } from 'node:module'
const require = createRequire(import.meta.url)
const differ = []
for (const entry of process.argv.slice(2)) {
  const required = require(entry)
  const imported = await import(entry)
  if (imported.default !== required) differ.push(entry)
  // fastify-plugin adds a name of its own to a plugin, once it runs.
  for (const name of Object.keys(required).filter(name => !name.startsWith('fastify'))) {
    if (imported[name] !== required[name]) differ.push(entry + ' ' + name)
  }
}
console.log(JSON.stringify(differ))`)
  const { stdout, stderr } = await node(user, 'entries.mjs', ...furtherEntries(manifest))
  t.equal(stderr, '')
  t.same(JSON.parse(stdout), [])
})

t.test('its types compile in ES modules and CommonJS, without skipLibCheck, and the service answers', async t => {
  const { user } = await packed
  const service = `
import Fastify from 'fastify'
import healthz, { HealthError, type Check, type Problem } from '${NAME}'
import { tcp } from '${NAME}/checks'
import opentelemetry, { isProbe } from '${NAME}/opentelemetry'
import prometheus from '${NAME}/prometheus'
import { register } from 'prom-client'

const ready: Check = () => { throw new HealthError('Away') }

async function main () {
  const app = Fastify()
  await app.register(healthz, { ready, live: { port: tcp({ host: '127.0.0.1', port: 1 }) } })
  await app.register(prometheus, { register })
  // Without an SDK.
  await app.register(opentelemetry, { traces: true })
  app.addHook('onRequest', async ({ raw }) => { if (!isProbe(raw)) throw new Error('It is one') })
  // @ts-expect-error no such member: \`any\` would have it
  const nothing: undefined = app.healthz.nothing
  const answers: Problem[] = [(await app.inject('/healthz/live')).json(), (await app.inject('/healthz/ready')).json()]
  console.log(JSON.stringify(answers), nothing)
  await app.close()
}
main()
`
  const compilerOptions = { module: 'nodenext', target: 'es2022', lib: ['es2022'], types: ['node'], strict: true, skipLibCheck: false }
  const files = ['service.mts', 'service.cts']
  await Promise.all([
    ...files.map(file => writeFile(join(user, file), service)),
    writeFile(join(user, 'tsconfig.json'), JSON.stringify({ compilerOptions, files }))
  ])
  const { stdout } = await node(user, join(project, 'node_modules/typescript/bin/tsc'))
  t.equal(stdout, '')
  for (const { stdout, stderr } of await Promise.all(['service.mjs', 'service.cjs'].map(file => node(user, file)))) {
    t.equal(stderr, '')
    t.equal(stdout, '[{"status":503,"title":"port: connection refused"},{"status":503,"title":"Away"}] undefined\n')
  }
})
