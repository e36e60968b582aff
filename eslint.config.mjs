import neostandard from 'neostandard'

// The layers of `lib/` from top to bottom, files and directories by name. One imports only what is below it; those of one
// layer don't import each other. At the bottom are the other files of `lib/`, which everything may import.
const LAYERS = [['index'], ['plugin', 'page'], ['api', 'check-context', 'http', 'shutdown', 'watchdog'], ['telemetry'], ['options'], ['engine']]
// Entry points that are loaded without the plugin: they import the bottom alone.
const APART = ['checks', 'probe-cli']

const ONE_WAY = 'Imports run one way, from index down to errors: see eslint.config.mjs.'
const NO_FASTIFY = { regex: '^@?fastify|^(?:\\.\\./)+types/(?!(?:wire|healthz)\\.)', message: 'The engine knows nothing of Fastify.' }

const restrict = (...patterns) => ({ 'no-restricted-imports': ['error', { patterns }] })
/** Imports of one of the names; `from` is the way to `lib/`. */
const importing = (from, names) => ({ regex: `^${from.replaceAll('.', '\\.')}(?:${names.join('|')})[./]`, message: ONE_WAY })
const names = [...LAYERS.flat(), ...APART]

function imports (layer, place) {
  const below = LAYERS.slice(place + 1).flat()
  return layer.flatMap(name => {
    const others = names.filter(other => other !== name && !below.includes(other))
    return [
      { files: [`lib/${name}.ts`], rules: restrict(importing('./', others)) },
      { files: [`lib/${name}/**`], rules: restrict(importing('../', others), ...(name === 'engine' ? [NO_FASTIFY] : [])) }
    ]
  })
}

export default [
  ...neostandard({ ts: true, ignores: ['dist/**', '.tap/**'] }),
  { files: ['lib/**', 'types/**', 'scripts/**', 'bench/**'], rules: { '@stylistic/max-len': ['error', { code: 140 }] } },
  // A TypeBox schema and its type share a name.
  { files: ['types/wire.ts'], rules: { '@typescript-eslint/no-redeclare': 'off' } },
  { files: ['lib/*.ts'], rules: restrict(importing('./', names)) },
  ...LAYERS.flatMap(imports),
  ...imports(APART, LAYERS.length)
]
