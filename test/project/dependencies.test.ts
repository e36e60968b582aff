// What an installation brings along, and what docs/dependencies.md says of it.
import { readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { join } from 'node:path'
import t from 'tap'
import { namesIn, rowsIn } from '../helpers/docs.js'
import { filesIn, project } from '../helpers/package.js'

interface Locked {
  readonly license?: string
  readonly integrity?: string
  readonly hasInstallScript?: boolean
  readonly dev?: boolean
}

const read = (path: string) => readFileSync(join(project, path), 'utf8')
const manifest = JSON.parse(read('package.json'))
const dependencies = Object.keys(manifest.dependencies).sort()
const peers = Object.keys(manifest.peerDependencies).sort()
const locked = Object.entries<Locked>(JSON.parse(read('package-lock.json')).packages).filter(([path]) => path !== '')
/** Everything that is installed with the package, at any depth. */
const tree = locked.filter(([, { dev }]) => !dev)

t.test('the docs give a reason for every dependency and peer, and for no other package', async t => {
  const rows = rowsIn(read('docs/dependencies.md')).filter(([name]) => name!.startsWith('[`'))
  t.strictSame(rows.flatMap(([name]) => namesIn(name)).sort(), [...dependencies, ...peers].sort())
  for (const [name, reason] of rows) t.ok(reason!.length > 20, name!)
})

t.test('the dependencies have no dependencies', async t => {
  t.strictSame(tree.map(([path]) => path.replace(/.*node_modules\//, '')).sort(), dependencies)
  t.strictSame([manifest.optionalDependencies, manifest.bundleDependencies], [undefined, undefined])
})

t.test('the library imports its dependencies, its peers and modules of Node, and nothing else', async t => {
  const sources = (await filesIn(join(project, 'lib'))).map(file => read(`lib/${file}`))
  const imports = sources.flatMap(source => [...source.matchAll(/(?:from |require\(|import\()'([^'.][^']*)'/g)])
  const packages = new Set(imports.map(match => match[1]!).filter(specifier => !isBuiltin(specifier)))
  t.strictSame([...packages].sort(), [...dependencies, ...peers].sort())
})

t.test('no package runs a script when it is installed, each has a hash, and the licenses are permissive', async t => {
  const running = locked.filter(([, { hasInstallScript }]) => hasInstallScript).map(([path]) => path)
  t.strictSame(running, ['node_modules/@swc/core', 'node_modules/esbuild', 'node_modules/protobufjs'], 'development dependencies, which allowScripts keeps from running them')
  t.strictSame(manifest.allowScripts, { '@swc/core': false, esbuild: false, protobufjs: false })
  for (const [path, { license, integrity }] of tree) {
    t.match(license, /^(0BSD|Apache-2\.0|BlueOak-1\.0\.0|BSD-[23]-Clause|ISC|MIT)$/, path)
    t.match(integrity, /^sha512-/, path)
  }
})
