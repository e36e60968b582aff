// What is published, in every kind of project and with every way to import it. `test/integration/package.test.ts` has the basics.
import { createRequire } from 'node:module'
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build, type BuildOptions } from 'esbuild'
import t, { type Test } from 'tap'
import ts from 'typescript'
import * as wire from '../../types/wire.js'
import { filesIn, link, pack, project, run } from '../helpers/package.js'

const NAME = 'fastify-healthz'

/** `npm run test:project` compiles in every kind of project, `npm test` in two. */
const LONG = process.env.HEALTHZ_LONG === '1'

/** The ways to import the package. Each says how the plugin, `HealthError` and the types are called then. */
const IMPORTS: Record<string, { line: string, plugin: string, error: string, types: string }> = {
  default: {
    line: `import healthz from '${NAME}'`,
    plugin: 'healthz',
    error: 'healthz.HealthError',
    types: 'healthz.'
  },
  named: {
    line: `import { healthz, HealthError, type HealthzOptions, type Check, type Problem, type State } from '${NAME}'`,
    plugin: 'healthz',
    error: 'HealthError',
    types: ''
  },
  both: {
    line: `import healthz, { HealthError } from '${NAME}'\nimport type { HealthzOptions, Check, Problem, State } from '${NAME}'`,
    plugin: 'healthz',
    error: 'HealthError',
    types: ''
  },
  star: {
    line: `import * as all from '${NAME}'`,
    plugin: 'all.healthz',
    error: 'all.HealthError',
    types: 'all.'
  },
  starDefault: {
    line: `import * as all from '${NAME}'`,
    plugin: 'all.default',
    error: 'all.default.HealthError',
    types: 'all.default.'
  },
  require: {
    line: `import healthz = require('${NAME}')`,
    plugin: 'healthz',
    error: 'healthz.HealthError',
    types: 'healthz.'
  }
}

const ESM = ['default.mts', 'named.mts', 'both.mts', 'star.mts', 'starDefault.mts']
const CJS = ['default.cts', 'named.cts', 'both.cts', 'star.cts', 'starDefault.cts', 'require.cts']
const ESM_PARTS = ['parts.mts']
const CJS_PARTS = ['parts.cts', 'partsRequire.cts']

/** A service with the other exports of the package. OpenTelemetry has no SDK. */
const PARTS = `
import Fastify from 'fastify'
import healthz from '${NAME}'
import * as checks from '${NAME}/checks'
import { tcp, type QueryOptions, type RedisClient, type Source } from '${NAME}/checks'
import opentelemetry from '${NAME}/opentelemetry'
import { isProbe, opentelemetry as namedToo, type OpenTelemetryOptions } from '${NAME}/opentelemetry'
import prometheus from '${NAME}/prometheus'
import { prometheus as named, type PrometheusOptions } from '${NAME}/prometheus'
import { Registry } from 'prom-client'

const client: RedisClient = { ping: async () => 'PONG' }
const source: Source<RedisClient> = () => client
export const query: QueryOptions = { query: 'SELECT 2' }
const register = new Registry()
const options: PrometheusOptions = { register }
const traced: OpenTelemetryOptions = { traces: true }

export async function answers () {
  const app = Fastify()
  await app.register(healthz, { ready: { cache: checks.redis(source), away: tcp({ host: '127.0.0.1', port: 1 }) } })
  await app.register(prometheus, options)
  await app.register(opentelemetry, traced)
  const answer = await app.inject('/healthz/ready')
  const metric = await register.getSingleMetricAsString('healthz_check_up')
  await app.close()
  const same = prometheus === named && opentelemetry === namedToo && opentelemetry.isProbe === isProbe && checks.tcp === tcp
  return { same, ready: answer.json(), samples: metric.split('\\n').slice(2) }
}
`

/** The kinds of TypeScript projects, and which of the services can be written in them. */
const PROJECTS: Record<string, { files: string[], options: ts.CompilerOptions }> = {
  nodenext: {
    files: [...ESM, ...CJS, ...ESM_PARTS, ...CJS_PARTS, 'types.mts', 'types.cts'],
    // As strict as TypeScript gets.
    options: { module: ts.ModuleKind.NodeNext, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true }
  },
  'preserve with the resolution of a bundler': {
    files: [...ESM, ...ESM_PARTS, 'types.mts'],
    options: {
      module: ts.ModuleKind.Preserve,
      moduleResolution: ts.ModuleResolutionKind.Bundler,
      verbatimModuleSyntax: true
    }
  },
  'commonjs with esModuleInterop': {
    files: [...CJS, ...CJS_PARTS, 'types.cts'],
    options: { module: ts.ModuleKind.CommonJS, esModuleInterop: true }
  },
  'commonjs without esModuleInterop': {
    files: [...CJS, ...CJS_PARTS, 'types.cts'],
    options: { module: ts.ModuleKind.CommonJS, esModuleInterop: false }
  }
}

