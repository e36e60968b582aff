// What is published, as its users get it: packed, unpacked and installed outside the project.
import { createRequire } from 'node:module'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build, type BuildOptions } from 'esbuild'
import t, { type Test } from 'tap'
import ts from 'typescript'
import * as wire from '../types/wire.js'
import { filesIn, pack, project, run } from './helpers/package.js'

const NAME = 'fastify-healthz'

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

/** A service with the other two exports of the package. */
const PARTS = `
import Fastify from 'fastify'
import healthz from '${NAME}'
import * as checks from '${NAME}/checks'
import { tcp, type QueryOptions, type RedisClient, type Source } from '${NAME}/checks'
import prometheus from '${NAME}/prometheus'
import { prometheus as named, type PrometheusOptions } from '${NAME}/prometheus'
import { Registry } from 'prom-client'

const client: RedisClient = { ping: async () => 'PONG' }
const source: Source<RedisClient> = () => client
export const query: QueryOptions = { query: 'SELECT 2' }
const register = new Registry()
const options: PrometheusOptions = { register }

export async function answers () {
  const app = Fastify()
  await app.register(healthz, { ready: { cache: checks.redis(source), away: tcp({ host: '127.0.0.1', port: 1 }) } })
  await app.register(prometheus, options)
  const answer = await app.inject('/healthz/ready')
  const metric = await register.getSingleMetricAsString('healthz_check_up')
  await app.close()
  return { same: prometheus === named && checks.tcp === tcp, ready: answer.json(), samples: metric.split('\\n').slice(2) }
}
`

/** The kinds of TypeScript projects, and which of the services can be written in them. */
const PROJECTS: Record<string, { files: string[], options: ts.CompilerOptions }> = {
  nodenext: {
    files: [...ESM, ...CJS, ...ESM_PARTS, ...CJS_PARTS, 'types.mts', 'types.cts'],
    // As strict as TypeScript gets.
    options: { module: ts.ModuleKind.NodeNext, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true }
  },
  node16: {
    files: [...ESM, ...CJS, ...ESM_PARTS, ...CJS_PARTS, 'types.mts', 'types.cts'],
    options: { module: ts.ModuleKind.Node16 }
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

/** Type-checks a user's files and every declaration of the package, writes the JavaScript, and gives back what is wrong. */
function compile (user: string, { files, options }: typeof PROJECTS[string], outDir: string, everything: boolean): string[] {
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
  // The declarations of others are theirs to get right: pino's can't be read without `esModuleInterop`. But where they
  // are right they must stay so beside ours, which needs to be looked at once only, as it costs a second each time.
  const sources = program.getSourceFiles()
    .filter(({ fileName }) => everything || fileName.startsWith(user.replaceAll('\\', '/')))
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
const attw = packed.then(({ tarball, user }) =>
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
  const parts = /fastify-healthz[\\/]dist[\\/]lib[\\/](checks|prometheus)/
  t.same(all.filter(file => parts.test(file)), [], 'nor are the ready-made checks and the metrics')

  const load = (part: string) => node(user, '-p', `require('${NAME}/${part}'); JSON.stringify(Object.keys(require.cache))`)
  const [checks, prometheus] = await Promise.all([load('checks'), load('prometheus')])
  t.same(packages(JSON.parse(checks.stdout)).filter(name => !allowed.includes(name)), [], 'the checks load no driver')
  t.ok(packages(JSON.parse(prometheus.stdout)).includes('prom-client'), 'the metrics alone load prom-client')
  t.notOk(packages(JSON.parse(prometheus.stdout)).includes('fastify'))
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
  const required = PARTS.replace(/import prometheus from (.+)/, 'import prometheus = require($1)')
  await Promise.all(['parts.mts', 'parts.cts'].map(file => writeFile(join(user, file), PARTS)))
  await writeFile(join(user, 'partsRequire.cts'), required)

  const names = Object.keys(PROJECTS)
  const out = (name: string) => join(user, 'out', String(names.indexOf(name)))
  for (const name of names) {
    t.test(`accepts every import and every type in a project with module ${name}`, async t => {
      t.same(compile(user, PROJECTS[name]!, out(name), name === 'nodenext'), [])
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
