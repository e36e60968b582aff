import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { failure } from '../../lib/checks/failure.js'
import { HealthError } from '../../lib/errors.js'

const WORDS = { E_QUOTA: 'over quota', 42: 'no such table', 'The end.': 'connection lost', ECONNRESET: 'thrown out' }
const titleOf = (cause: unknown): string => failure(cause, WORDS).message

t.test('an error of a socket has words of ours, and is the cause', async t => {
  const socket = connect(1, '127.0.0.1')
  const [cause] = await once(socket, 'error').catch(error => [error])
  const error = failure(cause)
  t.type(error, HealthError)
  t.equal(error.message, 'connection refused')
  t.equal(error.cause, cause)
})

t.test("a driver's error is known by its code, its errno, or its message", async t => {
  t.equal(titleOf(Object.assign(new Error('You have 5 of 4'), { code: 'E_QUOTA' })), 'over quota')
  t.equal(titleOf({ code: 42 }), 'no such table')
  t.equal(titleOf({ errno: 42, message: 'The end.' }), 'no such table')
  t.equal(titleOf(new Error('The end.')), 'connection lost')
  t.equal(titleOf({ code: 'ECONNRESET' }), 'thrown out', 'before that of the socket')
  t.equal(titleOf({ code: 'EPIPE', errno: 42 }), 'connection lost', 'the code before the others')
})

t.test('what is not known tells nothing', async t => {
  for (const cause of [
    new Error('password of user "root" is wrong'), { code: 'SECRET' }, { code: 'toString' }, { message: '__proto__' },
    { code: null }, { code: {} }, null, undefined, 'SELECT', 5
  ]) {
    t.equal(titleOf(cause), 'failed')
    t.equal(failure(cause).cause, cause)
  }
})

t.test('what is a HealthError already stays one', async t => {
  const error = new HealthError('not connected')
  t.equal(failure(error), error)
})
