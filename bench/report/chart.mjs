import { estimate } from '../statistics.mjs'

const WIDTH = 820
const LABEL = 360
const VALUE = 60
const ROW = 26
const BAR = 16
const TOP = 34

/** A bar for each server, the cheapest first: the CPU time per request, with its 95 % interval as a line. */
export function chart (bars) {
  const measured = bars.map(({ cpu, ...bar }) => ({ ...bar, ...estimate(cpu) })).sort((a, b) => a.median - b.median)
  const longest = Math.max(...measured.map(({ high }) => high))
  const length = value => (value / longest * (WIDTH - LABEL - VALUE)).toFixed(1)
  const height = TOP + measured.length * ROW + 6
  const rows = measured.map(({ name, ours, median, low, high }, index) => {
    const y = TOP + index * ROW
    const middle = y + BAR / 2
    return `  <text x="${LABEL - 10}" y="${middle}" class="name">${escaped(name)}</text>
  <rect x="${LABEL}" y="${y}" width="${length(median)}" height="${BAR}" class="${ours ? 'ours' : 'theirs'}"/>
  <line x1="${LABEL + Number(length(low))}" x2="${LABEL + Number(length(high))}" y1="${middle}" y2="${middle}"/>
  <text x="${LABEL + Number(length(high)) + 8}" y="${middle}">${median.toFixed(1)}</text>`
  })
  const title = measured.map(({ name, median }) => `${escaped(name)} ${median.toFixed(1)}`).join('; ')
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" role="img" aria-labelledby="title">
  <title id="title">CPU time of a passing probe in µs: ${title}</title>
  <style>
    text { font: 13px system-ui, sans-serif; fill: #1f2328; dominant-baseline: central }
    .name { text-anchor: end }
    .ours { fill: #1a7f37 }
    .theirs { fill: #8c959f }
    line { stroke: #1f2328; stroke-width: 1.5 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      line { stroke: #e6edf3 }
      .ours { fill: #3fb950 }
      .theirs { fill: #6e7681 }
    }
  </style>
  <text x="${LABEL}" y="14">CPU time of a passing probe in µs, lower is better</text>
${rows.join('\n')}
</svg>
`
}

/** Escapes text for an SVG, and removes backticks. */
export function escaped (text) {
  return text.replaceAll('`', '').replaceAll('&', '&amp;').replaceAll('<', '&lt;')
}
