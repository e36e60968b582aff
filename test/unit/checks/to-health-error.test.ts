import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { toHealthError } from '../../../lib/checks/to-health-error.js'
import { HealthError } from '../../../lib/errors.js'

const TITLES = { E_QUOTA: 'over quota', 42: 'no such table', 'The end.': 'connection lost', ECONNRESET: 'thrown out' }
const titleOf = (cause: unknown): string => toHealthError(cause, TITLES).message

t.test('the error of a socket gets a title and is the cause', async t => {
  const socket = connect(1, '127.0.0.1')
  const [cause] = await once(socket, 'error').catch(error => [error])
  const error = toHealthError(cause)
  t.type(error, HealthError)
  t.equal(error.message, 'connection refused')
  t.equal(error.cause, cause)
})

t.test('the error of a driver is identified by its code, errno or message', async t => {
  t.equal(titleOf(Object.assign(new Error('You have 5 of 4'), { code: 'E_QUOTA' })), 'over quota')
  t.equal(titleOf({ code: 42 }), 'no such table')
  t.equal(titleOf({ errno: 42, message: 'The end.' }), 'no such table')
  t.equal(titleOf(new Error('The end.')), 'connection lost')
  t.equal(titleOf({ code: 'ECONNRESET' }), 'thrown out', 'before that of the socket')
  t.equal(titleOf({ code: 'EPIPE', errno: 42 }), 'connection lost', 'the code before the others')
})

t.test('the title of an unknown error reveals nothing', async t => {
  for (const cause of [
    new Error('password of user "root" is wrong'), { code: 'SECRET' }, { code: 'toString' }, { message: '__proto__' },
    { code: null }, { code: {} }, null, undefined, 'SELECT', 5
  ]) {
    t.equal(titleOf(cause), 'failed')
    t.equal(toHealthError(cause).cause, cause)
  }
})

t.test('a HealthError is returned as it is', async t => {
  const error = new HealthError('not connected')
  t.equal(toHealthError(error), error)
})
