import t from 'tap'
import { readChecks, readNamedCheck } from '../../../lib/options/check-options.js'

const fn = () => {}
const NONE = { interval: undefined, retryInterval: undefined, failureThreshold: undefined, successThreshold: undefined }
const defaults = { probe: 'ready', timeout: 800, critical: true, maxAge: 0, ...NONE }
const read = (checks: unknown) => readChecks('ready', checks, 800)

t.test('checks are one or several by name, each a function, a specifier, or an object with one of them', async t => {
  t.strictSame(read(fn), [{ ...defaults, name: 'default', option: 'ready', check: fn }])
  t.strictSame(read('./a.js'), [{ ...defaults, name: 'default', option: 'ready', check: './a.js' }])
  t.strictSame(read({}), [])
  t.strictSame(read({ database: fn, disk: './disk.js#free', cache: { check: fn, timeout: 5, critical: false, maxAge: 7 }, slow: { check: './s.js', interval: 9, retryInterval: 3, failureThreshold: 2, successThreshold: 4 } }), [
    { ...defaults, name: 'database', option: 'ready.database', check: fn },
    { ...defaults, name: 'disk', option: 'ready.disk', check: './disk.js#free' },
    { ...defaults, name: 'cache', option: 'ready.cache', check: fn, timeout: 5, critical: false, maxAge: 7 },
    { ...defaults, name: 'slow', option: 'ready.slow', check: './s.js', interval: 9, retryInterval: 3, failureThreshold: 2, successThreshold: 4 }
  ])
  t.strictSame(readNamedCheck('ready', 'x', { check: fn, timeout: undefined, critical: undefined }, 300),
    { ...defaults, timeout: 300, name: 'x', option: 'ready.x', check: fn })
  t.strictSame(readChecks('probes.deep', fn, 800, '', 'deep'), [{ ...defaults, probe: 'deep', name: 'default', option: 'probes.deep', check: fn }])
})

t.test('a refusal names the check, what was expected and what came', async t => {
  class Service { check () {} }
  function * generator () {}
  const check = 'a check (a function or a module specifier)'
  const names = 'an object of checks whose names match [A-Za-z0-9._-]{1,63} and are neither . nor ..'
  const noName = (name: string) => `Expected \`ready\` to be checks by name, and \`${name}\` can't be one: give the check a name, as in \`{ database: { check, … } }\`, got`
  const cases: Array<[checks: unknown, message: string, code?: string]> = [
    [null, `Expected \`ready\` to be ${check}, an object of checks by name, got \`null\``],
    ['', "got `''` (string)"],
    [[fn], 'got `[ [Function: fn] ]` (array)'],
    [new Service(), 'got `Service {}` (object)'],
    [{ check: fn, timeout: 300 }, noName('check')],
    [{ interval: 5 }, noName('interval')],
    [{ 'a/b': fn }, `Expected \`ready\` to be ${names}, got \`'a/b'\` (string)`],
    [{ '': fn }, `Expected \`ready\` to be ${names}, got \`''\` (string)`],
    [{ '..': fn }, `Expected \`ready\` to be ${names}, got \`'..'\` (string)`],
    [{ ['x'.repeat(64)]: fn }, `Expected \`ready\` to be ${names}, got`],
    [{ a: 5 }, `Expected \`ready.a\` to be ${check}, or an object with one as \`check\`, got \`5\` (number)`],
    [{ a: {} }, `Expected \`ready.a.check\` to be ${check}, got \`undefined\``],
    [{ a: { check: { b: fn } } }, `Expected \`ready.a.check\` to be ${check}, got`],
    [generator, 'Expected `ready` to be a function that is not a generator, got `[GeneratorFunction: generator]` (function)'],
    [{ a: async function * () {} }, 'Expected `ready.a` to be a function that is not a generator, got `[AsyncGeneratorFunction: a]` (function)'],
    [{ a: { check: generator } }, 'Expected `ready.a.check` to be a function that is not a generator, got'],
    [{ a: { check: fn, timeout: 0 } }, 'Expected `ready.a.timeout` to be an integer >= 1, got `0` (number)'],
    [{ a: { check: fn, timeout: null } }, 'Expected `ready.a.timeout` to be an integer >= 1, got `null`'],
    [{ a: { check: fn, critical: 'no' } }, "Expected `ready.a.critical` to be a boolean, got `'no'` (string)"],
    [{ a: { check: fn, maxAge: -1 } }, 'Expected `ready.a.maxAge` to be an integer >= 0, got `-1` (number)'],
    [{ a: { check: fn, interval: Infinity } }, 'Expected `ready.a.interval` to be an integer >= 1, got `Infinity` (number)'],
    [{ a: { check: fn, interval: 1, maxAge: 0 } }, 'Expected `ready.a.maxAge` to be omitted with `interval`, got `0` (number)'],
    [{ a: { check: fn, retryInterval: 5 } }, 'Expected `ready.a.retryInterval` to be omitted without `interval`, got `5` (number)'],
    [{ a: { check: fn, interval: 5, retryInterval: 0 } }, 'Expected `ready.a.retryInterval` to be an integer >= 1, got `0` (number)'],
    [{ a: { check: fn, failureThreshold: 0 } }, 'Expected `ready.a.failureThreshold` to be an integer >= 1, got `0` (number)'],
    [{ a: { check: fn, failureThreshold: 1.5 } }, 'Expected `ready.a.failureThreshold` to be an integer >= 1, got `1.5` (number)'],
    [{ a: { check: fn, successThreshold: '2' } }, "Expected `ready.a.successThreshold` to be an integer >= 1, got `'2'` (string)"],
    [{ successThreshold: 2 }, noName('successThreshold')],
    [{ a: { check: fn, tiemout: 5 } }, 'Unknown option `ready.a.tiemout`: expected one of `check`, `timeout`, `critical`, `maxAge`, `interval`, ' +
      '`retryInterval`, `failureThreshold`, `successThreshold`', 'HEALTHZ_ERR_OPTION_UNKNOWN']
  ]
  for (const [checks, message, code = 'HEALTHZ_ERR_OPTION_INVALID'] of cases) {
    try {
      read(checks)
      t.fail('was not refused: ' + message)
    } catch (error: any) {
      t.equal(error.code, code)
      t.ok(error.message.includes(message), message, { got: error.message })
    }
  }
  t.throws(() => readNamedCheck('ready', 5 as any, fn, 800), { message: `Expected \`ready\` to be ${names}, got \`5\` (number)` })
})
