// A code of an error is the same in all places: in the code, in the types and in the README.
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { ERRORS } from '../lib/errors.js'
import { namesIn, rowsIn } from './helpers/docs.js'

const project = resolve(__dirname, '..')

/** A file's text; `''` when there is none, so that what is missing from it is named. */
function read (file: string): string {
  return existsSync(join(project, file)) ? readFileSync(join(project, file), 'utf8') : ''
}

/** The members of a union of string literals in a TypeScript file. */
function union (file: string, name: string): string[] {
  const alias = ts.createSourceFile(file, read(file), ts.ScriptTarget.ES2022)
    .statements.filter(ts.isTypeAliasDeclaration).find(node => node.name.text === name)
  if (alias === undefined) return []
  const literals = ts.isUnionTypeNode(alias.type) ? [...alias.type.types] : [alias.type]
  return literals.map(node => ts.isLiteralTypeNode(node) && ts.isStringLiteral(node.literal) ? node.literal.text : '?')
}

t.test('every code of an error is in the table, in the types and in the README', async t => {
  const codes = Object.keys(ERRORS).sort()
  t.not(codes.length, 0)
  t.same(union('types/errors.ts', 'HealthzErrorCode').sort(), codes)

  const documented = rowsIn(read('README.md')).filter(([code]) => /^`HEALTHZ_ERR_\w+`$/.test(code ?? ''))
  t.same(documented.flatMap(([code]) => namesIn(code)).sort(), codes)
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
