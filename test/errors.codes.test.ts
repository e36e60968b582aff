// What is said in three places is said alike in all of them: in the code, in the types and in the README.
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { ERRORS } from '../lib/errors.js'

const project = resolve(__dirname, '..')

/** A file's text; `''` when there is none, so that what is missing from it is named. */
function read (file: string): string {
  return existsSync(join(project, file)) ? readFileSync(join(project, file), 'utf8') : ''
}

/** The declaration of that name in a TypeScript file. */
function declaration (file: string, name: string): ts.TypeAliasDeclaration | ts.InterfaceDeclaration | undefined {
  return ts.createSourceFile(file, read(file), ts.ScriptTarget.ES2022)
    .statements.filter(node => ts.isTypeAliasDeclaration(node) || ts.isInterfaceDeclaration(node))
    .find(node => node.name.text === name)
}

/** The members of a union of string literals. */
function union (file: string, name: string): string[] {
  const alias = declaration(file, name)
  if (alias === undefined || !ts.isTypeAliasDeclaration(alias)) return []
  const literals = ts.isUnionTypeNode(alias.type) ? [...alias.type.types] : [alias.type]
  return literals.map(node => ts.isLiteralTypeNode(node) && ts.isStringLiteral(node.literal) ? node.literal.text : '?')
}

/** The names of an interface's members. */
function members (file: string, name: string): string[] {
  const type = declaration(file, name)
  if (type === undefined || !ts.isInterfaceDeclaration(type)) return []
  return type.members.map(({ name }) => name !== undefined && ts.isIdentifier(name) ? name.text : '?')
}

/** The rows of the tables in a text of Markdown, as the texts of their cells. */
function rows (text: string): string[][] {
  return text.split('\n')
    .filter(line => line.startsWith('|'))
    // A bar within a cell is written `\|`.
    .map(line => line.split(/(?<!\\)\|/).slice(1, -1).map(cell => cell.trim()))
}

/** What is between backticks in a cell. */
function names (cell = ''): string[] {
  return [...cell.matchAll(/`([^`]+)`/g)].map(match => match[1]!)
}

const twice = (all: string[]) => all.filter((name, i) => all.indexOf(name) !== i)

t.test('every code of an error is in the table, in the types and in the README', async t => {
  const codes = Object.keys(ERRORS).sort()
  t.not(codes.length, 0)
  t.same(union('types/errors.ts', 'HealthzErrorCode').sort(), codes)

  const documented = rows(read('README.md')).filter(([code]) => /^`HEALTHZ_ERR_\w+`$/.test(code ?? ''))
  t.same(documented.flatMap(([code]) => names(code)).sort(), codes)
  t.same(documented.filter(([, ...meaning]) => !meaning.some(cell => cell !== '')), [], 'each row says what it means')
})

t.test('an error has the code that it is listed under', async t => {
  for (const [code, HealthzError] of Object.entries(ERRORS)) t.equal(new HealthzError().code, code)
})

t.test('the documentation names no code that there is not', async t => {
  for (const file of ['README.md', 'lib/index.ts']) {
    const named = read(file).match(/HEALTHZ_ERR_[A-Z0-9_]+/g) ?? []
    t.not(named.length, 0, `${file} names some`)
    t.same(named.filter(code => !Object.hasOwn(ERRORS, code)), [], file)
  }
})

t.test('every option is in the types and in the README', async t => {
  const options = members('types/options.ts', 'HealthzOptions').sort()
  t.not(options.length, 0)

  // Up to the next heading: what follows there are the options of something else.
  const section = /^## Options\n([\s\S]*?)(?=^#+ |(?![\s\S]))/m.exec(read('README.md'))?.[1] ?? ''
  const documented = rows(section).flatMap(([option]) => names(option)).sort()
  t.same(documented, options)
  t.same(twice(documented), [])
})
