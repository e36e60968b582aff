import t from 'tap'
import { body, headersOf, titleOf } from '../../../lib/http/problem.js'
import { truncate } from '../../../lib/truncate.js'
import { PASS } from '../../../lib/engine/aggregate.js'

t.test('a body has the status and the title, and nothing else', async t => {
  t.equal(body(PASS), '{"status":200,"title":"OK"}')
  t.equal(body({ status: 503, title: 'a "quoted" title\n' }), '{"status":503,"title":"a \\"quoted\\" title\\n"}')
})

t.test('a title that just fits is left whole, and one byte more is cut', async t => {
  const room = 10 * 1024 - 1 - '{"status":503,"title":""}'.length
  const whole = 'x'.repeat(room)
  t.ok(body({ status: 503, title: whole }) === `{"status":503,"title":"${whole}"}`)
  const cut = body({ status: 503, title: whole + 'x' })
  t.equal(Buffer.byteLength(cut), 10 * 1024 - 1)
  t.ok(cut.endsWith('x…"}'))
})

t.test('a body stays below 10 KiB and well-formed whatever the title is made of', async t => {
  for (const character of ['x', '"', '\0', '\r\n', 'é', '€', '😀', '\ud800', '\u2028']) {
    for (const length of [100, 2_000, 10_000, 10_000_000]) {
      const title = character.repeat(length / character.length)
      const bytes = body({ status: 500, title })
      t.ok(Buffer.byteLength(bytes) < 10 * 1024)
      const sent = JSON.parse(Buffer.from(bytes).toString()).title
      t.ok(sent === title || (sent.endsWith('…') && title.startsWith(sent.slice(0, -1))), 'it is the title, or its beginning')
    }
  }
})

t.test('an operator sees the checks, each with a title that is cut as well', async t => {
  const times = { durationMs: 1, checkedAt: '2026-01-01T00:00:00.000Z' }
  const checks = Object.fromEntries([
    ['__proto__', { status: 'pass', ...times }], ['b', { status: 'fail', title: 'x'.repeat(1_000_000), ...times }]
  ] as const)
  const bytes = body({ status: 503, title: 'b', checks })
  t.match(bytes, /^\{"status":503,"title":"b","checks":\{"__proto__":\{"status":"pass","durationMs":1,"checkedAt":"2026/)
  t.ok(bytes.length < 12_000 && JSON.parse(bytes).checks.b.title.endsWith('x…'))
})

t.test('the title of an answer is the one in its body', async t => {
  for (const title of ['OK', 'x'.repeat(20_000), '\0'.repeat(20_000)]) {
    t.equal(titleOf({ status: 503, title }), JSON.parse(body({ status: 503, title })).title)
  }
})

t.test('a cut text takes what there is room for, but for the last character', async t => {
  for (const characters of ['x', '"', '\0', 'é', '€', '😀', 'a"', '\0a', 'a' + '😀'.repeat(9), 'é😀"€', '\ud83d', '\udc94', '😀\ud83d']) {
    const text = characters.repeat(5000)
    for (const bytes of [4, 5, 9, 64, 1000, 1023, 1024, 1025, 4999]) {
      const cut = truncate(text, bytes)
      t.ok(cut.endsWith('…') && text.startsWith(cut.slice(0, -1)))
      const size = Buffer.byteLength(JSON.stringify(cut)) - 2
      t.ok(size <= bytes && size > bytes - 12, `${JSON.stringify(characters)}: ${size} of ${bytes}`)
      t.notOk(text.codePointAt(cut.length - 2)! > 0xffff, 'no half of a character is left')
    }
  }
})

t.test('the bytes of a problem are made once', async t => {
  let reads = 0
  const problem = { status: 503, get title () { reads++; return 'x'.repeat(40_000) } }
  const first = body(problem)
  t.equal(body(problem), first)
  t.equal(titleOf(problem), JSON.parse(first).title)
  t.equal(reads, 1)
})

t.test('a refused method says which there are', async t => {
  t.equal(headersOf({ status: 405, title: '' }).allow, 'GET, HEAD')
  t.equal(headersOf({ status: 404, title: '' }).allow, undefined)
})
