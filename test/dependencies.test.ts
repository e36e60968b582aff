// What an installation brings along, and what docs/dependencies.md says of it.
import { readFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { isBuiltin } from 'node:module'
import { join } from 'node:path'
import t from 'tap'
import { filesIn, project } from './helpers/package.js'

interface Locked {
  readonly version: string
  readonly license?: string
  readonly integrity?: string
  readonly hasInstallScript?: boolean
  readonly dev?: boolean
}

const read = (path: string) => readFileSync(join(project, path), 'utf8')
const manifest = JSON.parse(read('package.json'))
const { dependencies, peerDependencies } = manifest
const locked = Object.entries<Locked>(JSON.parse(read('package-lock.json')).packages).filter(([path]) => path !== '')
/** All that is installed with the package, whoever asks for it, by its folder. */
const tree = locked.filter(([, { dev }]) => !dev)
const docs = read('docs/dependencies.md')
/** The rows of a table that link to a package. */
const rows = (columns: number) => docs.split('\n').filter(line => line.startsWith('| [`'))
  .map(line => line.split(/(?<!\\)\|/).slice(1, -1).map(cell => cell.replaceAll('\\|', '|').trim())).filter(({ length }) => length === columns)
const nameIn = (cell: string) => /`(.+)`/.exec(cell)![1]!

t.test('the docs list every dependency that is installed, with its version and its size, and no other', async t => {
  const measured = await Promise.all(tree.map(async ([path, { version }]) => {
    // What is nested has a row of its own.
    const files = (await filesIn(join(project, path))).filter(file => !file.startsWith('node_modules/'))
    const sizes = await Promise.all(files.map(async file => (await stat(join(project, path, file))).size))
    const bytes = sizes.reduce((sum, size) => sum + size, 0)
    return [path.replace(/.*node_modules\//, ''), version, `${bytes.toLocaleString('en')} bytes`, String(files.length)]
  }))
  t.strictSame(rows(5).map(([name, version, , bytes, files]) => [nameIn(name!), version, bytes, files]), measured)
  for (const [name, , reason] of rows(5)) t.ok(reason!.length > 20, `${name} has a reason`)
})

t.test('the dependencies are those of package.json, and the peers are in the docs with their range', async t => {
  const names = tree.map(([path]) => path.replace(/.*node_modules\//, ''))
  t.strictSame(names.sort(), Object.keys(dependencies).sort(), 'they have none of their own')
  t.strictSame([manifest.optionalDependencies, manifest.bundleDependencies], [undefined, undefined])
  t.strictSame(Object.fromEntries(rows(3).map(([name, range]) => [nameIn(name!), nameIn(range!)])), peerDependencies)
})

t.test('the library loads its dependencies, its peer and what Node has, and nothing else', async t => {
  const sources = (await filesIn(join(project, 'lib'))).map(file => read(`lib/${file}`))
  const imports = sources.flatMap(source => [...source.matchAll(/(?:from |require\(|import\()'([^'.][^']*)'/g)])
  const specifiers = imports.map(match => match[1]!)
  const packages = new Set(specifiers.filter(specifier => !isBuiltin(specifier)))
  t.strictSame([...packages].sort(), [...Object.keys(dependencies), ...Object.keys(peerDependencies)].sort())
})

t.test('no package runs anything when it is installed, and the licenses are permissive', async t => {
  const running = locked.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => path)
  t.strictSame(running, ['node_modules/esbuild'], 'one for development, which package.json says not to run')
  t.strictSame(manifest.allowScripts, { esbuild: false })
  for (const [path, { license, integrity }] of tree) {
    t.match(license, /^(0BSD|Apache-2\.0|BlueOak-1\.0\.0|BSD-[23]-Clause|ISC|MIT)$/, path)
    t.match(integrity, /^sha512-/, `${path} is known by its hash`)
    const { scripts = {}, gypfile } = JSON.parse(read(`${path}/package.json`))
    t.notMatch(Object.keys(scripts).join(' '), /\b(pre|post)?install\b/, path)
    t.notOk(gypfile || (await filesIn(join(project, path))).some(file => file.endsWith('.gyp')), `${path} builds nothing`)
  }
})
