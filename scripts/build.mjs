// Builds `dist/`: the package (dist/lib, dist/types) and the examples.
//
// `types/wire.ts` defines the response bodies with TypeBox. Loading TypeBox takes as long as loading Fastify, so the package
// contains the schemas as plain JSON Schema and the types as plain types.
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const path = name => fileURLToPath(new URL(`../${name}`, import.meta.url))

rmSync(path('dist'), { recursive: true, force: true })
const host = { ...ts.sys, onUnRecoverableConfigFileDiagnostic: fail }
const config = ts.getParsedCommandLineOfConfigFile(path('tsconfig.build.json'), {}, host)
const program = ts.createProgram(config.fileNames, config.options)
const diagnostics = [...ts.getPreEmitDiagnostics(program), ...program.emit().diagnostics]
if (diagnostics.length > 0) fail(...diagnostics)

const schemas = Object.entries(createRequire(import.meta.url)(path('dist/types/wire.js')))
writeFileSync(path('dist/types/wire.js'), [
  '"use strict";',
  'Object.defineProperty(exports, "__esModule", { value: true });',
  ...schemas.map(([name, schema]) => `exports.${name} = ${JSON.stringify(schema, null, 2)};`)
].join('\n') + '\n')

const checker = program.getTypeChecker()
const printer = ts.createPrinter()
const source = program.getSourceFile(path('types/wire.ts'))
const docs = readFileSync(path('types/wire.ts'), 'utf8')
writeFileSync(path('dist/types/wire.d.ts'), checker.getExportsOfModule(checker.getSymbolAtLocation(source)).map(symbol => {
  const alias = symbol.declarations.find(ts.isTypeAliasDeclaration)
  const doc = ts.getLeadingCommentRanges(docs, alias.pos)?.map(({ pos, end }) => docs.slice(pos, end) + '\n').join('') ?? ''
  const flags = ts.NodeBuilderFlags.InTypeAlias | ts.NodeBuilderFlags.NoTruncation | ts.NodeBuilderFlags.MultilineObjectLiterals
  const type = checker.typeToTypeNode(checker.getDeclaredTypeOfSymbol(symbol), undefined, flags)
  const text = printer.printNode(ts.EmitHint.Unspecified, type, source)
  return `export declare const ${symbol.name}: object;\n${doc}export type ${symbol.name} = ${text};\n`
}).join(''))

function fail (...diagnostics) {
  console.error(ts.formatDiagnosticsWithColorAndContext(diagnostics, {
    getCanonicalFileName: name => name,
    getCurrentDirectory: ts.sys.getCurrentDirectory,
    getNewLine: () => '\n'
  }))
  process.exit(1)
}