/** A service of a user's, written with one of the imports. */
function service ({ line, plugin, error, types }: typeof IMPORTS[string]): string {
  return `
import Fastify from 'fastify'
${line}

const ready: ${types}Check = function ({ app, probe, check }) {
  if (this === app) throw new ${error}(probe + ' ' + check + ' away', { cause: new Error('secret') })
}
const options: ${types}HealthzOptions = { prefix: '/-', live: () => {}, ready, noLog: true }

export const loaded = [${plugin}, ${error}]

export async function answers () {
  const app = Fastify()
  const seen: Array<string | undefined> = []
  app.addHook('onRequest', async request => {
    seen.push(request.routeOptions.config.healthz?.probe)
  })
  await app.register(${plugin}, options)
  const undo: () => void = app.healthz.add('live', 'added', { check: () => false, critical: false })
  const live: ${types}Problem = (await app.inject('/-/live')).json()
  const ready: ${types}Problem = (await app.inject('/-/ready')).json()
  await app.inject('/elsewhere')
  undo()
  // @ts-expect-error no such member: what is typed as \`any\` would have it
  const nothing: undefined = app.healthz.nothing
  await app.close()
  const state: ${types}State = app.healthz.state
  return { live, ready, seen, nothing, state }
}
`
}

const ANSWERS = {
  same: true,
  live: { status: 200, title: 'OK' },
  ready: { status: 503, title: 'ready default away' },
  seen: ['live', 'ready', null],
  state: 'closed'
}

/** Runs services in one process with what the package itself gives there: prints what each answers. */
const RUNNER = `
import { pathToFileURL } from 'node:url'
import healthz from '${NAME}'
const answers = []
for (const file of process.argv.slice(2)) {
  const service = await import(pathToFileURL(file))
  const same = service.loaded[0] === healthz && service.loaded[1] === healthz.HealthError
  answers.push({ file, same, ...await service.answers() })
}
console.log(JSON.stringify(answers))`

/** Type-checks a user's files and every declaration of the package, writes the JavaScript, and returns what is wrong. */
function compile (user: string, { files, options }: typeof PROJECTS[string], outDir: string): string[] {
  const program = ts.createProgram(files.map(file => join(user, file)), {
    target: ts.ScriptTarget.ES2022,
    lib: ['lib.es2022.d.ts'],
    types: ['node'],
    strict: true,
    skipLibCheck: false,
    isolatedModules: true,
    rootDir: user,
    outDir,
    ...options
  })
  // The declarations of other packages are theirs to get right: pino's can't be read without `esModuleInterop`.
  const sources = program.getSourceFiles().filter(({ fileName }) => fileName.startsWith(user.replaceAll('\\', '/')))
  const diagnostics = [
    ...program.getConfigFileParsingDiagnostics(),
    ...program.getOptionsDiagnostics(),
    ...program.getGlobalDiagnostics(),
    ...sources.flatMap(source => [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)]),
    // One by one: to write them all at once, TypeScript checks every declaration in the program first.
    ...sources.filter(source => !source.isDeclarationFile).flatMap(source => program.emit(source).diagnostics)
  ]
  return diagnostics.map(diagnostic => ts.formatDiagnostic(diagnostic, {
    getCanonicalFileName: name => name,
    getCurrentDirectory: () => user,
    getNewLine: () => '\n'
  }))
}

const node = (cwd: string, ...args: string[]) => run(process.execPath, args, cwd)

/** What can be imported beside the plugin, e.g. `fastify-healthz/checks`. */
const furtherEntries = ({ exports }: { exports: object }) => Object.keys(exports)
  .filter(key => key !== '.' && key !== './package.json').map(key => NAME + key.slice(1))

// What other programs have to say is asked at once, and looked at in the end: they run beside the compiler below.
const packed = pack('@types/node')
const attw = LONG && packed.then(({ tarball, user }) =>
  node(user, join(project, 'node_modules/.bin/attw'), tarball, '--format', 'json'))

t.teardown(async () => {
  await attw
  await (await packed).remove()
})

