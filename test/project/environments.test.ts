// Package managers, bundlers, runtimes, test runners and compilers that docs/works-with.md names. Each is installed from
// the npm registry, with the package as it is published, outside the project: without the registry the tests fail.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, copyFile, mkdir, mkdtemp, realpath, rm, writeFile } from 'node:fs/promises'
import { Agent, get, type IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { project, run } from '../helpers/package.js'
import { request } from '../helpers/raw.js'
import { follow } from '../helpers/service.js'

t.setTimeout(900_000)

/** The exact version that the project has. */
const own = (name: string): string => `${name}@${require(join(project, 'node_modules', name, 'package.json')).version}`

const FASTIFY = own('fastify')
const CLIENT = own('prom-client')
const PLATFORM = `${process.platform}-${process.arch}`

// It writes synchronously, so that no line is lost at the exit.
const SERVICE = `
import { writeSync } from 'node:fs'
import Fastify from 'fastify'
import healthz from 'fastify-healthz'
import { tcp } from 'fastify-healthz/checks'
import prometheus from 'fastify-healthz/prometheus'
import { register } from 'prom-client'

async function main () {
  const app = Fastify({ logger: { stream: { write (line) { writeSync(1, line) } } } })
  app.register(healthz, {
    live: './checks.mjs#live',
    ready: { port: tcp({ host: '127.0.0.1', port: 1 }) },
    listen: { port: 0, host: '127.0.0.1' },
    shutdown: { delay: 1, timeout: 100_000 }
  })
  app.register(prometheus)
  let release
  app.get('/hold', () => { release = app.healthz.hold('job'); return app.healthz.holds })
  app.get('/release', () => { release(); return app.healthz.state })
  app.get('/metrics', () => register.metrics())
  await app.listen({ port: 0, host: '127.0.0.1' })
  app.log.info({ port: app.server.address().port, probes: app.healthz.address.port }, 'up')
}
main()
`
const CHECKS = 'export const live = () => {}\n'

/** What an ES module bundle needs for Fastify, which is CommonJS. */
const BANNER = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url), " +
  '__filename = import.meta.filename, __dirname = import.meta.dirname'

const root = mkdtemp(join(tmpdir(), 'fastify-healthz-environments-')).then(folder => realpath(folder))
t.teardown(async () => rm(await root, { recursive: true, force: true }))

const tarball = root.then(async folder => {
  const { code, stdout, stderr } = await run('npm', ['pack', '--ignore-scripts', '--loglevel=error', '--pack-destination', folder], project)
  if (code !== 0) throw new Error(`npm pack failed: ${stderr}`)
  return join(folder, stdout.trim())
})

/** A folder with the service and its check. */
async function folder (name: string, files: Record<string, string> = { 'service.js': SERVICE, 'checks.mjs': CHECKS }): Promise<string> {
  const path = join(await root, name)
  await mkdir(path, { recursive: true })
  for (const [file, text] of Object.entries(files)) await writeFile(join(path, file), text)
  return path
}

/** Runs a program that must succeed. */
async function succeed (file: string, args: string[], cwd: string): Promise<string> {
  const { code, stdout, stderr } = await run(file, args, cwd)
  if (code !== 0) throw new Error(`${file} ${args.join(' ')} failed with ${code}\n${stdout}\n${stderr}`)
  return stdout
}

/** Installs packages by npm in a folder. Each is a name and an exact version, or a tarball. */
async function install (path: string, ...packages: string[]): Promise<string> {
  await mkdir(path, { recursive: true })
  await writeFile(join(path, 'package.json'), JSON.stringify({ name: 'orders', version: '1.0.0', private: true }))
  const flags = ['--no-save', '--no-package-lock', '--no-audit', '--no-fund', '--ignore-scripts', '--prefer-offline', '--loglevel=error']
  const { code, stderr } = await run('npm', ['install', ...flags, ...packages], path)
  if (code !== 0) throw new Error(`npm couldn't install ${packages.join(' ')}. These tests need the npm registry.\n${stderr}`)
  return join(path, 'node_modules')
}

/** The folder with the service, installed by npm. What is installed in a folder below it finds these packages, too. */
const service = Promise.all([folder('npm'), tarball]).then(async ([path, tarball]) => {
  await install(path, tarball, FASTIFY, CLIENT)
  await writeFile(join(path, 'service.mjs'), SERVICE)
  return path
})
// A test that waits for it says why it failed.
service.catch(() => {})

