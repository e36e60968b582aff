import neostandard from 'neostandard'

export default [
  ...neostandard({ ts: true, ignores: ['dist/**', '.tap/**'] }),
  { files: ['lib/**', 'types/**', 'scripts/**', 'bench/**'], rules: { '@stylistic/max-len': ['error', { code: 140 }] } },
  // A TypeBox schema and its type share a name.
  { files: ['types/wire.ts'], rules: { '@typescript-eslint/no-redeclare': 'off' } }
]
