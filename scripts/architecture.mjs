// Generates the diagram of the directories of `lib/` and their imports in docs/architecture.md:
//
//   node scripts/architecture.mjs
//   node scripts/architecture.mjs --check   fails if the diagram is out of date or if imports are circular
import { readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { cruise } from 'dependency-cruiser'

const PAGE = new URL('../docs/architecture.md', import.meta.url)
const PLACE = /(<!-- Written by `node scripts\/architecture.mjs`. -->\n)[^]*?(<!-- Up to here. -->)/

/** The modules of `lib/` with their imports, types included. Paths that `collapse` matches are merged into one module. */
async function modules (collapse) {
  const { output } = await cruise(['lib'], {
    baseDir: fileURLToPath(new URL('..', import.meta.url)),
    includeOnly: '^lib/',
    tsPreCompilationDeps: true,
    ...(collapse !== undefined && { collapse })
  })
  return output.modules
}

const directories = await modules('^lib/[^/]+/')
const circular = [...await modules(), ...directories].flatMap(({ source, dependencies }) =>
  dependencies.filter(({ circular }) => circular).map(({ resolved }) => `circular import: ${source} imports ${resolved}`))

const nameOf = path => path.replace(/^lib\/|\.ts$/g, '')
const all = directories
  .map(({ source, dependencies }) => ({ name: nameOf(source), imports: dependencies.map(({ resolved }) => nameOf(resolved)).sort() }))
  .sort((a, b) => a.name < b.name ? -1 : 1)

/**
 * Files at the top of `lib/` that import only other such files. They share one box, and only modules that import nothing
 * else have an arrow to it.
 */
const isBase = name => !name.endsWith('/') && all.find(one => one.name === name).imports.every(isBase)
// Mermaid doesn't accept a slash or a dash in an id.
const box = name => isBase(name) ? 'base' : `${name.replace(/\W/g, '_')}["${name}"]`
const arrows = all.filter(({ name }) => !isBase(name)).flatMap(({ name, imports }) => {
  const others = imports.filter(other => !isBase(other))
  return (others.length > 0 ? others : ['base']).map(other => `  ${box(name)} --> ${other === 'base' ? other : box(other)}`)
})
const base = all.map(({ name }) => name).filter(isBase).join(', ')
const drawing = ['```mermaid', 'flowchart TB', ...arrows, `  base["${base}"]`, '```', ''].join('\n')

const text = readFileSync(PAGE, 'utf8')
const drawn = text.replace(PLACE, (_all, before, after) => before + drawing + after)
if (process.argv.includes('--check')) {
  const wrong = [...circular, ...(drawn === text ? [] : ['docs/architecture.md is out of date: run node scripts/architecture.mjs'])]
  for (const line of wrong) console.error(line)
  process.exitCode = wrong.length > 0 ? 1 : 0
} else {
  writeFileSync(PAGE, drawn)
}