/** Installs a tool below the service, for one test. */
async function tool (t: Test, name: string, ...packages: string[]) {
  const path = join(await service, name)
  t.teardown(() => rm(path, { recursive: true, force: true }))
  return { path, modules: await install(path, ...packages) }
}

/** Starts the service, probes it, and ends it with SIGTERM while a job is held. */
async function serves (t: Test, cwd: string, file: string, ...args: string[]): Promise<void> {
  const child = follow(t, spawn('env', ['-u', 'NODE_OPTIONS', file, ...args], { cwd }))
  const { port, probes } = await child.line('up')
  const body = async (port: number, path: string) => (await request(port, 'GET', path)).body
  t.equal(await body(probes, '/healthz/live'), '{"status":200,"title":"OK"}', 'a module is loaded by its specifier')
  t.equal(await body(probes, '/healthz/ready'), '{"status":503,"title":"port: connection refused"}')
  t.equal(await body(probes, '/healthz/startup'), '{"status":200,"title":"OK"}')
  t.match(await body(port, '/metrics'), /^healthz_check_up\{probe="ready",check="port"\} 0$/m)
  t.match(await body(port, '/hold'), '"job"')

  const agent = new Agent({ keepAlive: true })
  t.teardown(() => agent.destroy())
  t.equal(await connectionHeader(agent, port), 'keep-alive')
  child.kill('SIGTERM')
  await child.line(/draining/)
  t.equal(await body(probes, '/healthz/ready'), '{"status":503,"title":"Shutting down"}')
  t.equal(await body(probes, '/healthz/live'), '{"status":200,"title":"OK"}')
  t.equal(await connectionHeader(agent, port), 'close', 'the drain ends connections that are kept alive')
  t.equal(await body(port, '/release'), 'draining')
  const { code, signal, stderr } = await child.exit
  t.strictSame([code, signal], [0, null], stderr)
}

async function connectionHeader (agent: Agent, port: number): Promise<string | undefined> {
  const [response] = await once(get({ agent, port, host: '127.0.0.1', path: '/metrics' }), 'response') as [IncomingMessage]
  response.resume()
  await once(response, 'end')
  return response.headers.connection
}

t.test('installed by npm, the service runs under Node.js', async t => {
  await serves(t, await service, process.execPath, 'service.mjs')
})

t.test('installed by pnpm, where a package finds nothing that it does not depend on', async t => {
  const { modules } = await tool(t, 'pnpm', 'pnpm@12.21.0')
  const path = await folder('with-pnpm')
  t.teardown(() => rm(path, { recursive: true, force: true }))
  await writeManifest(path)
  await copyFile(join(path, 'service.js'), join(path, 'service.mjs'))
  await succeed(process.execPath, [
    join(modules, 'pnpm/bin/pnpm.mjs'), 'install', '--no-frozen-lockfile', '--ignore-scripts', '--store-dir', join(path, 'store')
  ], path)
  await serves(t, path, process.execPath, 'service.mjs')
})

t.test('installed by Yarn with Plug\'n\'Play, without node_modules', async t => {
  const { modules } = await tool(t, 'yarn', '@yarnpkg/cli-dist@4.18.1')
  const path = await folder('with-yarn')
  t.teardown(() => rm(path, { recursive: true, force: true }))
  await writeManifest(path)
  await copyFile(join(path, 'service.js'), join(path, 'service.mjs'))
  // Yarn doesn't read npm's configuration. Its own lock file makes the folder a project.
  const registry = (await succeed('npm', ['config', 'get', 'registry'], path)).trim()
  await writeFile(join(path, 'yarn.lock'), '')
  await writeFile(join(path, '.yarnrc.yml'), [
    'enableTelemetry: false', 'enableGlobalCache: false', 'enableScripts: false', 'enableImmutableInstalls: false',
    'unsafeHttpWhitelist: ["*"]', `npmRegistryServer: ${JSON.stringify(registry)}`
  ].join('\n'))
  await succeed(process.execPath, [join(modules, '@yarnpkg/cli-dist/bin/yarn.js'), 'install'], path)
  await serves(t, path, process.execPath, '--require', './.pnp.cjs', '--experimental-loader', './.pnp.loader.mjs', 'service.mjs')
})

