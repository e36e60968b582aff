import t from 'tap'
import type { Failure } from '../lib/check.js'
import { PASS, verdict } from '../lib/verdict.js'

const pass = { outcome: 'pass' } as const
const failed: Failure = { outcome: 'fail', reason: 'failed' }
const unexpected: Failure = { outcome: 'fail', reason: 'unexpected', error: new Error('secret') }
const said = (message: string): Failure => ({ outcome: 'fail', reason: 'failed', message })

t.test('a probe whose checks all pass, or that has none, passes', async t => {
  t.equal(verdict('ready', []), PASS)
  t.equal(verdict('ready', [['a', pass], ['b', pass]]), PASS)
  t.strictSame(PASS, { status: 200, title: 'OK' })
})

t.test('a check without a name speaks for its probe', async t => {
  t.strictSame(verdict('ready', [['default', said("Can't connect")]]), { status: 503, title: "Can't connect" })
  t.strictSame(verdict('ready', [['default', failed]]), { status: 503, title: 'The ready check failed' })
  t.strictSame(verdict('live', [['default', unexpected]]), { status: 500, title: 'The live check failed unexpectedly' })
})

t.test('a check with a name puts it in front', async t => {
  t.strictSame(verdict('ready', [['database', said("Can't connect")]]), { status: 503, title: "database: Can't connect" })
  t.strictSame(verdict('ready', [['database', failed]]), { status: 503, title: 'database: failed' })
  t.strictSame(verdict('ready', [['database', unexpected]]), { status: 500, title: 'database: failed unexpectedly' })
})

t.test('several failing checks are joined in their order, and 500 wins over 503', async t => {
  t.strictSame(verdict('ready', [['b', failed], ['ok', pass], ['a', said('away')]]), { status: 503, title: 'b: failed; a: away' })
  t.strictSame(verdict('ready', [['a', unexpected], ['b', failed]]), { status: 500, title: 'a: failed unexpectedly; b: failed' })
})

t.test('a HealthError without a message reads as a plain failure', async t => {
  t.equal(verdict('ready', [['default', said('')]]).title, 'The ready check failed')
  t.equal(verdict('ready', [['database', said('')]]).title, 'database: failed')
})
