import { createContext, runInContext } from 'node:vm'
import t from 'tap'
import { readData } from '../../../lib/engine/data.js'

const bytes = (value: unknown) => Buffer.byteLength(JSON.stringify(value))
const fails = (): never => { throw new Error('secret') }

t.test('numbers, strings, booleans and null are copied', async t => {
  const given = { free: 0.42, total: 100, name: 'größe', full: false, since: null }
  const { data, dropped } = readData(given)
  t.strictSame(data, given)
  t.not(data, given)
  t.ok(Object.isFrozen(data))
  t.equal(dropped, undefined)
  t.strictSame(readData(Object.assign(Object.create(null), { a: 1 })), { data: { a: 1 } })
  t.strictSame(readData(runInContext('({ a: 1 })', createContext({}))), { data: { a: 1 } }, 'of another realm')
  t.strictSame(readData(JSON.parse('{"__proto__":1}')).data, JSON.parse('{"__proto__":1}'))
})

t.test('undefined values are absent, and nothing is no data', async t => {
  t.strictSame(readData({ idle: undefined, total: 1 }), { data: { total: 1 } })
  t.strictSame(readData({ idle: undefined }), {})
  t.strictSame(readData({}), {})
})

t.test('anything but a plain object is dropped', async t => {
  const revoked = Proxy.revocable({}, {})
  revoked.revoke()
  for (const given of [
    null, 5, 'free', true, Symbol('x'), () => {}, [1], new Map([['a', 1]]), new Date(), new (class { free = 1 })(), Promise.resolve(1),
    revoked.proxy, new Proxy({}, { ownKeys: fails }), new Proxy({}, { getPrototypeOf: fails })
  ]) t.strictSame(readData(given), { dropped: 'not a plain object' })
})

t.test('an invalid value is dropped by its name and type, without its value', async t => {
  const given = { a: 1, rows: ['secret'], b: { secret: 1 }, c: () => 'secret' }
  t.strictSame(readData(given), { data: { a: 1 }, dropped: 'rows (object), b (object), c (function)' })
  t.strictSame(readData({ a: NaN, b: -Infinity, c: 5n }), { dropped: 'a (NaN), b (-Infinity), c (bigint)' })
  t.strictSame(readData({ a: Symbol('secret'), b: new Date(), toJSON: () => 'secret', d: [], e: [] }),
    { dropped: 'a (symbol), b (object), toJSON (function) and 2 more' })
  t.strictSame(readData({ ['x'.repeat(5000)]: NaN, '💔"\n': NaN }), { dropped: `${'x'.repeat(60)}… (NaN), 💔"\n (NaN)` })
})

t.test('a getter or a trap that throws costs its own entry only, and each is read once', async t => {
  let reads = 0
  t.strictSame(readData({ get a () { return ++reads }, get b () { return fails() }, c: 3 }), { data: { a: 1, c: 3 }, dropped: 'b (threw)' })
  t.strictSame(readData(new Proxy({ a: 1, b: 2 }, { get: fails })), { dropped: 'a (threw), b (threw)' })
  t.strictSame(readData(new Proxy({ a: 1 }, {})), { data: { a: 1 } })
  t.equal(reads, 1)
})

t.test('there are at most 20 keys', async t => {
  const given = Object.fromEntries(Array.from({ length: 25 }, (_, i) => [`k${i}`, i]))
  const { data, dropped } = readData({ none: undefined, nan: NaN, ...given })
  t.strictSame(Object.keys(data!), Object.keys(given).slice(0, 20))
  t.equal(dropped, 'nan (NaN), k20 (over 20 keys), k21 (over 20 keys) and 3 more')
})

t.test('there is at most 1 KiB of JSON, counted in bytes', async t => {
  for (const unit of ['x', 'ß', '"', '\n', '💔', '\ud800']) {
    const [one, none] = [bytes(unit) - bytes(''), bytes({ a: 1, text: '', b: true })]
    const count = Math.floor((1024 - none) / one)
    const fits = { a: 1, text: unit.repeat(count), b: true }
    t.strictSame(readData(fits), { data: fits }, unit)
    t.ok(bytes(fits) > 1024 - one && bytes(fits) <= 1024)
    const { data, dropped } = readData({ a: 1, b: true, text: unit.repeat(count + 1) })
    t.strictSame([data, dropped], [{ a: 1, b: true }, 'text (over 1024 bytes)'], 'what fits besides is kept')
  }
  t.strictSame(readData({ text: 'x'.repeat(10 ** 7), b: true }), { data: { b: true }, dropped: 'text (over 1024 bytes)' })
  t.match(readData({ ['x'.repeat(10 ** 7)]: 1 }), { dropped: / \(over 1024 bytes\)$/ })
})

t.test('of a huge object the first hundred keys are read', async t => {
  let read = 0
  const given = Object.defineProperties({}, Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => {
    return [`key${i}`, { enumerable: true, get () { read++; return i } }]
  })))
  const { data, dropped } = readData(given)
  t.equal(read, 100)
  t.equal(Object.keys(data!).length, 20)
  t.equal(dropped, 'key20 (over 20 keys), key21 (over 20 keys), key22 (over 20 keys) and 9977 more')
  const absent = Object.fromEntries(Array.from({ length: 200 }, (_, i) => [`key${i}`, undefined]))
  t.strictSame(readData(absent), { dropped: '100 more' })
})