/** For package managers that don't take packages on the command line as npm does. */
async function writeManifest (path: string): Promise<void> {
  const dependencies = Object.fromEntries([FASTIFY, CLIENT].map(spec => spec.split('@') as [string, string]))
  await writeFile(join(path, 'package.json'), JSON.stringify({
    name: 'orders', version: '1.0.0', private: true, dependencies: { ...dependencies, 'fastify-healthz': `file:${await tarball}` }
  }))
}

const RUNTIMES: Record<string, { packages: Record<string, string>, binary: string, args: string[] }> = {
  Bun: {
    packages: {
      'linux-x64': '@oven/bun-linux-x64@1.4.5',
      'linux-arm64': '@oven/bun-linux-aarch64@1.4.5',
      'darwin-x64': '@oven/bun-darwin-x64@1.4.5',
      'darwin-arm64': '@oven/bun-darwin-aarch64@1.4.5'
    },
    binary: 'bin/bun',
    args: []
  },
  Deno: {
    packages: {
      'linux-x64': '@deno/linux-x64-glibc@2.9.6',
      'linux-arm64': '@deno/linux-arm64-glibc@2.9.6',
      'darwin-x64': '@deno/darwin-x64@2.9.6',
      'darwin-arm64': '@deno/darwin-arm64@2.9.6'
    },
    binary: 'deno',
    args: ['run', '--no-prompt', '--allow-net', '--allow-read', '--allow-env', '--allow-sys']
  }
}

for (const [name, { packages, binary, args }] of Object.entries(RUNTIMES)) {
  const runtime = packages[PLATFORM]
  t.test(`under ${name} the service runs, drains and exits with 0`, { skip: !runtime && `no ${name} for ${PLATFORM}` }, async t => {
    const { modules } = await tool(t, name.toLowerCase(), runtime!)
    const file = join(modules, runtime!.replace(/@[^@]+$/, ''), binary)
    // The package has the mode of the binary from its postinstall script.
    await chmod(file, 0o755)
    await serves(t, await service, file, ...args, 'service.mjs')
  })
}

interface Bundler {
  readonly packages: readonly string[]
  /** Beside what is installed, so that it finds its plugins. */
  readonly config?: string
  readonly out: string
  /** The program below node_modules, and its arguments. */
  bundle (folder: string, config: string): string[]
}

const ESBUILD = ['esbuild/bin/esbuild', 'service.js', '--bundle', '--platform=node', '--log-level=error']

const BUNDLERS: Record<string, Bundler> = {
  'esbuild to CommonJS': {
    packages: [own('esbuild')],
    out: 'bundle.cjs',
    bundle: folder => [...ESBUILD, `--outfile=${folder}/bundle.cjs`]
  },
  'esbuild to an ES module with a banner for require': {
    packages: [own('esbuild')],
    out: 'bundle.mjs',
    bundle: folder => [...ESBUILD, '--format=esm', `--banner:js=${BANNER}`, `--outfile=${folder}/bundle.mjs`]
  },
  'Rollup to CommonJS': {
    packages: ['rollup@4.68.8', '@rollup/plugin-commonjs@29.0.3', '@rollup/plugin-json@6.1.0', '@rollup/plugin-node-resolve@16.0.3'],
    config: `
import commonjs from '@rollup/plugin-commonjs'
import json from '@rollup/plugin-json'
import resolve from '@rollup/plugin-node-resolve'
export default { plugins: [resolve({ preferBuiltins: true, exportConditions: ['node'] }), commonjs(), json()] }`,
    out: 'bundle.cjs',
    bundle: (folder, config) => [
      'rollup/dist/bin/rollup', '--silent', '--config', config, 'service.js', '--format', 'cjs', '--file', `${folder}/bundle.cjs`
    ]
  },
  webpack: {
    packages: ['webpack@5.113.0', 'webpack-cli@7.3.1'],
    out: 'bundle.cjs',
    // Minifying would take longer than the rest.
    bundle: folder => [
      'webpack-cli/bin/cli.js', '--entry', './service.js', '--target', 'node', '--mode', 'production', '--no-optimization-minimize',
      '--output-path', folder, '--output-filename', 'bundle.cjs'
    ]
  },
  '@vercel/ncc': {
    packages: ['@vercel/ncc@0.45.0'],
    out: 'index.js',
    bundle: folder => ['@vercel/ncc/dist/ncc/cli.js', 'build', 'service.js', '--no-cache', '--out', folder]
  }
}

