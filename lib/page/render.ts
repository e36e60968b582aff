import { createHash } from 'node:crypto'
import { seconds } from '../clock.js'
import { truncate } from '../truncate.js'
import { Html, html } from './html.js'
import { SCRIPT } from './script.js'
import type { CheckStatus, ProbeStatus, Status } from './status.js'
import { STYLE } from './style.js'
import type { Transition } from './history.js'

/** Limits in bytes, so that the page is below 40 KiB. */
const LIMITS = {
  probes: 26_000,
  /** Checks that pass are shortened when no more is left. */
  shorten: 12_000,
  changes: 6000
}
/** Of a title in the list of changes. */
const MAX_CHANGE_BYTES = 120
/** For the end of a section. */
const RESERVE = 150
/** Of a check. A longer one is shortened. */
const MAX_ROW = 4000
/** How many are named. */
const MAX_HOLDS = 5
const REFRESH_S = 5

/** An outcome is never told by its colour alone. */
const SIGNS: Readonly<Record<string, string>> = { pass: '✓', warn: '!', fail: '✕', unknown: '?' }
/** The rows of the strip. A failure is a tall mark, so that it shows without colours. */
const HEIGHTS: Readonly<Record<string, number>> = { pass: 4, warn: 8, fail: 14 }

const sha256 = (text: string) => `'sha256-${createHash('sha256').update(text).digest('base64')}'`

export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'", `style-src ${sha256(STYLE)}`, `script-src ${sha256(SCRIPT)}`, "connect-src 'self'", 'img-src data:',
  "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'"
].join('; ')

/** @param events the URL of the updates, relative to the page's */
export function renderPage (status: Status, events: string): string {
  return html`<!doctype html>
<html lang="en" data-events="${events}">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex">
<title>${SIGNS[worst(status)]} ${status.service}</title>
<link rel="icon" href="data:,">
<noscript><meta http-equiv="refresh" content="${REFRESH_S}"></noscript>
<style>${new Html(STYLE)}</style>
</head>
<body>
<main>${new Html(renderMain(status))}</main>
<footer><span id="live">Refreshes every ${REFRESH_S} s</span></footer>
<script>${new Html(SCRIPT)}</script>
</body>
</html>
`.text
}

/** What changes. */
export function renderMain (status: Status): string {
  const { service, pid, state, at, uptimeMs, bootMs, holds, probes, transitions } = status
  const outcome = worst(status)
  const sections: Html[] = []
  let left = LIMITS.probes
  for (const probe of probes) {
    const section = renderProbe(probe, at, left)
    if (section.bytes > left) break
    left -= section.bytes
    sections.push(section)
  }
  const omitted = probes.length - sections.length
  const facts = [
    fact('state', state),
    fact('up', duration(uptimeMs)),
    fact('pid', pid),
    ...bootMs === null ? [] : [fact('booted in', seconds(bootMs))],
    fact('at', clock(at, at))
  ]
  const held = holds.slice(0, MAX_HOLDS).map(({ name, heldMs }) => html`<li><bdi>${name}</bdi> for ${duration(heldMs)}</li>`)
  const changes = transitions.map(transition => renderTransition(transition, at))
  return html`
<header class="${outcome}"><b class="outcome">${SIGNS[outcome]} ${outcome}</b><h1>${service}</h1><dl>${facts}</dl></header>
${held.length > 0 && html`<h2 class="small">Held by</h2><ul>${held}</ul>`}${holds.length > MAX_HOLDS && html`<p class="dim">and others</p>`}
${changes.length > 0 && html`<h2 class="small">Last change</h2><ul class="log">${changes[0]}</ul>`}
${sections}${omitted > 0 && html`<p class="dim">and ${omitted} more probes, none of them worse</p>`}
<h2 class="small">Changes</h2>
${changes.length === 0 && html`<p class="dim">None since the start</p>`}<ul class="log">${fitting(changes, LIMITS.changes)}</ul>
`.text
}

/** As many of them as fit in so many bytes. */
function fitting (rows: readonly Html[], limit: number): Html[] {
  let bytes = 0
  return rows.filter(row => (bytes += row.bytes) <= limit)
}

function renderTransition ({ at, what, from, to, lastedMs, title }: Transition, now: number): Html {
  const tone = to in SIGNS ? to : 'unknown'
  return html`
<li class="${tone}"><time datetime="${new Date(at).toISOString()}">${clock(at, now)}</time><bdi>${what}</bdi>
<span class="outcome">${SIGNS[to]} ${to}</span>
<span>${title !== undefined && html`<bdi>${truncate(title, MAX_CHANGE_BYTES)}</bdi>`}
${from !== 'unknown' && html`<span class="dim">after ${duration(lastedMs)} of ${from}</span>`}</span></li>`
}