t.test('holds what users need, and nothing else', async t => {
  const { files, root, manifest } = await packed
  const sources = ['lib', 'types'].map(async folder =>
    (await filesIn(join(project, folder))).map(file => `${folder}/${file}`))
  const built = (await Promise.all(sources)).flat()
    // Type tests live beside the types, and stay at home.
    .filter(file => file.endsWith('.ts') && !/\.(test|test-d|tst)\.ts$/.test(file))
    .flatMap(file => ['.js', '.d.ts'].map(extension => `dist/${file.slice(0, -3)}${extension}`))
  t.same(files, ['LICENSE', 'README.md', 'package.json', ...built].sort())

  const texts = await Promise.all(files.map(file => readFile(join(root, file), 'utf8')))
  t.same(files.filter((_, i) => texts[i]!.includes(project)), [], 'no path of the machine that it was built on')
  t.same(files.filter((file, i) => file.startsWith('dist/') && /["']@sinclair\/typebox/.test(texts[i]!)), [],
    'neither code nor declarations ask for TypeBox')

  for (const script of ['preinstall', 'install', 'postinstall', 'preuninstall', 'uninstall', 'postuninstall']) {
    t.notOk(script in manifest.scripts, `runs nothing on ${script}`)
  }
})

t.test('ships the schemas of the wire as plain JSON', async t => {
  const { root } = await packed
  const shipped = createRequire(__filename)(join(root, 'dist/types/wire.js')) as Record<string, object>
  t.same(Object.keys(shipped).sort(), Object.keys(wire).sort())
  for (const [name, schema] of Object.entries(wire)) {
    t.strictSame(shipped[name], JSON.parse(JSON.stringify(schema)), name)
  }
  const symbols = (value: unknown): number => typeof value !== 'object' || value === null
    ? 0
    : Object.getOwnPropertySymbols(value).length + Object.values(value).reduce((sum, inner) => sum + symbols(inner), 0)
  t.not(symbols(wire.Problem), 0, 'TypeBox marks its own')
  t.equal(symbols({ ...shipped }), 0)
})

t.test('TypeScript', async t => {
  const { user, root, files, manifest } = await packed
  await mkdir(join(user, 'out'))
  await writeFile(join(user, 'services.mjs'), RUNNER)
  await Promise.all([...ESM, ...CJS].map(file =>
    writeFile(join(user, file), service(IMPORTS[file.replace(/\..*/, '')]!))))
  const answer = async (t: Test, services: string[], program: string, ...args: string[]) => {
    const { stdout, stderr } = await run(program, [...args, 'services.mjs', ...services], user)
    t.equal(stderr, '')
    t.same(JSON.parse(stdout), services.map(file => ({ file, ...ANSWERS })))
  }

  const declarations = files.filter(file => /^dist\/types\/.*\.d\.ts$/.test(file))
  const texts = await Promise.all(declarations.map(file => readFile(join(root, file), 'utf8')))
  const types = texts.flatMap(text => [...text.matchAll(/^export (?:declare )?(?:interface|type) (\w+)/gm)].map(match => match[1]!))
  const imported = (line: string, prefix: string) => `${line}
export namespace by { ${types.map(type => `export type ${type} = ${prefix}${type}`).join('; ')} }
export type { ${types.join(', ')} } from '${NAME}'
${furtherEntries(manifest).map((entry, i) => `export type Entry${i} = typeof import('${entry}')`).join('\n')}
`
  await writeFile(join(user, 'types.mts'), imported(`import healthz from '${NAME}'`, 'healthz.'))
  await writeFile(join(user, 'types.cts'), imported(`import healthz = require('${NAME}')`, 'healthz.'))
  const required = PARTS.replace(/import (prometheus|opentelemetry) from (.+)/g, 'import $1 = require($2)')
  await Promise.all(['parts.mts', 'parts.cts'].map(file => writeFile(join(user, file), PARTS)))
  await writeFile(join(user, 'partsRequire.cts'), required)

  const names = Object.keys(PROJECTS).filter(name => LONG || ['nodenext', 'commonjs with esModuleInterop'].includes(name))
  const out = (name: string) => join(user, 'out', String(names.indexOf(name)))
  for (const name of names) {
    t.test(`accepts every import and every type in a project with module ${name}`, async t => {
      t.same(compile(user, PROJECTS[name]!, out(name)), [])
    })
  }

  const built = (which: (file: string) => boolean) => names.flatMap(name => PROJECTS[name]!.files.filter(which)
    .map(file => join(out(name), file.replace(/ts$/, 'js'))))

  t.test('makes services of all these imports that boot and answer', async t => {
    await answer(t, built(file => [...ESM, ...CJS].includes(file)), process.execPath)
  })

  t.test('makes services of the other exports that answer', async t => {
    const parts = built(file => [...ESM_PARTS, ...CJS_PARTS].includes(file))
    await writeFile(join(user, 'parts.mjs'), `
import { pathToFileURL } from 'node:url'
const answers = []
for (const file of process.argv.slice(2)) answers.push(await (await import(pathToFileURL(file))).answers())
console.log(JSON.stringify(answers))`)
    const { stdout, stderr } = await node(user, 'parts.mjs', ...parts)
    t.equal(stderr, '')
    t.same(JSON.parse(stdout), parts.map(() => ({
      same: true,
      ready: { status: 503, title: 'away: connection refused' },
      samples: ['healthz_check_up{probe="ready",check="cache"} 1', 'healthz_check_up{probe="ready",check="away"} 0']
    })))
  })

  t.test('these services run as they are under tsx', async t => {
    await answer(t, [...ESM, ...CJS], join(project, 'node_modules/.bin/tsx'))
  })

  // Node takes the types out and nothing else: CommonJS written as `import` stays what it is not.
  const strips = (process.features as { typescript?: unknown }).typescript === 'strip'
  t.test('those of ES modules run as they are under Node', { skip: !strips && 'this Node strips no types' }, async t => {
    await answer(t, ESM, process.execPath)
  })
})

const CLIENTS = ['@prometheus-io/client', 'prom-client']

/** A service with the metrics. The registry, if it hands one in, is that of the client. */
const metricsService = (client: string | undefined, given: boolean) => `
import Fastify from 'fastify'
import healthz from '${NAME}'
import prometheus from '${NAME}/prometheus'
${client === undefined ? '' : `import { register } from '${client}'`}

export async function scrape (): Promise<string> {
  const app = Fastify()
  await app.register(healthz, { ready: () => {} })
  await app.register(prometheus${given ? ', { register }' : ''})
  await app.inject('/healthz/ready')
  ${client === undefined ? "return ''" : 'return register.metrics()'}
}
// @ts-expect-error no registry: what is typed as \`any\` would be one
export const options: prometheus.PrometheusOptions = { register: {} }
scrape().then(text => console.log(text), error => console.log(error.code))
`

/** Installs the package in a folder of its own, without its optional peers. */
async function install (t: Test, folder: string, ...besides: string[]): Promise<string> {
  const { user, root, manifest } = await packed
  const app = `${user}-${folder}`
  t.teardown(() => rm(app, { recursive: true, force: true }))
  await cp(root, join(app, 'node_modules', NAME), { recursive: true })
  for (const name of [...Object.keys(manifest.dependencies), 'fastify', ...besides]) await link(app, name)
  return app
}

/** What is installed: the name of the folder, the clients, and what each service prints. */
const INSTALLED: Array<{ folder: string, clients: string[], services: Array<[client: string | undefined, given: boolean, prints: RegExp]> }> = [
  { folder: 'none', clients: [], services: [[undefined, false, /^HEALTHZ_ERR_METRICS_CLIENT_MISSING$/m]] },
  ...CLIENTS.map(client => ({
    folder: client.replace(/^.*\//, ''),
    clients: [client],
    services: [true, false].map(given => [client, given, /^healthz_check_up\{.*\} 1$/m] as [string, boolean, RegExp])
  })),
  {
    folder: 'both',
    clients: CLIENTS,
    services: CLIENTS.flatMap(client => [
      [client, true, /^healthz_check_up\{.*\} 1$/m], [client, false, /^HEALTHZ_ERR_METRICS_CLIENT_AMBIGUOUS$/m]
    ] as Array<[string, boolean, RegExp]>)
  }
]

for (const { folder, clients, services } of INSTALLED) {
  t.test(`with ${clients.join(' and ') || 'no metrics client'} installed, the metrics compile and run, or say why not`, async t => {
    const app = await install(t, folder, '@types/node', ...clients)
    const files = services.map((_, i) => `service${i}.mts`)
    await Promise.all(services.map(([client, given], i) => writeFile(join(app, files[i]!), metricsService(client, given))))
    t.same(compile(app, { files, options: PROJECTS.nodenext!.options }, join(app, 'out')), [])
    for (const [i, [,, prints]] of services.entries()) {
      const { stdout, stderr } = await node(app, `out/service${i}.mjs`)
      t.equal(stderr, '')
      t.match(stdout, prints, files[i]!)
    }
  })
}

for (const [version, name, client] of [[13, 'fastify-metrics', 'prom-client'], [14, 'fastify-metrics-14', '@prometheus-io/client']] as const) {
  t.test(`the metrics are among those of fastify-metrics ${version}, without an option`, async t => {
    const app = await install(t, name, client)
    await link(app, name, 'fastify-metrics')
    await writeFile(join(app, 'service.mjs'), `
import Fastify from 'fastify'
import fastifyMetrics from 'fastify-metrics'
import healthz from '${NAME}'
import prometheus from '${NAME}/prometheus'
const app = Fastify()
await app.register(fastifyMetrics.default, { endpoint: '/metrics' })
await app.register(healthz, { ready: () => {} })
await app.register(prometheus)
await app.inject('/healthz/ready')
console.log((await app.inject('/metrics')).body)`)
    const { stdout, stderr } = await node(app, 'service.mjs')
    t.equal(stderr, '')
    t.match(stdout, '\nhealthz_check_up{probe="ready",check="default"} 1\n')
    t.match(stdout, '\nprocess_cpu_seconds_total ')
  })
}

t.test('no public declaration has a type that is `any`', async t => {
  const { root } = await packed
  const { exports } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { exports: Record<string, { types?: string }> }
  const entries = Object.values(exports).flatMap(({ types }) => types === undefined ? [] : [join(root, types)])
  t.ok(entries.length >= 3)
  const program = ts.createProgram(entries, {
    module: ts.ModuleKind.NodeNext, target: ts.ScriptTarget.ES2022, strict: true, types: ['node']
  })
  const checker = program.getTypeChecker()
  const found: string[] = []
  for (const source of program.getSourceFiles().filter(({ fileName }) => fileName.startsWith(root))) {
    const look = (node: ts.Node): void => {
      if (ts.isTypeNode(node) && checker.getTypeFromTypeNode(node).flags & ts.TypeFlags.Any) {
        found.push(`${source.fileName.slice(root.length)}: ${node.parent.getText(source)}`)
      }
      ts.forEachChild(node, look)
    }
    look(source)
  }
  t.same(found, [])
})

t.test('bundled by esbuild it works as before', async t => {
  const { user } = await packed
  await writeFile(join(user, 'checks.mjs'), 'export const live = () => false\n')
  await writeFile(join(user, 'bundled.ts'), `
import Fastify from 'fastify'
import healthz, { HealthError } from '${NAME}'

async function main () {
  const app = Fastify()
  app.register(healthz, {
    live: './checks.mjs#live',
    ready: () => { throw new HealthError('Away') },
    root: __dirname,
    listen: { port: 0, host: '127.0.0.1' },
    shutdown: true
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const ask = async (probe: string) => (await fetch('http://127.0.0.1:' + app.healthz.address!.port + '/healthz/' + probe)).json()
  console.log(JSON.stringify([await ask('live'), await ask('ready')]))
  await app.close()
}
main()`)
  // What Fastify itself needs to be bundled as an ES module.
  const banner = {
    js: `
import { createRequire } from 'node:module'
const require = createRequire(import.meta.url), __filename = import.meta.filename, __dirname = import.meta.dirname`
  }
  const bundles: Record<string, BuildOptions> = {
    'bundle.cjs': { format: 'cjs' },
    'minified.cjs': { format: 'cjs', minify: true },
    'bundle.mjs': { format: 'esm', banner },
    'external.cjs': { format: 'cjs', packages: 'external' }
  }
  await Promise.all(Object.entries(bundles).map(async ([outfile, options]) => {
    const input: BuildOptions = { absWorkingDir: user, entryPoints: ['bundled.ts'], bundle: true, platform: 'node', target: 'node20' }
    await build<BuildOptions>({ ...input, outfile, ...options })
    const { stdout, stderr } = await node(user, outfile)
    t.equal(stderr, '', outfile)
    t.same(JSON.parse(stdout), [{ status: 503, title: 'The live check failed' }, { status: 503, title: 'Away' }], outfile)
  }))
})

t.test('satisfies publint, suggestions included', async t => {
  const { tarball } = await packed
  const { publint } = await import('publint')
  const { buffer, byteOffset, byteLength } = await readFile(tarball)
  const { messages } = await publint({ pack: { tarball: buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer }, strict: true })
  t.same(messages, [])
})

if (attw) {
  t.test('has no problem in any column of "are the types wrong?"', async t => {
    const { stdout, stderr, code } = await attw
    t.equal(code, 0, stderr)
    const { analysis } = JSON.parse(stdout)
    t.same(analysis.problems, [])
    t.same(analysis.types, { kind: 'included' })
    for (const [entrypoint, { resolutions }] of Object.entries<any>(analysis.entrypoints)) {
      for (const column of ['node10', 'node16-cjs', 'node16-esm', 'bundler']) {
        const { resolution } = resolutions[column]
        t.ok(resolution?.isTypeScript || resolution?.isJson, `${entrypoint} has types in ${column}`)
      }
    }
  })
}
