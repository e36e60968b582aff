import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { loadCheck } from '../../../lib/options/load-check.js'

const fixtures = join(process.cwd(), 'test', 'fixtures')
const load = (specifier: string, timeout = 10_000): Promise<() => unknown> => loadCheck(specifier, 'ready', join(fixtures, 'healthz'), timeout) as any

t.test('named and default exports of ESM and CommonJS load from a file, a package and a URL', async t => {
  t.equal((await load('./esm.mjs'))(), 'esm default')
  t.equal((await load('./esm.mjs#'))(), 'esm default')
  t.equal((await load('./esm.mjs#default'))(), 'esm default')
  t.same(await (await load('./esm.mjs#liveness')).call('this' as any), ['this', 'esm'])
  t.equal((await load('./cjs.cjs#readiness'))(), 'cjs readiness')
  t.equal((await load('./transpiled.cjs'))(), 'transpiled default')
  t.equal((await load('./transpiled.cjs#named'))(), 'transpiled named')
  t.equal((await load('import-only/checks#liveness'))(), 'import-only')
  t.equal((await load('required'))(), 'required')
  t.equal((await load(pathToFileURL(join(fixtures, 'cjs.cjs')) + '#liveness'))(), 'cjs liveness')
  t.equal((await load(pathToFileURL(join(fixtures, 'cjs.cjs')) + '?v=1#liveness'))(), 'cjs liveness')
  t.equal((await load(join(fixtures, 'esm.mjs'), 0))(), 'esm default')
})

t.test('a module that cannot be loaded is an error with its cause', async t => {
  await t.rejects(load('./missing.mjs#x'), {
    code: 'HEALTHZ_ERR_CHECK_LOAD',
    message: /^Could not load `\.\/missing\.mjs#x` \(option `ready`\): Cannot find module/,
    cause: { message: /Cannot find module/ }
  })
  await t.rejects(load('no-such-package#x'), { code: 'HEALTHZ_ERR_CHECK_LOAD', message: /Cannot find package 'no-such-package'/ })
  await t.rejects(load('import-only/hidden'), { code: 'HEALTHZ_ERR_CHECK_LOAD', message: /hidden/ })
  await t.rejects(load('./throws.mjs'), { code: 'HEALTHZ_ERR_CHECK_LOAD', message: /broken at the top$/ })
  await t.rejects(load('./throws-null.mjs'), { code: 'HEALTHZ_ERR_CHECK_LOAD', message: /: `null`$/ })
})

t.test('an error whose message throws, and an export whose getter throws, are reported as the cause', async t => {
  const folder = t.testdir({
    'error.cjs': "throw Object.defineProperty(new Error(), 'message', { get () { throw new Error('oops') } })",
    'export.cjs': "module.exports = { get x () { throw new Error('oops') } }"
  })
  await t.rejects(load(join(folder, 'error.cjs')), { code: 'HEALTHZ_ERR_CHECK_LOAD', message: / \(option `ready`\): / })
  await t.rejects(load(join(folder, 'export.cjs#x')), {
    code: 'HEALTHZ_ERR_CHECK_LOAD', message: /^Could not load .* \(option `ready`\): oops$/, cause: { message: 'oops' }
  })
})

t.test('a module that hangs at top level times out', async t => {
  await t.rejects(load('./hangs.mjs#x', 20), {
    code: 'HEALTHZ_ERR_CHECK_LOAD_TIMEOUT',
    message: 'Could not load `./hangs.mjs#x` (option `ready`) within 20 ms'
  })
})

t.test('an export that is not a function, or is a generator function, is an error', async t => {
  const file = join(t.testdir({ 'generator.cjs': 'exports.check = async function * () {}' }), 'generator.cjs')
  await t.rejects(load(`${file}#check`), {
    code: 'HEALTHZ_ERR_CHECK_EXPORT', message: `Expected \`ready\` to reference a function, but \`${file}#check\` is a generator function`
  })
  await t.rejects(load('./esm.mjs#number'), {
    code: 'HEALTHZ_ERR_CHECK_EXPORT', message: 'Expected `ready` to reference a function, but `./esm.mjs#number` is `5` (number)'
  })
  for (const specifier of ['./esm.mjs#missing', './cjs.cjs#toString', './esm.mjs#toString', './cjs.cjs#__proto__']) {
    await t.rejects(load(specifier), { code: 'HEALTHZ_ERR_CHECK_EXPORT', message: /is `undefined`$/ })
  }
  await t.rejects(load('./cjs.cjs'), { code: 'HEALTHZ_ERR_CHECK_EXPORT', message: /\(object\)$/ })
})
