// Parses the pages of the documentation: code blocks, links and headings.
import { spawnSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join, posix } from 'node:path'
import Fastify, { type FastifyInstance, type FastifyServerOptions } from 'fastify'
import ts from 'typescript'
import { parseAllDocuments } from 'yaml'
import { project } from './package.js'

/** A page, with its path in the project. */
export interface Page {
  readonly path: string
  readonly text: string
}

export interface Block {
  readonly page: string
  /** The line number of the first line of code. */
  readonly line: number
  /** The info string of the fence, `''` for a drawing. */
  readonly language: string
  readonly code: string
}

export function readPage (path: string): Page {
  return { path, text: readFileSync(join(project, path), 'utf8') }
}

/** The code blocks of a page. */
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

/** The rows of all tables in a Markdown text, each as the texts of its cells. */
export function rowsIn (text: string): string[][] {
  return text.split('\n')
    .filter(line => line.startsWith('|'))
    // A pipe within a cell is escaped as `\|`.
    .map(line => line.split(/(?<!\\)\|/).slice(1, -1).map(cell => cell.trim()))
}

/** The texts between backticks in a cell. */
export function namesIn (cell = ''): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(match => match[1]!)
}

/** By language: returns what is wrong with a block. `typeErrors` checks TypeScript. */
export const CHECKS: Readonly<Record<string, (code: string) => string | undefined>> = {
  // Drawings and timelines.
  '': () => undefined,
  mermaid: () => undefined,
  // Queries, which the tests of the checks run.
  sql: () => undefined,
  ts: () => undefined,
  sh: shellError,
  // Transcripts, whose commands start with `$`.
  console: code => shellError([...code.matchAll(/^\$ (.*)$/gm)].map(([, command]) => command).join('\n')),
  // One document, or a log with a document on each line.
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
  // Passes if the program isn't installed.
  return error !== undefined || status === 0 ? undefined : stderr
}

function valid (parse: () => void): string | undefined {
  try {
    parse()
  } catch (error) {
    return (error as Error).message
  }
}

/** The declarations that the examples of the pages rely on. */
const GIVEN = join(project, 'docs/examples.d.ts')
const CONFIG = join(project, 'tsconfig.json')

/**
 * Type-checks TypeScript blocks, each as a separate module next to its page, with the declarations of
 * `docs/examples.d.ts`. A block that starts with a property is treated as options of the plugin.
 * @returns the errors with page and line
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
  // Checks `GIVEN` too, where an error would otherwise turn a declaration into `any`. Only the files below are checked.
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

/** Returns the source of a module whose line numbers are those of the page. */
function moduleOf ({ code, line }: Block): string {
  const [before, after] = /^(?:\/\/.*\n)*\w+:/.test(code) ? ['app.register(healthz, {', '})'] : ['', '']
  return `${'\n'.repeat(line - 2)}export {}; ${before}\n${code}\n${after}`
}

/**
 * Runs a program of a page in this process, with values for the variables that it relies on. Its apps don't log, and
 * listen on free ports.
 * @returns its apps, which the caller must close
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

/** The text of a page without its code blocks. */
function prose (page: Page): string {
  const lines = page.text.split('\n')
  for (const { line, code } of blocksOf(page)) lines.fill('', line - 2, line + code.split('\n').length)
  return lines.join('\n')
}

/** The anchors that GitHub generates from the headings of a page. */
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

/** The broken links of a page within the project. External links aren't checked. */
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

/** The paths between backticks that don't exist in the project. `lib/check` matches `lib/check.ts`. */
export function missingPaths (page: Page): string[] {
  const named = [...prose(page).matchAll(/`((?:lib|types|test|docs|examples|scripts|bench|\.ci|\.github)\/[^`\s]*)`/g)].map(([, path]) => path!)
  return named.filter(path => !existsSync(join(project, path)) && !existsSync(join(project, `${path}.ts`)))
}
