import { createHash } from 'node:crypto'
import { seconds } from '../clock.js'
import { Html, html } from './html.js'
import { SCRIPT } from './script.js'
import type { CheckStatus, ProbeStatus, Status } from './status.js'
import { STYLE } from './style.js'
import type { Transition } from './history.js'

/** In bytes. Checks that pass are shortened from here on. */
const BUDGET = 14_000
/** In bytes. From here on checks are left out, of each probe the best. */
const MAX = 20_000
/** In characters, of a title in the list of changes. */
const MAX_TITLE = 80
const REFRESH_S = 5
const SHOWN_TRANSITIONS = 20

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
  let length = 0
  const sections = probes.map(probe => {
    const section = renderProbe(probe, at, length)
    length += section.bytes
    return section
  })
  const facts = [
    fact('state', state),
    fact('up', duration(uptimeMs)),
    fact('pid', pid),
    ...bootMs === null ? [] : [fact('booted in', seconds(bootMs))],
    fact('at', clock(at))
  ]
  const held = holds.map(({ name, heldMs }) => `${name} (${duration(heldMs)})`).join(', ')
  const changes = transitions.slice(0, SHOWN_TRANSITIONS).map(renderTransition)
  return html`
<header class="${worst(status)}"><b class="outcome">${SIGNS[worst(status)]}</b><h1>${service}</h1><dl>${facts}</dl></header>
${held !== '' && html`<p>Held by ${held}</p>`}
${sections}
<h3>Last changes</h3>
${changes.length > 0 ? html`<ul class="log">${changes}</ul>` : html`<p class="dim">None since the start</p>`}
`.text
}

function renderTransition ({ at, what, from, to, lastedMs, title }: Transition): Html {
  const tone = to in SIGNS ? to : 'unknown'
  return html`
<li class="${tone}"><time datetime="${new Date(at).toISOString()}">${clock(at)}</time><span>${what}</span>
<span class="outcome">${SIGNS[to]} ${to}</span>
<span>${title !== undefined && `${title.slice(0, MAX_TITLE)} `}<span class="dim">after ${duration(lastedMs)} of ${from}</span></span></li>`
}

function worst ({ probes, state }: Status): string {
  if (state !== 'serving') return 'unknown'
  return ['fail', 'warn'].find(outcome => {
    return probes.some(probe => probe.outcome === outcome || probe.checks.some(check => check.outcome === outcome))
  }) ?? 'pass'
}

function renderProbe ({ name, outcome, since, checks }: ProbeStatus, now: number, before: number): Html {
  let length = before
  const shown: Html[] = []
  for (const check of checks) {
    if (length > MAX) break
    const row = renderCheck(check, now, length > BUDGET && check.outcome === 'pass')
    length += row.bytes
    shown.push(row)
  }
  const left = checks.slice(shown.length)
  const failing = left.filter(({ outcome }) => outcome === 'fail').length
  return html`
<section><h2 class="${outcome}"><span>${name}</span><span class="outcome">${SIGNS[outcome]} ${outcome}</span>${ago(since, now)}</h2>
<ul>${shown}</ul>${
    left.length > 0 && html`<p class="dim">and ${left.length} more checks, ${failing} of them failing</p>`}</section>`
}

function renderCheck (check: CheckStatus, now: number, short: boolean): Html {
  const { name, outcome, title, since, durationMs, p50, p99, data = {} } = check
  const figures = durationMs === undefined
    ? []
    : [
        fact('last', milliseconds(durationMs)),
        ...p50 === undefined ? [] : [fact('p50', milliseconds(p50)), fact('p99', milliseconds(p99!))],
        ...Object.entries(data).map(([key, value]) => fact(key, String(value)))
      ]
  return html`
<li class="check ${outcome}"><span class="name">${name}</span>
<span class="outcome">${SIGNS[outcome]} ${outcome} ${ago(since, now)}</span>
${!short && strip(check)}${title !== undefined && html`<span class="title">${title}</span>`}
${!short && html`<dl>${figures}</dl>`}</li>`
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
  const line = longestMs.map((ms, i) => `${i} ${Math.round(12 - ms / most * 11)}`).join(' ')
  const failed = outcomes.filter(outcome => outcome === 'fail').length
  const label = `The last hour: failed in ${failed} minutes, slowest run ${milliseconds(Math.max(0, ...longestMs))}`
  return html`<svg viewBox="0 0 60 20" preserveAspectRatio="none" role="img" aria-label="${label}">${paths}
<polyline points="${line}"/></svg>`
}

const fact = (name: string, value: string | number) => html`<div><dt>${name}</dt><dd>${value}</dd></div>`
const ago = (since: number | undefined, now: number) => since !== undefined && html`<span class="dim">for ${duration(now - since)}</span>`
const clock = (time: number) => `${new Date(time).toISOString().slice(11, 19)}Z`
const milliseconds = (ms: number) => ms < 1000 ? `${Number(ms.toPrecision(2))} ms` : seconds(ms)

/** Rounded to what matters. */
function duration (ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000))
  if (s < 60) return `${s} s`
  if (s < 3600) return `${Math.floor(s / 60)} min`
  if (s < 172_800) return `${Math.floor(s / 3600)} h ${Math.floor(s % 3600 / 60)} min`
  return `${Math.floor(s / 86_400)} d`
}
