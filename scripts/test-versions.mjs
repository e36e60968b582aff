// Runs the unit and integration tests with other versions of Node.js and Fastify, each in a copy of the project with its own
// `node_modules`:
//
//   npm run test:versions                                        all versions
//   npm run test:versions -- 24/5 22/6                           two of them
//   npm run test:versions -- 22/6 test/unit/http/routes.test.ts  a single test
//
// Prints the output of the tests, and finally the result of each version.
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const FASTIFY = { 5: '^5.0.0', '5.0': '5.0.0', 6: '^6.0.0-0' }
const VERSIONS = ['20/5', '22/5', '24/5', '26/5', '22/5.0', '22/6', '26/6']

// The other tests don't depend on the versions, take minutes or need services.
const TIERS = ['--jobs=3', 'test/unit/**/*.test.ts', 'test/integration/**/*.test.ts']

const project = fileURLToPath(new URL('..', import.meta.url))
const args = process.argv.slice(2)
const chosen = args.filter(arg => /^\d+\/[\d.]+$/.test(arg))
const tests = args.filter(arg => !chosen.includes(arg))
const unknown = chosen.filter(version => !VERSIONS.includes(version))
if (unknown.length > 0) throw new Error(`Unknown version ${unknown.join(', ')}: expected one of ${VERSIONS.join(', ')}`)

const ends = []
for (const version of chosen.length > 0 ? chosen : VERSIONS) {
  const started = Date.now()
  console.log(`\n## Node ${version.replace('/', ', Fastify ')}\n`)
  ends.push({ version, ...test(...version.split('/')), seconds: Math.round((Date.now() - started) / 1000) })
}
console.log()
for (const { version, passed, node, fastify, seconds } of ends) {
  console.log(`${passed ? 'ok' : 'FAILED'} ${version}: Node ${node}, Fastify ${fastify}, ${seconds} s`)
}
if (ends.some(({ passed }) => !passed)) process.exitCode = 1

function test (node, fastify) {
  const copy = mkdtempSync(join(tmpdir(), 'fastify-healthz-versions-'))
  const bin = join(copy, 'node_modules/.bin')
  try {
    // Includes uncommitted files, and `dist/` as published, built with the newest Fastify 5.
    const list = ['ls-files', '-z', '--cached', '--others', '--exclude-standard']
    const files = execFileSync('git', list, { cwd: project, encoding: 'utf8' }).split('\0').filter(Boolean)
    for (const file of ['dist', ...files]) {
      if (existsSync(join(project, file))) cpSync(join(project, file), join(copy, file), { recursive: true })
    }
    // The package `node` contains the binary. `--legacy-peer-deps`, since no plugin accepts an alpha version of Fastify.
    execFileSync('npm', [
      'install', '--no-save', '--no-audit', '--prefer-offline', '--legacy-peer-deps', '--loglevel=error',
      `node@${node}`, `fastify@${FASTIFY[fastify]}`
    ], { cwd: copy, stdio: 'inherit' })
    const env = { ...process.env, PATH: bin + delimiter + process.env.PATH }
    const what = tests.length > 0 ? tests : TIERS
    const { status } = spawnSync('tap', ['--disable-coverage', ...what], { cwd: copy, stdio: 'inherit', env })
    const print = script => execFileSync(join(bin, 'node'), ['--print', script], { cwd: copy, encoding: 'utf8' }).trim()
    return { passed: status === 0, node: print('process.versions.node'), fastify: print("require('fastify/package.json').version") }
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}
