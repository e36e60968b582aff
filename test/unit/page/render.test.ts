import { createHash } from 'node:crypto'
import t from 'tap'
import { html } from '../../../lib/page/html.js'
import { CONTENT_SECURITY_POLICY, renderMain, renderPage } from '../../../lib/page/render.js'
import type { CheckStatus, Status } from '../../../lib/page/status.js'

const AT = Date.parse('2026-12-01T01:02:03Z')
const check = (name: string, more: Partial<CheckStatus> = {}): CheckStatus => ({
  name, outcome: 'pass', since: AT - 90_000, durationMs: 1.234, checkedAt: '', p50: 1, p99: 2000, outcomes: [], longestMs: [], ...more
})
const status = (more: Partial<Status> = {}): Status => ({
  service: 'orders', pid: 7, state: 'serving', at: AT, uptimeMs: 1, bootMs: null, holds: [], probes: [], transitions: [], ...more
})
const probe = (outcome: 'pass' | 'fail' | 'unknown', ...checks: CheckStatus[]) => ({ name: 'ready', outcome, checks })
const sign = (given: Partial<Status>) => /<title>(.)/u.exec(renderPage(status(given), 'statusz/events'))![1]

t.test('values are escaped, and what is invisible or turns the direction is shown', async t => {
  t.equal(html`<b title="${'"\'<&>'}">${'a\u202eb\u0000\n'}${undefined}${false}${0}${[html`<i>`]}</b>`.text, '<b title="&quot;&#39;&lt;&amp;&gt;">a\ufffdb\ufffd\ufffd0<i></b>')
})

t.test('no string of the service is interpreted', async t => {
  const evil = '</style><script>alert(1)</script><img src=x onerror=alert(1)>" onload="\u202e'
  const page = renderPage(status({
    service: evil,
    holds: [{ name: evil, heldMs: 1 }],
    probes: [{ name: evil, outcome: 'fail', checks: [check(evil, { outcome: 'fail', title: evil, data: { [evil]: evil } })] }],
    transitions: [{ at: AT, what: evil, from: evil, to: evil, lastedMs: 1, title: evil }]
  }), 'statusz/events')
  t.notMatch(page, '<img')
  t.notMatch(page, '\u202e')
  t.equal(page.match(/<script>/g)!.length, 1)
  t.notMatch(page, /" onload=/)
})

t.test('the hashes of the policy are those of the style and of the script', async t => {
  const page = renderPage(status(), 'statusz/events')
  for (const element of ['style', 'script']) {
    const [, text] = new RegExp(`<${element}>([^]*?)</${element}>`).exec(page)!
    t.match(CONTENT_SECURITY_POLICY, `${element}-src 'sha256-${createHash('sha256').update(text!).digest('base64')}'`)
  }
  t.match(CONTENT_SECURITY_POLICY, "frame-ancestors 'none'")
  t.notMatch(page, / style=| on\w+=/)
})

t.test('the title has the worst of all', async t => {
  t.equal(sign({ probes: [probe('pass', check('a'))] }), '✓')
  t.equal(sign({ probes: [probe('pass', check('a', { outcome: 'warn' }))] }), '!')
  t.equal(sign({ probes: [probe('fail', check('a'))] }), '✕')
  t.equal(sign({ state: 'draining', probes: [probe('pass', check('a'))] }), '?')
})

t.test('durations are rounded to what matters, and a check without runs has none', async t => {
  const text = renderMain(status({
    uptimeMs: 10 * 86_400_000,
    bootMs: 1234,
    holds: [{ name: 'job', heldMs: 7_260_000 }],
    probes: [probe('unknown', check('new', { outcome: 'unknown', since: undefined, durationMs: undefined, p50: undefined, p99: undefined }))]
  }))
  t.match(text, '<dt>up</dt><dd>10 d</dd>')
  t.match(text, 'Held by job (2 h 1 min)')
  t.match(text, '<dt>booted in</dt>')
  t.match(text, '? unknown')
  t.notMatch(text, '<dt>last</dt>')
  t.match(text, 'None since the start')
  const early = renderMain(status({ probes: [probe('pass', check('a', { p50: undefined, p99: undefined }))] }))
  t.match(early, '<dt>last</dt>', 'it ran before the page was there')
  t.notMatch(early, '<dt>p50</dt>')
  t.match(renderMain(status({ probes: [probe('pass', check('a'))] })), /for 1 min.*<dt>last<\/dt><dd>1.2 ms<\/dd>.*<dt>p99<\/dt><dd>2/s)
})

t.test('the last hour is drawn by outcome, in heights that differ, and the longest runs as a line', async t => {
  const text = renderMain(status({ probes: [probe('pass', check('a', { outcomes: ['fail', 'fail', null, 'pass'], longestMs: [10, 5, 0, 1] }))] }))
  t.match(text, '<path class="pass" stroke-width="4" d="M3 18h1"/>')
  t.match(text, '<path class="fail" stroke-width="14" d="M0 13h2"/>')
  t.match(text, 'The last hour: failed in 2 minutes, slowest run 10 ms')
  t.match(text, '<polyline points="0 1 1 7 2 12 3 11"/>')
})

t.test('a page is below 40 KiB, whatever is on it, and the worst is whole', async t => {
  const outcomes = Array.from({ length: 60 }, (_, i) => ['pass', 'fail', 'warn'][i % 3]!)
  const longestMs = Array.from({ length: 60 }, (_, i) => i * 1.5)
  const data = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`key${i}`, 'x'.repeat(30)]))
  const name = (i: number) => `${'n'.repeat(60)}${i}`
  const probes = Array.from({ length: 6 }, (_, p) => ({
    name: name(p),
    outcome: 'fail' as const,
    checks: Array.from({ length: 40 }, (_, i) => check(name(i), { outcome: i === 0 ? 'fail' : 'pass', title: 'é'.repeat(200), outcomes, longestMs, data }))
  }))
  const transitions = Array.from({ length: 50 }, () => ({ at: AT, what: name(1), from: 'pass', to: 'fail', lastedMs: 1, title: 'é'.repeat(200) }))
  const page = renderPage(status({ probes, transitions }), 'statusz/events')
  t.ok(Buffer.byteLength(page) <= 40 * 1024, `${Buffer.byteLength(page)} bytes`)
  t.match(page, /and 40 more checks, 1 of them failing/)
})
