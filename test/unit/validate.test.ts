import { runInNewContext } from 'node:vm'
import t from 'tap'
import { MAX_MS } from '../../lib/clock.js'
import { expectBoolean, expectMs, expectRecord, refuse, refuseUnknown } from '../../lib/validate.js'

const INVALID = 'HEALTHZ_ERR_OPTION_INVALID'

t.test('an invalid option is reported with its name, what was expected and what was received', async t => {
  t.throws(() => refuse('listen.port', 'a port', '80'), { code: INVALID, message: "Expected `listen.port` to be a port, got `'80'` (string)" })
  t.throws(() => refuse('x', 'a port', 80, '; try 81'), { code: INVALID, message: 'Expected `x` to be a port, got `80` (number); try 81' })
})

t.test('an unknown option is reported with its name and the known ones', async t => {
  const known = ['a', 'b', 'hidden']
  t.doesNotThrow(() => refuseUnknown('x.', { hidden: 1, a: undefined }, known))
  const refusal = (name: string, shown: string) => ({ code: 'HEALTHZ_ERR_OPTION_UNKNOWN', message: `Unknown option \`${name}\`: expected one of ${shown}` })
  t.throws(() => refuseUnknown('x.', { a: 1, c: undefined }, known), refusal('x.c', '`a`, `b`, `hidden`'))
  t.throws(() => refuseUnknown('', { hidden: 1, c: 1 }, known, ['a', 'b']), refusal('c', '`a`, `b`'))
  t.throws(() => refuseUnknown('', JSON.parse('{"__proto__":1}'), known, ['a']), refusal('__proto__', '`a`'))
  t.throws(() => refuseUnknown('', { c: 1 }, known, ['a'], '; try d'), refusal('c', '`a`; try d'))
})

t.test('only true and false are booleans', async t => {
  t.equal(expectBoolean('x', true), true)
  t.equal(expectBoolean('x', false), false)
  for (const wrong of [undefined, null, 0, 1, '', 'true', Object(false)]) {
    t.throws(() => expectBoolean('x', wrong), { code: INVALID, message: /^Expected `x` to be a boolean, got `/ })
  }
})

t.test('a time is an integer of milliseconds, from a minimum to the longest delay of a timer', async t => {
  for (const [ms, min] of [[0, 0], [1, 0], [1, 1], [800, 1], [MAX_MS, 1]] as const) t.equal(expectMs('x', ms, min), ms)
  t.throws(() => expectMs('x', 0, 1), { code: INVALID, message: 'Expected `x` to be an integer >= 1, got `0` (number)' })
  t.throws(() => expectMs('x', -1, 0), { code: INVALID, message: 'Expected `x` to be an integer >= 0, got `-1` (number)' })
  t.throws(() => expectMs('x', MAX_MS + 1, 1), { code: INVALID, message: 'Expected `x` to be an integer <= 2147483647, got `2147483648` (number)' })
  for (const wrong of [1.5, NaN, Infinity, '1s', '5', 5n, null, undefined, [5], { valueOf: () => 5 }]) {
    t.throws(() => expectMs('x', wrong, 1), { code: INVALID, message: /^Expected `x` to be an integer >= 1, got `/ })
  }
})

t.test('a record', async t => {
  const expected = 'an object of things'
  const read = (value: unknown) => expectRecord('x', value, expected)

  t.test('is an object literal, with a prototype or without, of any realm', async t => {
    const fn = () => {}
    t.strictSame(read({}), {})
    t.strictSame(read({ a: fn, b: undefined }), { a: fn, b: undefined })
    t.strictSame(read(Object.assign(Object.create(null), { a: fn })), { a: fn })
    t.strictSame(read(runInNewContext('({ a: 1 })')), { a: 1 })
    t.strictSame(read(new Proxy({ a: 1 }, {})), { a: 1 })
  })

  t.test('is nothing else, such as an array or an instance of a class', async t => {
    class Options { a = 1 }
    const others = [
      undefined, null, 5, 'text', [], [{ a: 1 }], new Options(), new Map(), new Date(0), Object.create({ a: 1 }), () => {},
      runInNewContext('[]'), runInNewContext('new (class {})()'), new Proxy([], {})
    ]
    for (const other of others) t.throws(() => read(other), { code: INVALID, message: /^Expected `x` to be an object of things, got `/ })
    t.throws(() => read(new Options()), { message: 'Expected `x` to be an object of things, got `Options { a: 1 }` (object)' })
  })

  t.test('is copied, including names that a prototype has', async t => {
    const given = Object.freeze(JSON.parse('{"__proto__":{"polluted":true},"constructor":1}'))
    const record = read(given)
    t.not(record, given)
    t.strictSame(Object.entries(record), [['__proto__', { polluted: true }], ['constructor', 1]])
    t.equal(Object.getPrototypeOf(record), Object.prototype)
    t.equal(record.polluted, undefined)
    const unseen = Object.defineProperty({ a: 1, [Symbol('b')]: 2 }, 'c', { value: 3, enumerable: false })
    t.strictSame(Reflect.ownKeys(read(unseen)), ['a'])
  })

  t.test('is read once', async t => {
    let reads = 0
    const { a } = read({ get a () { return ++reads } })
    t.strictSame([a, reads], [1, 1])
  })
})
