// What the documentation shows is checked: its code compiles or runs, its links lead somewhere, its paths exist, and what
// the reference must name it names.
import { readdirSync, readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import { basename, join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import ts from 'typescript'
import {
  type Block, blocksOf, CHECKS, deadLinks, missingPaths, namesIn, type Page, readPage, rowsIn, runProgram, typeErrors
} from '../helpers/docs.js'
import { project } from '../helpers/package.js'

const pagesIn = (folder: string) => readdirSync(join(project, folder)).filter(name => name.endsWith('.md')).map(name => join(folder, name))
const pages = [...pagesIn('.'), ...pagesIn('docs')].map(readPage)
const blocks = pages.flatMap(blocksOf)
const read = (path: string) => readFileSync(join(project, path), 'utf8')

t.test('every block is of a language that is checked here, and is right', async t => {
  t.ok(blocks.length > 50)
  for (const { language, code, page, line } of blocks) {
    const check = CHECKS[language]
    if (check === undefined) t.fail(`${page}:${line}: no check for blocks of ${language}`)
    else t.equal(check(code), undefined, `${page}:${line}`)
  }
})

t.test('every block of TypeScript compiles against the types of the project', async t => {
  const samples = blocks.filter(({ language }) => language === 'ts')
  t.ok(samples.length > 30)
  t.strictSame(typeErrors(samples), [])
})

t.test('every link leads to a file and a heading that exist', async t => {
  for (const page of pages) t.strictSame(deadLinks(page), [], page.path)
})

t.test('every path of the project that a page names exists', async t => {
  for (const page of pages) t.strictSame(missingPaths(page), [], page.path)
})

t.test('the index has every page of docs', async t => {
  const index = read('docs/README.md')
  for (const { path } of pages.filter(({ path }) => path.startsWith('docs/'))) {
    if (path !== 'docs/README.md') t.match(index, `(${basename(path)})`)
  }
})

/** The interfaces of a file in `types/`. */
const interfacesIn = (file: string) =>
  ts.createSourceFile(file, read(`types/${file}.ts`), ts.ScriptTarget.ES2022).statements.filter(ts.isInterfaceDeclaration)
const membersOf = (type: ts.InterfaceDeclaration) =>
  type.members.flatMap(({ name }) => name !== undefined && ts.isIdentifier(name) ? name.text : [])

t.test('the README has every option of the types once, and no other', async t => {
  const options = interfacesIn('options').filter(({ name }) => name.text === 'HealthzOptions').flatMap(membersOf).sort()
  t.not(options.length, 0)
  // Up to the next heading: what follows there are the options of something else.
  const section = /^## Options\n([\s\S]*?)(?=^#+ |(?![\s\S]))/m.exec(read('README.md'))![1]!
  t.strictSame(rowsIn(section).flatMap(([option]) => namesIn(option)).sort(), options)
})

t.test('the reference has every type and every member of it', async t => {
  const text = read('docs/api.md')
  const exported = [...read('lib/index.ts').matchAll(/export type (\w+) =/g)].map(([, name]) => name!)
  const members = ['check', 'fastify', 'healthz', 'options'].flatMap(interfacesIn).flatMap(membersOf)
  t.ok(exported.length > 15 && members.length > 50)
  t.strictSame([...exported, ...members].filter(name => !new RegExp(`\`${name}[\`(]`).test(text)), [])
})

t.test('what the examples declare for packages that are not installed, is for those only', async t => {
  const names = [...read('docs/examples.d.ts').matchAll(/^declare module '(.+)'$/gm)].map(([, name]) => name!)
  for (const name of names) t.throws(() => require.resolve(name), { code: 'MODULE_NOT_FOUND' }, name)
})

t.test('the README has at most 1,300 words', async t => {
  t.ok(read('README.md').trim().split(/\s+/).length <= 1300)
})

/** The last program of a section, as it stands in the page. */
function program (page: Page, heading: string): Block {
  const first = page.text.slice(0, page.text.indexOf(`\n${heading}\n`) + 1).split('\n').length
  const next = page.text.split('\n').findIndex((line, i) => i >= first && line.startsWith('## ')) + 1 || Infinity
  const found = blocksOf(page).filter(({ language, line }) => language === 'ts' && line > first && line < next).at(-1)
  if (found === undefined) throw new Error(`${page.path} has no program below ${heading}`)
  return found
}

const ok = { status: 200, body: { status: 200, title: 'OK' } }
const away = (title: string) => ({ status: 503, body: { status: 503, title } })

/** Programs of the pages whose database can be taken away: what they answer then, by path. */
const PROGRAMS: Array<{ page: string, heading: string, away: Record<string, object> }> = [
  {
    page: 'README.md',
    heading: '# fastify-healthz',
    away: { '/healthz/live': ok, '/healthz/ready': away("database: Can't connect") }
  },
  {
    page: 'docs/moving-here.md',
    heading: '## From flask-healthz',
    away: { '/healthz/live': ok, '/healthz/ready': away("Can't connect to the database") }
  },
  {
    page: 'docs/moving-here.md',
    heading: "## From under-pressure's status route",
    away: { '/healthz/live': ok, '/status': away("database: Can't connect") }
  },
  {
    page: 'docs/moving-here.md',
    heading: '## From fastify-healthcheck',
    away: { '/health': ok, '/healthz/ready': ok }
  },
  {
    page: 'docs/moving-here.md',
    heading: '## From terminus',
    away: { '/healthz/live': ok, '/healthz': away("Can't connect to the database") }
  },
  {
    page: 'docs/moving-here.md',
    heading: '## From lightship',
    away: { '/live': ok, '/ready': away("Can't connect to the database"), '/startup': ok }
  }
]

for (const { page, heading, away } of PROGRAMS) {
  t.test(`${page}, ${heading}: the program answers on the paths that it says`, async t => {
    let up = true
    const connectDatabase = async () => { if (!up) throw new Error('connect ECONNREFUSED') }
    const pool = { query: connectDatabase, end: async () => {} }
    const createPool = () => pool
    const block = program(readPage(page), heading)
    const code = block.code.replace('port: 9000', 'port: 0')
    const [app] = await runProgram({ ...block, code }, { connectDatabase, createPool, ...(!code.includes('const pool =') && { pool }) })
    t.teardown(() => app!.close())
    for (const path of Object.keys(away)) t.strictSame(await ask(app!, path), ok, `${path} while all is well`)
    up = false
    for (const [path, answer] of Object.entries(away)) t.strictSame(await ask(app!, path), answer, `${path} while the database is away`)
  })
}

/** On the port of the probes' own, where there is one. */
async function ask (app: FastifyInstance, path: string) {
  const { port } = app.healthz.address ?? app.server.address() as AddressInfo
  const answer = await fetch(`http://127.0.0.1:${port}${path}`)
  return { status: answer.status, body: await answer.json() }
}