/** `pass` only while it serves: an app that drains is about to go. */
function worst ({ probes, state }: Status): string {
  const outcomes = new Set<string>(probes.flatMap(({ outcome, checks }) => [outcome, ...checks.map(({ outcome }) => outcome)]))
  return ['fail', 'warn', ...state === 'serving' ? ['pass'] : []].find(outcome => outcomes.has(outcome)) ?? 'unknown'
}

/** @param limit in bytes, which the rows keep as far as they can */
function renderProbe ({ name, outcome, since, checks }: ProbeStatus, now: number, limit: number): Html {
  const head = html`
<section><h2 class="${outcome}"><span>${name}</span><span class="outcome">${SIGNS[outcome]} ${outcome}</span>
${outcome === 'unknown' ? html`<span class="dim">not called yet</span>` : lasting(since, now)}</h2>`
  let left = limit - head.bytes - RESERVE
  const rows: Html[] = []
  for (const check of checks) {
    let row = renderCheck(check, now, check.outcome === 'pass' && left < LIMITS.shorten)
    if (row.bytes > Math.min(left, MAX_ROW)) row = renderCheck(check, now, true)
    if (row.bytes > left) break
    left -= row.bytes
    rows.push(row)
  }
  const others = checks.slice(rows.length)
  const failing = others.filter(({ outcome }) => outcome === 'fail').length
  return html`${head}<ul>${rows}</ul>${
    others.length > 0 && html`<p class="dim">and ${others.length} more checks, ${failing} of them failing</p>`}</section>`
}

function renderCheck (check: CheckStatus, now: number, short: boolean): Html {
  const { name, outcome, title, since, durationMs, checkedAt, p50, p99, data = {} } = check
  const figures = durationMs === undefined
    ? []
    : [
        fact('last', `${milliseconds(durationMs)}, ${duration(now - Date.parse(checkedAt!))} ago`),
        ...p50 === undefined ? [] : [fact('p50', milliseconds(p50)), fact('p99', milliseconds(p99!))]
      ]
  const reported = Object.entries(data).map(([key, value]) => fact(key, String(value)))
  return html`
<li class="check ${outcome}"><span class="name">${name}</span>
<span class="outcome">${SIGNS[outcome]} ${outcome} ${lasting(since, now)}</span>
<div class="body">${title !== undefined && html`<bdi>${title}</bdi>`}
${!short && figures.length > 0 && html`<dl>${figures}</dl>`}
${!short && reported.length > 0 && html`<dl class="data">${reported}</dl>`}</div>
${!short && strip(check)}</li>`
}

/** The last hour: marks by outcome, and the durations as a line. */
function strip ({ outcomes, longestMs }: CheckStatus): Html {
  const paths = Object.entries(HEIGHTS).map(([outcome, height]) => {
    let marks = ''
    for (let i = 0; i < outcomes.length; i++) {
      if (outcomes[i] !== outcome) continue
      let end = i
      while (outcomes[end + 1] === outcome) end++
      marks += `M${i} ${20 - height / 2}h${end - i + 1}`
      i = end
    }
    return marks === '' ? html`` : html`<path class="${outcome}" stroke-width="${height}" d="${marks}"/>`
  })
  const most = Math.max(1, ...longestMs)
  // A gap where there was no run.
  const line = longestMs.map((ms, i) => {
    if (outcomes[i] === null) return ''
    return `${i > 0 && outcomes[i - 1] !== null ? 'L' : 'M'}${i} ${Math.round(11 - ms / most * 10)}h1`
  }).join('')
  const failed = outcomes.filter(outcome => outcome === 'fail').length
  const label = `The last hour: failed in ${failed} minutes, slowest run ${milliseconds(Math.max(0, ...longestMs))}`
  return html`<svg viewBox="0 0 60 20" preserveAspectRatio="none" role="img"><title>${label}</title>${paths}
<path class="line" d="${line}"/></svg>`
}

const fact = (name: string, value: string | number) => html`<div><dt>${name}</dt><dd><bdi>${value}</bdi></dd></div>`
const lasting = (since: number | undefined, now: number) => {
  return since !== undefined && html`<span class="dim">for ${duration(now - since)}</span>`
}
/** In UTC, with the day if that isn't the last one. */
const clock = (time: number, now: number) => {
  const text = new Date(time).toISOString()
  return now - time < 86_400_000 ? `${text.slice(11, 19)}Z` : `${text.slice(5, 10)} ${text.slice(11, 16)}Z`
}
function milliseconds (ms: number): string {
  if (ms >= 1000) return seconds(ms)
  return ms < 0.1 ? '< 0.1 ms' : `${Number(ms.toPrecision(2))} ms`
}

/** Rounded to what matters. */
function duration (ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000))
  if (s < 60) return `${s} s`
  if (s < 3600) return `${Math.floor(s / 60)} min`
  if (s < 172_800) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`
  return `${Math.floor(s / 86_400)} d`
}