for (const [name, { packages, config, out, bundle }] of Object.entries(BUNDLERS)) {
  t.test(`bundled by ${name}, the service runs without node_modules`, async t => {
    const { path, modules } = await tool(t, 'bundler', ...packages)
    const file = join(path, 'config.mjs')
    if (config !== undefined) await writeFile(file, config)
    const bundled = await folder('bundled', { 'checks.mjs': CHECKS })
    t.teardown(() => rm(bundled, { recursive: true, force: true }))
    const [program, ...args] = bundle(bundled, file)
    await succeed(process.execPath, [join(modules, program!), ...args], await service)
    await serves(t, bundled, process.execPath, out)
  })
}

const noSea = process.platform !== 'linux' && 'the executable has to be signed elsewhere'
t.test('as a single executable application the service runs', { skip: noSea }, async t => {
  const { modules } = await tool(t, 'sea', own('esbuild'), 'postject@1.0.0-alpha.6')
  const path = await folder('executable', {
    'checks.mjs': CHECKS,
    'sea.json': JSON.stringify({ main: 'bundle.cjs', output: 'sea.blob', disableExperimentalSEAWarning: true })
  })
  t.teardown(() => rm(path, { recursive: true, force: true }))
  const [esbuild, ...args] = [...ESBUILD, `--outfile=${path}/bundle.cjs`]
  await succeed(process.execPath, [join(modules, esbuild!), ...args], await service)
  await succeed(process.execPath, ['--experimental-sea-config', 'sea.json'], path)
  await copyFile(process.execPath, join(path, 'orders'))
  await succeed(process.execPath, [
    join(modules, 'postject/dist/cli.js'), 'orders', 'NODE_SEA_BLOB', 'sea.blob',
    '--sentinel-fuse', 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'
  ], path)
  await serves(t, path, join(path, 'orders'))
})

// Not by inject(), which depends on an ES module: Jest loads it with a flag, on Node.js 24.9 and later.
const SPEC = `
test('fifty apps share one listener for SIGTERM and leave none', async () => {
  const before = process.listenerCount('SIGTERM')
  const apps = await Promise.all(Array.from({ length: 50 }, async () => {
    const app = Fastify()
    app.register(healthz, { live: './checks.mjs#live', ready: () => {}, listen: { port: 0, host: '127.0.0.1' }, shutdown: true })
    await app.listen({ port: 0, host: '127.0.0.1' })
    return app
  }))
  const during = process.listenerCount('SIGTERM')
  const bodies = await Promise.all(apps.flatMap(app => ['live', 'ready'].map(async probe => {
    const response = await fetch('http://127.0.0.1:' + app.healthz.address.port + '/healthz/' + probe)
    return response.text()
  })))
  await Promise.all(apps.map(app => app.close()))
  expect(during - before).toBe(1)
  expect(process.listenerCount('SIGTERM')).toBe(before)
  expect([...new Set(bodies)]).toEqual(['{"status":200,"title":"OK"}'])
})
`

t.test('in a test of Vitest', async t => {
  const { path, modules } = await tool(t, 'vitest', 'vitest@4.1.12')
  await writeFile(join(path, 'checks.mjs'), CHECKS)
  await writeFile(join(path, 'orders.test.js'), `
import Fastify from 'fastify'
import healthz from 'fastify-healthz'
import { expect, test } from 'vitest'
${SPEC}`)
  t.match(await succeed(process.execPath, [join(modules, 'vitest/vitest.mjs'), 'run', '--reporter=json'], path), '"numPassedTests":1')
})

t.test('in a test of Jest', async t => {
  const { path, modules } = await tool(t, 'jest', 'jest@30.5.2')
  await writeFile(join(path, 'checks.mjs'), CHECKS)
  await writeFile(join(path, 'orders.test.js'), `
const Fastify = require('fastify')
const healthz = require('fastify-healthz')
${SPEC}`)
  t.match(await succeed(process.execPath, [join(modules, 'jest/bin/jest.js'), '--json', '--watchman=false'], path), '"numPassedTests":1')
})

