import t from 'tap'
import { ERRORS, HealthError, healthzError, messageOf, show } from '../../lib/errors.js'

t.test('a HealthError is an Error with a message, a cause and a name', async t => {
  const cause = new Error('ECONNREFUSED')
  const error = new HealthError("Can't connect", { cause })
  t.ok(error instanceof HealthError)
  t.ok(error instanceof Error)
  t.equal(error.message, "Can't connect")
  t.equal(error.cause, cause)
  t.equal(error.name, 'HealthError')
  t.strictSame(Object.keys(error), [], 'nothing of ours is written into the log with it')
  t.match(error.stack, /^HealthError: Can't connect/)
})

t.test('a HealthError of another copy of the package is recognized', async t => {
  const path = require.resolve('../../lib/errors.js')
  const ours = require.cache[path]
  delete require.cache[path]
  t.teardown(() => { require.cache[path] = ours })
  const copy = require('../../lib/errors.js') as typeof import('../../lib/errors.js')
  t.not(copy.HealthError, HealthError)
  t.ok(new copy.HealthError('x') instanceof HealthError)
  t.ok(new HealthError('x') instanceof copy.HealthError)
})

t.test('a subclass recognizes only its own instances', async t => {
  class DatabaseError extends HealthError {}
  t.ok(new DatabaseError('x') instanceof DatabaseError)
  t.ok(new DatabaseError('x') instanceof HealthError)
  t.notOk(new HealthError('x') instanceof DatabaseError)
})

t.test('nothing else is a HealthError', async t => {
  for (const value of [undefined, null, 'HealthError', 1, {}, new Error('x'), { name: 'HealthError', message: 'x' }]) {
    t.notOk(value instanceof HealthError)
  }
})

t.test('an error of the plugin has its code, its message and its cause', async t => {
  const cause = new Error('inner')
  const error = healthzError('HEALTHZ_ERR_CHECK_LOAD', './100%s.js', 'ready', 'why', { cause })
  t.ok(error instanceof ERRORS.HEALTHZ_ERR_CHECK_LOAD)
  t.ok(error instanceof Error)
  t.equal(error.code, 'HEALTHZ_ERR_CHECK_LOAD')
  t.equal(error.message, 'Could not load `./100%s.js` (option `ready`): why')
  t.equal(error.cause, cause)
})

t.test('a value is shown with its type, on one line, without calling its getters or a custom inspection', async t => {
  t.equal(show(-5), '`-5` (number)')
  t.equal(show('yes'), "`'yes'` (string)")
  t.equal(show(null), '`null`')
  t.equal(show(undefined), '`undefined`')
  t.equal(show([1]), '`[ 1 ]` (array)')
  t.equal(show({ a: { b: { c: 1 } } }), '`{ a: { b: [Object] } }` (object)')
  t.equal(show({ get secret () { throw new Error('read') }, [Symbol.for('nodejs.util.inspect.custom')]: () => t.fail() }).includes('[Getter]'), true)
  const long = show('x'.repeat(10_000))
  t.ok(long.length < 150 && !long.includes('\n'))
  t.ok(show(Object.fromEntries(Array.from({ length: 100 }, (_, i) => ['key' + i, i]))).length < 150)
})

const oops = () => { throw new Error('oops') }
function revoked () {
  const { proxy, revoke } = Proxy.revocable({}, {})
  revoke()
  return proxy
}

t.test('a value that throws when inspected is shown by its type', async t => {
  t.equal(show(Object.defineProperty(() => {}, 'name', { get: oops })), '`function`')
  t.equal(show(revoked()), '`object`')
  // Newer versions of Node look at these more carefully, and show what they are.
  t.match(show({ get [Symbol.toStringTag] () { return oops() } }), /^`object`$|^`.*` \(object\)$/)
  t.match(show(Object.defineProperty(new Error(), 'stack', { get: oops })), /^`object`$|^`\[Error\].*` \(object\)$/)
})

t.test('the maximum length of a shown value is configurable', async t => {
  const error = new Error('x'.repeat(1000))
  t.match(show(error, 10_000), /^`Error: x{1000}\n.* {4}at .*` \(object\)$/s)
  t.match(show(error, 100), /^`Error: x{92}…` \(object\)$/)
})

t.test('the message of a thrown value is that of the error, or the value itself', async t => {
  t.equal(messageOf(new TypeError('oops')), 'oops')
  t.equal(messageOf({ message: 'oops' }), "`{ message: 'oops' }` (object)")
  t.equal(messageOf(null), '`null`')
  t.match(messageOf(Object.defineProperty(new Error(), 'message', { get: oops })), /^`/)
  t.equal(messageOf(revoked()), '`object`')
})
