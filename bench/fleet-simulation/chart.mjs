import { escaped } from '../report/chart.mjs'
import { mean, peak } from './tables.mjs'
import { CAPACITY, OUTAGE } from './scenario.mjs'

const SHOWN = ['fixed', 'terminus-live', 'plain', 'interval']
const WIDTH = 820
const LEFT = 60
const RIGHT = 20
const TOP = 34
const HEIGHT = 84
const GAP = 44
const BEFORE = 60

/** The queries in each second before, during and after an outage: one strip for each setup, all on the same scale. */
export function chart (results) {
  const shown = SHOWN.map(id => results.find(({ setup }) => setup.id === id))
  const [{ pods, around }] = shown
  const highest = Math.max(CAPACITY, ...shown.map(result => peak(result.around)))
  const x = second => (LEFT + second / around.length * (WIDTH - LEFT - RIGHT)).toFixed(1)
  const y = (top, queries) => (top + HEIGHT - queries / highest * HEIGHT).toFixed(1)
  const step = (top, queries, second, all) => {
    const height = y(top, queries)
    return second > 0 && height === y(top, all[second - 1]) ? '' : `H${x(second)}V${height}`
  }
  const recovery = BEFORE + OUTAGE / 1000
  const strips = shown.map(({ setup, rest, around }, strip) => {
    const top = TOP + 20 + strip * (HEIGHT + GAP)
    const figures = `at rest ${number(mean(rest))} queries/s, at their peak ${number(peak(around))}`
    const line = around.map((queries, second, all) => step(top, queries, second, all)).join('')
    return `  <text x="${LEFT}" y="${top - 12}" class="name">${escaped(setup.name)}: ${figures}</text>
  <rect x="${x(BEFORE)}" y="${top}" width="${(x(recovery) - x(BEFORE)).toFixed(1)}" height="${HEIGHT}" class="outage"/>
  <line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(top, CAPACITY)}" y2="${y(top, CAPACITY)}" class="capacity"/>
  <text x="${LEFT - 8}" y="${y(top, CAPACITY)}" class="scale">${number(CAPACITY)}</text>
  <text x="${LEFT - 8}" y="${top + HEIGHT}" class="scale">0</text>
  <path d="M${LEFT} ${top + HEIGHT}${line}H${WIDTH - RIGHT}V${top + HEIGHT}Z" class="${setup.id === 'interval' ? 'good' : 'other'}"/>`
  })
  const bottom = TOP + 20 + shown.length * (HEIGHT + GAP) - GAP
  const ticks = [0, 60, 120, 180, 240, 300].map(second =>
    `  <text x="${x(BEFORE + second)}" y="${bottom + 14}" class="tick">${second} s</text>`)
  const title = shown.map(({ setup, around }) => `${escaped(setup.name)} ${number(peak(around))}`).join('; ')
  const heading = `Queries a second of ${number(pods)} pods. Shaded: the database hangs for ${OUTAGE / 1000} s. Dashed: its capacity`
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${bottom + 28}" role="img" aria-labelledby="title">
  <title id="title">Queries a second of ${number(pods)} pods before, in and after an outage, at their peak: ${title}</title>
  <style>
    text { font: 13px system-ui, sans-serif; fill: #1f2328; dominant-baseline: central }
    .name { font-weight: 600 }
    .scale { text-anchor: end; font-size: 11px }
    .tick { text-anchor: middle; font-size: 11px }
    .good { fill: #1a7f37 }
    .other { fill: #6e7781 }
    .outage { fill: #cf222e; fill-opacity: 0.12 }
    .capacity { stroke: #1f2328; stroke-dasharray: 3 4; stroke-opacity: 0.5 }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3 }
      .good { fill: #3fb950 }
      .other { fill: #8c959f }
      .outage { fill: #f85149; fill-opacity: 0.2 }
      .capacity { stroke: #e6edf3 }
    }
  </style>
  <text x="${LEFT}" y="14">${heading}</text>
${[...strips, ...ticks].join('\n')}
</svg>
`
}

const number = value => Math.round(value).toLocaleString('en')
