// Reads the pages of the documentation: their blocks of code, their links and their headings.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import ts from 'typescript'
import { parseAllDocuments } from 'yaml'
import { project } from './package.js'

/** A page, by its path in the project. */
export interface Page {
  readonly path: string
  readonly text: string
}

export interface Block {
  readonly page: string
  /** The number of its first line of code. */
  readonly line: number
  /** As the fence says; `''` for a drawing. */
  readonly language: string
  readonly code: string
}

export function readPage (path: string): Page {
  return { path, text: readFileSync(join(project, path), 'utf8') }
}

/** The blocks of code of a page. */
export function blocksOf ({ path, text }: Page): Block[] {
  const blocks: Block[] = []
  let open: { indent: string, fence: string, language: string, line: number, code: string[] } | undefined
  for (const [i, line] of text.split('\n').entries()) {
    const [, indent = '', fence = '', language = ''] = /^( *)(`{3,}|~{3,})(\S*)/.exec(line) ?? []
    if (open === undefined) {
      if (fence !== '') open = { indent, fence, language, line: i + 2, code: [] }
    } else if (fence.startsWith(open.fence) && language === '') {
      blocks.push({ page: path, line: open.line, language: open.language, code: open.code.join('\n') })
      open = undefined
    } else {
      open.code.push(line.replace(open.indent, ''))
    }
  }
  if (open !== undefined) throw new Error(`${path}:${open.line}: the block has no end`)
  return blocks
}

/** The rows of the tables in a text of Markdown, as the texts of their cells. */
export function rowsIn (text: string): string[][] {
  return text.split('\n')
    .filter(line => line.startsWith('|'))
    // A bar within a cell is written `\|`.
    .map(line => line.split(/(?<!\\)\|/).slice(1, -1).map(cell => cell.trim()))
}

/** What is between backticks in a cell. */
export function namesIn (cell = ''): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(match => match[1]!)
}

/** What is wrong with a block in itself, by its language. TypeScript is for `typeErrors`. */
export const CHECKS: Readonly<Record<string, (code: string) => string | undefined>> = {
  // A drawing, a timeline.
  '': () => undefined,
  mermaid: () => undefined,
  // What goes over the wire; the tests of the checks run it.
  sql: () => undefined,
  ts: () => undefined,
  sh: shellError,
  // A transcript: what was typed begins with `$`.
  console: code => shellError([...code.matchAll(/^\$ (.*)$/gm)].map(([, command]) => command).join('\n')),
  // One document, or a log with one on each line.
  json: code => valid(() => JSON.parse(code)) && valid(() => code.split('\n').forEach(line => JSON.parse(line))),
  yaml: code => parseAllDocuments(code).flatMap(({ errors, warnings }) => [...errors, ...warnings])[0]?.message,
  dockerfile: code => code.replaceAll(/\\\n/g, '').split('\n')
    .find(line => !/^(?:$|#|(?:FROM|RUN|COPY|CMD|ENTRYPOINT|HEALTHCHECK|USER|WORKDIR|ENV|EXPOSE|ARG) )/.test(line)),
  python: code => run('python3', ['-c', 'import ast, sys; ast.parse(sys.stdin.read())'], code)
}

function shellError (code: string): string | undefined {
  const { scripts } = JSON.parse(readFileSync(join(project, 'package.json'), 'utf8'))
  const [missing] = [...code.matchAll(/\bnpm (?:run )?([\w:-]+)/g)].map(([, name]) => name!)
    .filter(name => !['ci', 'install', 'ls', 'audit', 'pack'].includes(name) && !Object.hasOwn(scripts, name))
  return missing === undefined ? run('bash', ['-n'], code) : `there is no script \`${missing}\``
}

function run (file: string, args: string[], input: string): string | undefined {
  const { error, status, stderr } = spawnSync(file, args, { input, encoding: 'utf8' })
  // A machine without the program has nothing to say.
  return error !== undefined || status === 0 ? undefined : stderr
}

function valid (parse: () => void): string | undefined {
  try {
    parse()
  } catch (error) {
    return (error as Error).message
  }
}

/** What the examples of the pages take for granted. */
const GIVEN = join(project, 'docs/examples.d.ts')
const CONFIG = join(project, 'tsconfig.json')

/**
 * Type-checks blocks of TypeScript, each as a module of its own beside its page, with what `docs/examples.d.ts` declares.
 * A block that begins with a property is taken for options of the plugin.
 * @returns what is wrong, by page and line
 */
export function typeErrors (blocks: readonly Block[]): string[] {
  const { config } = ts.readConfigFile(CONFIG, ts.sys.readFile)
  const { options } = ts.parseJsonConfigFileContent({ ...config, include: [] }, ts.sys, project)
  const sources = new Map(blocks.map(block => [join(project, `${block.page}.${block.line}.mts`), moduleOf(block)]))
  const host = ts.createCompilerHost(options)
  const { fileExists, readFile, getSourceFile } = host
  host.fileExists = file => sources.has(file) || fileExists(file)
  host.readFile = file => sources.get(file) ?? readFile(file)
  host.getSourceFile = (file, languageVersion, ...rest) => {
    const source = sources.get(file)
    return source === undefined
      ? getSourceFile(file, languageVersion, ...rest)
      : ts.createSourceFile(file, source, languageVersion)
  }
  // Only the files that are asked for below are checked: a mistake in what is given would else make `any` of it.
  const overrides = { skipLibCheck: false, noUnusedLocals: false, noUnusedParameters: false }
  const program = ts.createProgram([GIVEN, ...sources.keys()], { ...options, ...overrides }, host)
  return [GIVEN, ...sources.keys()].flatMap(file => {
    const source = program.getSourceFile(file)!
    return [...program.getSyntacticDiagnostics(source), ...program.getSemanticDiagnostics(source)].map(({ start, messageText }) => {
      const { line } = source.getLineAndCharacterOfPosition(start!)
      return `${file.slice(project.length + 1).replace(/\.\d+\.mts$/, '')}:${line + 1}: ${ts.flattenDiagnosticMessageText(messageText, ' ')}`
    })
  })
}

/** The lines of the module have the numbers that they have in the page. */
function moduleOf ({ code, line }: Block): string {
  const [before, after] = /^(?:\/\/.*\n)*\w+:/.test(code) ? ['app.register(healthz, {', '})'] : ['', '']
  return `${'\n'.repeat(line - 2)}export {}; ${before}\n${code}\n${after}`
}

/**
 * Runs a program of a page in this process, with values for what it takes for granted. Its apps are silent, and listen
 * on ports that are free.
 * @returns its apps, to be closed
 */
export async function runProgram ({ code }: Block, values: Readonly<Record<string, unknown>> = {}): Promise<FastifyInstance[]> {
  const apps: FastifyInstance[] = []
  const make = (options?: FastifyServerOptions) => {
    const app = Fastify({ ...options, logger: false })
    const listen = app.listen.bind(app)
    apps.push(app)
    return Object.assign(app, { listen: () => listen({ port: 0, host: '127.0.0.1' }) })
  }
  const modules: Record<string, unknown> = {
    fastify: Object.assign(make, { ...Fastify, default: make }),
    'fastify-healthz': require('../../lib/index.js')
  }
  const { outputText } = ts.transpileModule(code, {
    compilerOptions: { module: ts.ModuleKind.CommonJS, target: ts.ScriptTarget.ES2022, esModuleInterop: true }
  })
  const AsyncFunction = (async () => {}).constructor as FunctionConstructor
  const program = new AsyncFunction('require', 'exports', ...Object.keys(values), outputText)
  await program((name: string) => modules[name] ?? require(name), {}, ...Object.values(values))
  return apps
}

/** The text of a page without its blocks of code. */
function prose (page: Page): string {
  const lines = page.text.split('\n')
  for (const { line, code } of blocksOf(page)) lines.fill('', line - 2, line + code.split('\n').length)
  return lines.join('\n')
}

/** The anchors of a page, as GitHub makes them from its headings. */
function anchorsOf (page: Page): Set<string> {
  const anchors = new Set<string>()
  for (const [, heading] of prose(page).matchAll(/^#{1,6} +(.+)$/gm)) {
    const text = heading!.replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    const slug = text.trim().toLowerCase().replace(/[^\p{L}\p{M}\p{N}\p{Pc} -]/gu, '').replaceAll(' ', '-')
    let anchor = slug
    for (let n = 1; anchors.has(anchor); n++) anchor = `${slug}-${n}`
    anchors.add(anchor)
  }
  return anchors
}

/** The links of a page that lead nowhere within the project. What is elsewhere isn't asked. */
export function deadLinks (page: Page): string[] {
  const links = [...prose(page).matchAll(/\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)|\b(?:href|src|srcset)="([^"]+)"/gm)]
    .map(match => match[1] ?? match[2] ?? match[3]!)
  return links.filter(link => !/^[a-z]+:/.test(link)).filter(link => {
    const [path, anchor] = link.split('#') as [string, string?]
    const target = posix.join(dirname(page.path), path)
    if (path !== '' && !existsSync(join(project, target))) return true
    return anchor !== undefined && !anchorsOf(path === '' ? page : readPage(target)).has(anchor)
  })
}

/** Paths of the project that a page has between backticks and that don't exist. `lib/check` stands for `lib/check.ts`. */
export function missingPaths (page: Page): string[] {
  const named = [...prose(page).matchAll(/`((?:lib|types|test|docs|examples|scripts|bench|\.ci|\.github)\/[^`\s]*)`/g)].map(([, path]) => path!)
  return named.filter(path => !existsSync(join(project, path)) && !existsSync(join(project, `${path}.ts`)))
}
