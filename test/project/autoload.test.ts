// Plugin files of the templates of fastify-cli, which @fastify/autoload loads with the options of the app.
import { once } from 'node:events'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import t, { type Test } from 'tap'
import { pack, type Package, project, run } from '../helpers/package.js'
import { spawnNode } from '../helpers/service.js'

/** What a user installs, in a folder outside of the project. */
let installed: Package
t.before(async () => { installed = await pack('@fastify/autoload', 'fastify-cli', '@types/node') })
t.teardown(() => installed.remove())

const CLI = 'node_modules/fastify-cli/cli.js'
const SAID = '`fp(async app => { await app.register(healthz, { … }) })`'
const IMPORTS = "import fp from 'fastify-plugin'\nimport healthz from 'fastify-healthz'\n"
const REQUIRES = "const fp = require('fastify-plugin')\nconst healthz = require('fastify-healthz')\n"

interface Template {
  readonly args: readonly string[]
  readonly plugin: string
  readonly database: string
  readonly bare: string
}
const FILES = {
  wrapped: "fp(async app => { await app.register(healthz, { noLog: true }) }, { name: 'healthz' })\n",
  // By name it comes before `healthz`.
  database: "fp(async app => { app.healthz.add('ready', 'database', () => false) }, { dependencies: ['healthz'] })\n"
}
const ESM = {
  plugin: `${IMPORTS}export default ${FILES.wrapped}`,
  database: `${IMPORTS}export default ${FILES.database}`,
  bare: `${IMPORTS}export default healthz\n`
}
const TEMPLATES: Record<string, Template> = {
  js: {
    args: [],
    plugin: `${REQUIRES}module.exports = ${FILES.wrapped}`,
    database: `${REQUIRES}module.exports = ${FILES.database}`,
    bare: "module.exports = require('fastify-healthz')\n"
  },
  esm: { args: ['--esm'], ...ESM },
  ts: { args: ['--lang=ts'], ...ESM }
}

/** Makes an app from a template of fastify-cli, with `trustProxy` among the options of the app. */
async function generate (t: Test, name: string) {
  const folder = join(installed.user, name)
  t.match(await run(process.execPath, [CLI, 'generate', name, ...TEMPLATES[name]!.args], installed.user), { code: 0 })
  t.teardown(() => rm(folder, { recursive: true }))
  const isTypeScript = name === 'ts'
  const source = join(folder, isTypeScript ? 'src' : '.')
  const extension = isTypeScript ? 'ts' : 'js'
  // It needs a package that isn't installed here.
  await rm(join(source, `plugins/sensible.${extension}`))
  const main = join(source, `app.${extension}`)
  const text = await readFile(main, 'utf8')
  const changed = text.replace(/^((?:export )?const options(?:: AppOptions)? = \{)\n?\}/m, '$1 trustProxy: true }')
  t.not(changed, text)
  await writeFile(main, changed)

  return {
    /** Writes plugin files, and compiles them where the template does. */
    async write (files: Record<string, string>) {
      for (const [file, text] of Object.entries(files)) {
        const path = join(source, 'plugins', `${file}.${extension}`)
        await mkdir(join(path, '..'), { recursive: true })
        await writeFile(path, text)
      }
      if (!isTypeScript) return
      // The template's own configuration comes from another package that isn't installed here.
      const compilerOptions = { module: 'nodenext', target: 'es2022', strict: true, skipLibCheck: true, types: ['node'], rootDir: 'src', outDir: 'dist' }
      await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ compilerOptions, include: ['src'] }))
      t.match(await run(process.execPath, [join(project, 'node_modules/typescript/bin/tsc')], folder), { code: 0, stdout: '' })
    },
    start: (...args: string[]) => start(t, [...args, join(folder, isTypeScript ? 'dist/app.js' : 'app.js')]),
    /** Builds the app as the tests of the template do. */
    build: () => run(process.execPath, ['--eval', `
      require('fastify-cli/helper').build(['${isTypeScript ? 'dist/app.js' : 'app.js'}'], { skipOverride: true }).then(async app => {
        console.log((await app.inject('/healthz/live')).statusCode, typeof app.healthz)
        await app.close()
      }, error => { console.log(error.code, error.message) })`], folder)
  }
}

/** Starts an app with fastify-cli, until it listens or exits. */
async function start (t: Test, args: readonly string[]) {
  const child = spawnNode([join(installed.user, CLI), 'start', '--log-level', 'info', ...args], { PORT: '0' })
  const closed = once(child, 'close')
  t.teardown(async () => {
    child.kill('SIGKILL')
    await closed
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', chunk => { stderr += chunk })
  for await (const line of createInterface(child.stdout)) {
    const [, port] = /Server listening at http:\/\/127\.0\.0\.1:(\d+)/.exec(line) ?? []
    if (port !== undefined) return { url: `http://127.0.0.1:${port}`, stderr }
  }
  await closed
  t.comment(stderr)
  return { url: '', stderr }
}

const get = async (url: string) => {
  const response = await fetch(url)
  return [response.status, (await response.json() as { title: string }).title]
}

for (const [name, { plugin, database, bare }] of Object.entries(TEMPLATES)) {
  t.test(`${name}: a file that registers the plugin in a function boots, whatever options the app has`, async t => {
    const app = await generate(t, name)
    await app.write({ healthz: plugin, database })
    const { url } = await app.start('--options')
    t.strictSame(await get(`${url}/healthz/live`), [200, 'OK'])
    t.strictSame(await get(`${url}/healthz/ready`), [503, 'database: failed'])
    const below = await app.start('--options', '--prefix', '/api')
    t.strictSame(await get(`${below.url}/api/healthz/live`), [200, 'OK'], 'the prefix of the scope comes first')
    t.strictSame((await app.build()).stdout, '200 object\n')
  })

  t.test(`${name}: a file that is only the plugin boots, and says what to write where the app has options`, async t => {
    const app = await generate(t, name)
    await app.write({ healthz: bare })
    t.strictSame(await get(`${(await app.start()).url}/healthz/live`), [200, 'OK'])
    const { url, stderr } = await app.start('--options')
    t.equal(url, '')
    t.match(stderr, 'Unknown option `trustProxy`')
    t.match(stderr, SAID)
    t.match((await app.start('--prefix', '/api')).stderr, 'Expected `prefix` to be different from the prefix of the scope, got `\'/api\'` (string)')
    const { stdout } = await app.build()
    t.match(stdout, /^HEALTHZ_ERR_OPTION_UNKNOWN Unknown option `skipOverride`/)
    t.match(stdout, SAID)
  })
}

t.test('the file that the message tells to write boots, also in a folder of its own', async t => {
  const app = await generate(t, 'js')
  const said = SAID.slice(1, -1).replace('…', '')
  await app.write({ 'health/index': `${REQUIRES}module.exports = ${said}\n` })
  t.strictSame(await get(`${(await app.start('--options')).url}/healthz/live`), [200, 'OK'])
})

t.test('autoConfig of a file that is only the plugin has its options', async t => {
  const app = await generate(t, 'js')
  await app.write({ healthz: "module.exports = require('fastify-healthz')\nmodule.exports.autoConfig = { prefix: '/probes' }\n" })
  t.strictSame(await get(`${(await app.start()).url}/probes/live`), [200, 'OK'])
})