const TYPESCRIPT = {
  5.5: '5.5.4', 5.6: '5.6.3', 5.7: '5.7.3', 5.8: '5.8.3', 5.9: '5.9.3', '6.0': '6.0.3', '7.0': '7.0.2'
}

t.test('TypeScript', async t => {
  const aliases = Object.entries(TYPESCRIPT).map(([name, version]) => `typescript-${name}@npm:typescript@${version}`)
  const { path, modules } = await tool(t, 'typescript', own('@types/node'), ...aliases)
  const text = `
import Fastify from 'fastify'
import healthz, { HealthError, type Check, type HealthzLogger, type HealthzOptions } from 'fastify-healthz'
import { tcp } from 'fastify-healthz/checks'
import prometheus from 'fastify-healthz/prometheus'
import { register } from 'prom-client'

const live: Check = ({ probe }) => { if (probe !== 'live') throw new HealthError('Away') }
const write = (fields: object, message: string) => { console.log(message, fields) }
const logger: HealthzLogger = { fatal: write, error: write, warn: write, info: write, debug: write }
const options: HealthzOptions = {
  live,
  ready: { port: tcp({ host: '127.0.0.1', port: 1 }) },
  listen: { port: 9090, serving: 'onReady' },
  logger,
  shutdown: { delay: { SIGTERM: 5000 }, close: async signal => { write({ signal }, 'closing') } }
}
const app = Fastify()
app.register(healthz, options)
app.register(prometheus, { register })
const release: () => void = app.healthz.hold('job')
release()
// @ts-expect-error no such member: it would exist on \`any\`
console.log(app.healthz.nothing, app.healthz.drainSignal.aborted)
`
  for (const file of ['service.mts', 'service.cts']) await writeFile(join(path, file), text)
  // Without `skipLibCheck`.
  const compilerOptions = {
    module: 'nodenext', target: 'es2022', lib: ['es2022'], types: ['node'], strict: true, exactOptionalPropertyTypes: true, noEmit: true
  }
  await writeFile(join(path, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['service.mts', 'service.cts'] }))
  for (const [name, version] of Object.entries(TYPESCRIPT)) {
    t.test(`${version} compiles a service against the types`, async t => {
      const tsc = join(modules, `typescript-${name}/bin/tsc`)
      t.match(await succeed(process.execPath, [tsc, '--version'], path), version)
      const { code, stdout } = await run(process.execPath, [tsc], path)
      t.strictSame([code, stdout], [0, ''])
    })
  }
})

t.test('middleware of @fastify/middie runs before a probe', async t => {
  const { path } = await tool(t, 'middie', '@fastify/middie@9.3.6')
  await writeFile(join(path, 'service.mjs'), `
import middie from '@fastify/middie'
import Fastify from 'fastify'
import healthz from 'fastify-healthz'

const app = Fastify()
const seen = []
await app.register(middie)
app.use((request, response, next) => { seen.push(request.url); next() })
app.register(healthz, { ready: () => false })
const answers = [await app.inject('/healthz/live'), await app.inject('/healthz/ready')]
console.log(JSON.stringify([answers.map(({ statusCode }) => statusCode), seen]))`)
  t.strictSame(JSON.parse(await succeed(process.execPath, ['service.mjs'], path)), [[200, 503], ['/healthz/live', '/healthz/ready']])
})

t.test('@fastify/aws-lambda answers probes', async t => {
  const { path } = await tool(t, 'lambda', '@fastify/aws-lambda@6.4.1')
  await writeFile(join(path, 'service.mjs'), `
import awsLambda from '@fastify/aws-lambda'
import Fastify from 'fastify'
import healthz from 'fastify-healthz'

const app = Fastify()
app.register(healthz, { ready: () => false })
const handle = awsLambda(app)
const answer = async path => {
  const { statusCode, body } = await handle({ httpMethod: 'GET', path, headers: {}, requestContext: {} }, {})
  return [statusCode, JSON.parse(body).title]
}
console.log(JSON.stringify([await answer('/healthz/live'), await answer('/healthz/ready'), app.healthz.state]))`)
  const answers = [[200, 'OK'], [503, 'The ready check failed'], 'serving']
  t.strictSame(JSON.parse(await succeed(process.execPath, ['service.mjs'], path)), answers)
})
