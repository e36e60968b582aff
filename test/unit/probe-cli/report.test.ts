import t from 'tap'
import { type Plan, readArguments } from '../../../lib/probe-cli/arguments.js'
import type { Result } from '../../../lib/probe-cli/attempt.js'
import { inJson, inWords, oneLine, reasonOf } from '../../../lib/probe-cli/report.js'

const REFUSED = 'connect ECONNREFUSED 127.0.0.1:8080'
const TARGET = 'http://127.0.0.1:8080/healthz/ready'
const planOf = (...options: string[]) => readArguments([...options, '8080'], {}) as Plan

/** What a try came to, with a body of text or of JSON. */
function result (outcome: Result['outcome'], statusText?: string, body: unknown = '', more: { error?: string, location?: string } = {}): Result {
  const { location, error } = more
  const answer = statusText === undefined
    ? undefined
    : { status: Number.parseInt(statusText), statusText, location, body: typeof body === 'string' ? body : JSON.stringify(body) }
  return { outcome, answer, error, durationMs: 1.4 }
}

t.test('the reason of a failure', async t => {
  const failure = (body: unknown) => reasonOf(result('failure', '503 Service Unavailable', body))

  t.test('is the status and the title of the problem', async t => {
    t.equal(failure({ status: 503, title: 'database: timed out' }), '503 Service Unavailable: database: timed out')
  })

  t.test('is the status alone, if the body has no title', async t => {
    for (const body of ['Not found, sorry', '', '"title"', 'null', '[]', { title: 5 }, { title: '' }]) {
      t.equal(failure(body), '503 Service Unavailable')
    }
  })

  t.test('is the error, if there is one', async t => {
    t.equal(reasonOf(result('failure', undefined, '', { error: REFUSED })), REFUSED)
    t.equal(reasonOf(result('failure', '302 Found', { title: 'moved' }, { error: 'stopped after 10 redirects' })), '302 Found: stopped after 10 redirects')
  })
})

t.test('the reason of a warning is that a redirect was not followed', async t => {
  t.equal(reasonOf(result('warning', '304 Not Modified')), '304 Not Modified: not followed, counts as healthy')
  t.equal(reasonOf(result('warning', '302 Found', { title: 'moved' }, { location: 'http://elsewhere.example/' })),
    '302 Found: not followed to http://elsewhere.example/, counts as healthy')
})

t.test('in JSON', async t => {
  const json = (result: Result, ...options: string[]) => JSON.parse(inJson(planOf(...options), result, 2, 500.6))
  const common = { url: TARGET, error: null, warning: null, tries: 2, durationMs: 501 }

  t.test('a success has no error, and the duration of all tries', async t => {
    t.strictSame(json(result('success', '200 OK', { title: 'OK' })), { ...common, healthy: true, status: 200, title: 'OK' })
  })

  t.test('a warning is healthy', async t => {
    t.strictSame(json(result('warning', '304 Not Modified')), {
      ...common, healthy: true, status: 304, title: null, warning: '304 Not Modified: not followed, counts as healthy'
    })
  })

  t.test('a failure has its reason, and with --verbose its body', async t => {
    const failure = result('failure', '503 Service Unavailable', { title: 'away' })
    const expected = { ...common, healthy: false, status: 503, title: 'away', error: '503 Service Unavailable: away' }
    t.strictSame(json(failure), expected)
    t.strictSame(json(failure, '--verbose'), { ...expected, body: '{"title":"away"}' })
  })

  t.test('without a response there is no status, title or body', async t => {
    const failure = result('failure', undefined, '', { error: REFUSED })
    t.strictSame(json(failure, '--verbose'), { ...common, healthy: false, status: null, title: null, error: REFUSED, body: null })
  })

  t.test('untrusted text is kept, on one line and escaped for a terminal', async t => {
    const title = 'two  spaces,\n\x9b31mred\x7f \u202eand\u2028back \u{e0041}'
    const failure = result('failure', '503 No', { title })
    t.equal(json(failure).title, title)
    t.match(inJson(planOf('--verbose'), failure, 1, 0), /^[ -~]+\n$/)
  })
})

t.test('in words', async t => {
  const words = (result: Result) => inWords(planOf('--verbose'), result).split('\n')

  t.test('it has the status, the body and the failing checks', async t => {
    const checks = {
      database: { status: 'fail', title: 'timed out', durationMs: 800, checkedAt: '2026-01-01T00:00:00.000Z' },
      disk: { status: 'pass', durationMs: 1, checkedAt: '2026-01-01T00:00:00.000Z' },
      cache: { status: 'warn', title: 'failed', durationMs: 1, checkedAt: '2026-01-01T00:00:00.000Z' }
    }
    const problem = { status: 503, title: 'database: timed out', checks }
    t.strictSame(words(result('failure', '503 Service Unavailable', problem)), [
      `${TARGET}: 503 Service Unavailable (1 ms)`,
      ...JSON.stringify(problem, null, 2).split('\n'),
      'fail database: timed out',
      'warn cache: failed',
      ''
    ])
  })

  t.test('a body that is not a problem is printed as received', async t => {
    t.strictSame(words(result('success', '200 OK', 'All is well.\n\x07Really.\n')), [`${TARGET}: 200 OK (1 ms)`, 'All is well.', '\\u0007Really.', ''])
    t.strictSame(words(result('success', '200 OK')), [`${TARGET}: 200 OK (1 ms)`, ''])
  })

  t.test('a body that is nested too deep to be indented is printed as received', async t => {
    for (const depth of [2000, 5000]) {
      const deep = '['.repeat(depth) + ']'.repeat(depth)
      t.strictSame(words(result('success', '200 OK', deep)), [`${TARGET}: 200 OK (1 ms)`, deep, ''])
    }
  })

  t.test('malformed checks are ignored', async t => {
    const odd = { a: null, b: 'fail', c: { status: 'warn', title: { toString: 1 } }, d: { status: ['fail'], title: 'x' }, e: { status: 'lost', title: 'x' } }
    for (const checks of [odd, null, 5, 'fail']) {
      const body = JSON.stringify({ checks }, null, 2).split('\n')
      t.strictSame(words(result('success', '200 OK', { checks })), [`${TARGET}: 200 OK (1 ms)`, ...body, ''])
    }
  })

  t.test('an error follows the status, if there is one', async t => {
    t.strictSame(words(result('failure', undefined, '', { error: REFUSED })), [`${TARGET}: ${REFUSED} (1 ms)`, ''])
    t.strictSame(words(result('failure', '302 Found', 'moved', { error: 'stopped after 10 redirects' })), [
      `${TARGET}: 302 Found: stopped after 10 redirects (1 ms)`, 'moved', ''
    ])
  })

  t.test('the title of a check is one line', async t => {
    const body = { checks: { a: { status: 'fail', title: 'x\nwarn b: y\x1b[A' } } }
    t.equal(words(result('failure', '503 No', body)).at(-2), 'fail a: x warn b: y\\u001b[A')
  })
})

t.test('a line contains no line breaks, cursor movements or changes of text direction', async t => {
  t.equal(oneLine(' two\n lines,\t\x1b[31mred\x9b\x7f \u202eand\u2028back \u{e0041} '),
    'two lines, \\u001b[31mred\\u009b\\u007f \\u202eand back \\udb40\\udc41')
})
