import { runInNewContext } from 'node:vm'
import t from 'tap'
import { expectBoolean, expectMs, expectRecord, MAX_MS, reading, refuse, refuseUnknown } from '../lib/refusal.js'

const INVALID = 'HEALTHZ_ERR_OPTION_INVALID'
const cause = new Error('oops')
const oops = () => { throw cause }

t.test('a refusal names the option, what was expected and what came', async t => {
  t.throws(() => refuse('listen.port', 'a port', '80'), { code: INVALID, message: "Expected `listen.port` to be a port, got `'80'` (string)" })
})

t.test('an unknown option is refused by its name, with those that may be shown', async t => {
  const known = ['a', 'b', 'hidden']
  t.doesNotThrow(() => refuseUnknown('x.', { hidden: 1, a: undefined }, known))
  const refusal = (name: string, shown: string) => ({ code: 'HEALTHZ_ERR_OPTION_UNKNOWN', message: `Unknown option \`${name}\`: expected one of ${shown}` })
  t.throws(() => refuseUnknown('x.', { a: 1, c: undefined }, known), refusal('x.c', '`a`, `b`, `hidden`'))
  t.throws(() => refuseUnknown('', { hidden: 1, c: 1 }, known, ['a', 'b']), refusal('c', '`a`, `b`'))
  t.throws(() => refuseUnknown('', JSON.parse('{"__proto__":1}'), known, ['a']), refusal('__proto__', '`a`'))
})

t.test('a boolean is true or false, and nothing else that is as good as one', async t => {
  t.equal(expectBoolean('x', true), true)
  t.equal(expectBoolean('x', false), false)
  for (const wrong of [undefined, null, 0, 1, '', 'true', Object(false)]) {
    t.throws(() => expectBoolean('x', wrong), { code: INVALID, message: /^Expected `x` to be a boolean, got `/ })
  }
})

t.test('a time is a whole number of milliseconds, from a minimum to the longest that a timer of Node\'s takes', async t => {
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

  t.test('is nothing else, not even what has no names that would go unseen', async t => {
    class Options { a = 1 }
    const others = [
      undefined, null, 5, 'text', [], [{ a: 1 }], new Options(), new Map(), new Date(0), Object.create({ a: 1 }), () => {},
      runInNewContext('[]'), runInNewContext('new (class {})()'), new Proxy([], {})
    ]
    for (const other of others) t.throws(() => read(other), { code: INVALID, message: /^Expected `x` to be an object of things, got `/ })
    t.throws(() => read(new Options()), { message: 'Expected `x` to be an object of things, got `Options { a: 1 }` (object)' })
  })

  t.test('is called the options, when it is all of them', async t => {
    t.throws(() => expectRecord('', [], expected), { code: INVALID, message: 'Expected `options` to be an object of things, got `[]` (array)' })
  })

  t.test('is given back as another one, of which no name is lost or looked up on a prototype', async t => {
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

  t.test('is refused by the name of what throws when it is read', async t => {
    const refusal = (option: string) => ({ code: INVALID, message: `Expected \`${option}\` to be readable, got an error: oops`, cause })
    const getter = Object.defineProperty({ a: 1 }, 'b', { get: oops, enumerable: true })
    t.throws(() => read(getter), refusal('x.b'))
    t.throws(() => expectRecord('', getter, expected), refusal('b'))
    t.throws(() => read(new Proxy({ a: 1 }, { get: oops })), refusal('x.a'))
    for (const trap of ['getPrototypeOf', 'ownKeys', 'getOwnPropertyDescriptor'] as const) {
      const hostile = new Proxy({ a: 1 }, { [trap]: oops })
      t.throws(() => read(hostile), refusal('x'), trap)
      t.throws(() => expectRecord('', hostile, expected), refusal('options'), trap)
    }
    const { proxy, revoke } = Proxy.revocable({}, {})
    revoke()
    t.throws(() => read(proxy), { code: INVALID, message: /^Expected `x` to be readable, got an error: .* revoked/ })
  })
})

t.test('what reads an option gives back what it read, or refuses the option with the cause', async t => {
  const value = {}
  t.equal(reading('x', () => value), value)
  t.throws(() => reading('x', oops), { code: INVALID, message: 'Expected `x` to be readable, got an error: oops', cause })
  // eslint-disable-next-line no-throw-literal
  t.throws(() => reading('x', () => { throw 'oops' }), { code: INVALID, message: "Expected `x` to be readable, got an error: `'oops'` (string)", cause: 'oops' })
})
