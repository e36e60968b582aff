import neostandard from 'neostandard'

// The rooms of `lib/` from top to bottom: a file or a folder imports only what stands below it.
const ORDER = [
  'index', 'plugin', 'listener', 'routes', 'quiet-logger', 'details', 'decorator', 'shutdown', 'options', 'specifier', 'events', 'log',
  'problem', 'context', 'connections', 'check-options', 'route-options',
  'registry', 'probe', 'lifecycle', 'verdict', 'check', 'news', 'run', 'turn', 'result',
  'time', 'refusal', 'errors'
]
// What is loaded without the plugin. The plugin doesn't import it, and it imports only what stands at the bottom.
const APART = ['checks', 'prometheus', 'probe-cli']
const BOTTOM = ['time', 'refusal', 'errors']

const KNOW_NOTHING_OF_FASTIFY = ['registry', 'probe', 'lifecycle', 'verdict', 'check', 'news', 'run', 'turn', 'result']

const ONE_WAY = 'Imports run one way, from index down to errors: see eslint.config.mjs.'
const restrict = (...patterns) => ({ 'no-restricted-imports': ['error', { patterns }] })

function imports (room, below) {
  const allowed = `(?:${[room, ...below].join('|')})[./]`
  const fastify = KNOW_NOTHING_OF_FASTIFY.includes(room)
    ? [{ regex: '^@?fastify|^\\.\\./types/(?!(?:wire|healthz)\\.)', message: `${room} knows nothing of Fastify.` }]
    : []
  return [
    { files: [`lib/${room}.ts`], rules: restrict({ regex: `^\\./(?!${allowed})`, message: ONE_WAY }, ...fastify) },
    { files: [`lib/${room}/**`], rules: restrict({ regex: `^\\.\\./(?!\\.\\.|${allowed})`, message: ONE_WAY }, ...fastify) }
  ]
}

export default [
  ...neostandard({ ts: true, ignores: ['dist/**', '.tap/**'] }),
  { files: ['lib/**', 'types/**', 'scripts/**', 'bench/**'], rules: { '@stylistic/max-len': ['error', { code: 140 }] } },
  // A TypeBox schema and its type share a name.
  { files: ['types/wire.ts'], rules: { '@typescript-eslint/no-redeclare': 'off' } },
  // A file that has no place in the order yet.
  { files: ['lib/**'], rules: restrict({ regex: '^\\.', message: ONE_WAY }) },
  ...ORDER.flatMap((room, place) => imports(room, ORDER.slice(place + 1))),
  ...APART.flatMap(room => imports(room, BOTTOM))
]
