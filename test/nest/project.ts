// Projects with Nest: a major of it, ES modules or CommonJS, and the compiled app of `app.ts` in them.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Test } from 'tap'
import ts from 'typescript'
import { project } from '../helpers/package.js'
import { follow, spawnNode } from '../helpers/service.js'

export type Major = 11 | 12

/** Nest 12 is a dependency of the project for development, Nest 11 is installed by `npm ci --prefix test/nest/11`. */
const FOLDERS: Readonly<Record<Major, string>> = { 11: join(project, 'test/nest/11'), 12: project }

const PACKAGES = [
  '@nestjs/common', '@nestjs/core', '@nestjs/platform-fastify', 'nestjs-pino', 'pino', 'pino-http', 'reflect-metadata', 'rxjs'
]

/** What isn't installed for a major. */
export function missing (major: Major): string[] {
  return existsSync(join(FOLDERS[major], 'node_modules')) ? [] : [`npm ci --prefix test/nest/${major}`]
}

/** A folder outside the project in which Nest and the plugin from `dist/`, which must have been built, are installed. */
export function makeProject (t: Test, major: Major, type: 'module' | 'commonjs'): string {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), 'fastify-healthz-nest-')))
  t.teardown(() => rmSync(folder, { recursive: true }))
  const install = (name: string, from: string) => {
    const path = join(folder, 'node_modules', name)
    mkdirSync(dirname(path), { recursive: true })
    symlinkSync(from, path, 'junction')
  }
  for (const name of PACKAGES) install(name, join(FOLDERS[major], 'node_modules', name))
  install('fastify', join(project, 'node_modules/fastify'))
  install('@types', join(project, 'node_modules/@types'))
  install('fastify-healthz', project)
  writeFileSync(join(folder, 'package.json'), JSON.stringify({ type }))
  return folder
}

const OPTIONS: ts.CompilerOptions = {
  target: ts.ScriptTarget.ES2022,
  esModuleInterop: true,
  experimentalDecorators: true,
  emitDecoratorMetadata: true
}

/** Compiles files of the project into a folder of `makeProject`, at the same paths. */
export function compile (folder: string, paths: readonly string[]): void {
  const { type } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const module = type === 'module' ? ts.ModuleKind.ESNext : ts.ModuleKind.CommonJS
  for (const path of paths) {
    const { outputText } = ts.transpileModule(readFileSync(join(project, `${path}.ts`), 'utf8'), { compilerOptions: { ...OPTIONS, module } })
    mkdirSync(dirname(join(folder, path)), { recursive: true })
    writeFileSync(join(folder, `${path}.js`), outputText)
  }
}

/** The errors of a file of the project, against the types that are installed in a folder of `makeProject`. */
export function typeErrors (folder: string, path: string): string[] {
  const copy = join(folder, `${path}.ts`)
  mkdirSync(dirname(copy), { recursive: true })
  writeFileSync(copy, readFileSync(join(project, `${path}.ts`)))
  const options = { ...OPTIONS, strict: true, noEmit: true, skipLibCheck: true, module: ts.ModuleKind.NodeNext, types: ['node'], typeRoots: [join(folder, 'node_modules/@types')] }
  return ts.getPreEmitDiagnostics(ts.createProgram([copy], options)).map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, ' '))
}

/** A line of stdout: JSON, or text as `msg`. */
const parse = (line: string) => line.startsWith('{"') ? JSON.parse(line) : { msg: line }

/** Starts a program of a folder. */
export function start (t: Test, folder: string, path: string, settings: object, env: Record<string, string> = {}) {
  const child = spawnNode([join(folder, `${path}.js`), JSON.stringify(settings)], { NO_COLOR: '1', ...env })
  const service = follow(t, child, parse)
  async function get (url: string) {
    const { port } = await service.line('listening')
    const response = await fetch(`http://127.0.0.1:${port}${url}`)
    return { status: response.status, body: await response.json() }
  }
  return { ...service, get }
}
