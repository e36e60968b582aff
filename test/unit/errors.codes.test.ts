// The error codes in the code, the types and the reference are the same.
import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import t from 'tap'
import ts from 'typescript'
import { ERRORS } from '../../lib/errors.js'
import { namesIn, rowsIn } from '../helpers/docs.js'

const project = resolve(__dirname, '../..')

/** The text of a file, or `''` if it doesn't exist. */
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

t.test('every error code is in the table, the types and the reference', async t => {
  const codes = Object.keys(ERRORS).sort()
  t.not(codes.length, 0)
  t.same(union('types/errors.ts', 'HealthzErrorCode').sort(), codes)

  const documented = rowsIn(read('docs/api.md')).filter(([code]) => /^`HEALTHZ_ERR_\w+`$/.test(code ?? ''))
  t.same(documented.flatMap(([code]) => namesIn(code)).sort(), codes)
  t.same(documented.filter(([, ...meaning]) => !meaning.some(cell => cell !== '')), [], 'each row has a meaning')
})

t.test('the documentation names no unknown code', async t => {
  for (const file of ['docs/api.md', 'lib/index.ts']) {
    const named = read(file).match(/HEALTHZ_ERR_[A-Z0-9_]+/g) ?? []
    t.not(named.length, 0, `${file} names codes`)
    t.same(named.filter(code => !Object.hasOwn(ERRORS, code)), [], file)
  }
})
