import { createHash } from 'node:crypto'
import t from 'tap'
import { MAX_TITLE_BYTES } from '../../../lib/page/history.js'
import { html } from '../../../lib/page/html.js'
import { CONTENT_SECURITY_POLICY, renderMain, renderPage } from '../../../lib/page/render.js'
import type { CheckStatus, Status } from '../../../lib/page/status.js'
import { truncate } from '../../../lib/truncate.js'

const AT = Date.parse('2026-12-01T01:02:03Z')
const check = (name: string, more: Partial<CheckStatus> = {}): CheckStatus => ({
  name, outcome: 'pass', since: AT - 90_000, durationMs: 1.234, checkedAt: new Date(AT - 3000).toISOString(), p50: 1, p99: 2000, outcomes: [], longestMs: [], ...more
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
  t.equal(sign({ probes: [probe('pass', check('a')), probe('unknown')] }), '✓')
  t.equal(sign({ probes: [probe('unknown', check('a', { outcome: 'unknown' }))] }), '?', 'none was called yet')
  t.equal(sign({ probes: [probe('pass', check('a', { outcome: 'warn' }))] }), '!')
  t.equal(sign({ probes: [probe('fail', check('a'))] }), '✕')
  t.equal(sign({ state: 'draining', probes: [probe('pass', check('a'))] }), '?')
  t.equal(sign({ state: 'draining', probes: [probe('fail', check('a'))] }), '✕')
})

t.test('durations are rounded to what matters, and a check without runs has none', async t => {
  const text = renderMain(status({
    uptimeMs: 10 * 86_400_000,
    bootMs: 1234,
    holds: [{ name: 'job', heldMs: 7_260_000 }],
    probes: [probe('unknown', check('new', { outcome: 'unknown', since: undefined, durationMs: undefined, p50: undefined, p99: undefined }))]
  }))
  t.match(text, '<dt>up</dt><dd><bdi>10 d</bdi></dd>')
  t.match(text, '<bdi>job</bdi> for 2 h 1 min')
  t.match(text, '<dt>booted in</dt>')
  t.match(text, '? unknown')
  t.notMatch(text, '<dt>last</dt>')
  t.match(text, 'None since the start')
  const early = renderMain(status({ probes: [probe('pass', check('a', { durationMs: 0.04, p50: undefined, p99: undefined }))] }))
  t.match(early, '<dt>last</dt><dd><bdi>&lt; 0.1 ms,', 'it ran before the page was there')
  t.notMatch(early, '<dt>p50</dt>')
  t.match(renderMain(status({ probes: [probe('pass', check('a'))] })), /for 1 min.*<dt>last<\/dt><dd><bdi>1.2 ms, 3 s ago<.*<dt>p99<\/dt><dd><bdi>2/s)
})

t.test('a change has its time, with the date if that is another day, and how long the outcome before it lasted', async t => {
  const transition = (at: number, from = 'pass') => ({ at, what: 'ready', from, to: 'fail', lastedMs: 61_000 })
  const text = renderMain(status({ transitions: [transition(AT - 1000), transition(AT - 3 * 86_400_000, 'unknown')] }))
  t.match(text, 'after 1 min of pass')
  t.notMatch(text, 'of unknown')
  t.match(text, '>01:02:02Z<')
  t.match(text, '>11-28 01:02Z<')
})

t.test('the last hour is drawn by outcome, in heights that differ, and the longest runs as a line', async t => {
  const text = renderMain(status({ probes: [probe('pass', check('a', { outcomes: ['fail', 'fail', null, 'pass'], longestMs: [10, 5, 0, 1] }))] }))
  t.match(text, '<path class="pass" stroke-width="4" d="M3 18h1"/>')
  t.match(text, '<path class="fail" stroke-width="14" d="M0 13h2"/>')
  t.match(text, 'The last hour: failed in 2 minutes, slowest run 10 ms')
  t.match(text, '<path class="line" d="M0 1h1L1 6h1M3 10h1"/>', 'with a gap where nothing ran')
})

t.test('a page is below 40 KiB, whatever is on it', async t => {
  const outcomes = Array.from({ length: 60 }, (_, i) => ['pass', 'fail', 'warn'][i % 3]!)
  const longestMs = Array.from({ length: 60 }, (_, i) => i * 1.5)
  const name = (i: number) => `${'n'.repeat(60)}${i}`
  for (const character of ['x', 'é', '"', '💔']) {
    const data = Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`key${i}`, character.repeat(20)]))
    const title = truncate(character.repeat(10_000), MAX_TITLE_BYTES)
    const transitions = Array.from({ length: 50 }, () => ({ at: AT, what: name(1), from: 'pass', to: 'fail', lastedMs: 1, title }))
    const holds = Array.from({ length: 20 }, () => ({ name: character.repeat(50), heldMs: 1 }))
    for (const [probes, checks] of [[1, 1], [1, 240], [6, 40], [200, 1]] as const) {
      for (const outcome of ['pass', 'fail'] as const) {
        const page = renderPage(status({
          holds,
          transitions,
          probes: Array.from({ length: probes }, (_, p) => ({
            name: name(p),
            outcome,
            since: AT,
            checks: Array.from({ length: checks }, (_, i) => check(name(i), { outcome, title, outcomes, longestMs, data }))
          }))
        }), 'statusz/events')
        const bytes = Buffer.byteLength(page)
        t.ok(bytes <= 40 * 1024, `${probes} probes with ${checks} checks, ${outcome}, ${character}: ${bytes} bytes`)
        t.match(page, 'class="check')
      }
    }
  }
})

t.test('of many checks the worst are whole, and the others are counted', async t => {
  const more = { outcomes: Array(60).fill('pass'), longestMs: Array(60).fill(1) }
  const checks = Array.from({ length: 300 }, (_, i) => check(`check-${i}`, { ...more, ...i === 0 && { outcome: 'fail', title: 'down' } }))
  const text = renderMain(status({ probes: [probe('fail', ...checks)] }))
  t.match(text, /check-0<.*✕ fail.*down.*<svg/s)
  t.match(text, /and \d+ more checks, 0 of them failing/)
  const probes = Array.from({ length: 300 }, (_, i) => ({ name: `probe-${i}`, outcome: 'pass' as const, checks: [] }))
  t.match(renderMain(status({ probes })), /and \d+ more probes, none of them worse/)
})
