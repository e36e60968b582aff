/** Panels of the dashboard as an SVG: what Grafana would show, without Grafana. */
export interface Series {
  readonly metric: Readonly<Record<string, string>>
  readonly values: ReadonlyArray<readonly [time: number, value: string]>
}

export interface DrawnPanel {
  readonly title: string
  readonly lines: ReadonlyArray<{ readonly name: string, readonly values: Series['values'] }>
}

/** The panels that are drawn, in this order. */
const TITLES = ['Readiness', 'State', 'Failing checks', 'Duration of checks', 'Aborted probes', 'Blocked event loop']
const [WIDTH, HEIGHT, COLUMNS] = [440, 190, 2]
const [LEFT, TOP, RIGHT, BOTTOM] = [40, 34, 12, 44]
const MAX_LEGEND = 4

/** Classes of lines that mean something; all others are in the order of `ORDER`. */
const COLORS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  Readiness: { ready: 0, 'not ready': 1 },
  State: { serving: 0, draining: 3 }
}
const ORDER = [2, 3, 0, 1]

const escaped = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')

export function draw (panels: readonly DrawnPanel[], start: number, end: number): string {
  const drawn = TITLES.map(wanted => panels.find(({ title }) => title === wanted)!)
  const groups = drawn.map((panel, i) => {
    const [x, y] = [i % COLUMNS * (WIDTH + 10), Math.floor(i / COLUMNS) * (HEIGHT + 10)]
    return `  <g transform="translate(${x} ${y})">\n${drawPanel(panel, start, end)}\n  </g>`
  })
  const [width, height] = [COLUMNS * WIDTH + 10, Math.ceil(TITLES.length / COLUMNS) * (HEIGHT + 10) - 10]
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" role="img" aria-labelledby="title">
  <title id="title">Panels of the dashboard: ${TITLES.join(', ')}</title>
  <style>
    text { font: 11px system-ui, sans-serif; fill: #57606a }
    .title { font-weight: 600; font-size: 13px; fill: #1f2328 }
    .panel { fill: #f6f8fa }
    .grid { stroke: #d0d7de }
    path { fill: none; stroke-width: 1.6 }
    .c0 { stroke: #1a7f37 } .c1 { stroke: #cf222e } .c2 { stroke: #0969da } .c3 { stroke: #9a6700 }
    @media (prefers-color-scheme: dark) {
      text { fill: #9198a1 }
      .title { fill: #e6edf3 }
      .panel { fill: #161b22 }
      .grid { stroke: #30363d }
      .c0 { stroke: #3fb950 } .c1 { stroke: #f85149 } .c2 { stroke: #58a6ff } .c3 { stroke: #d29922 }
    }
  </style>
${groups.join('\n')}
</svg>
`
}

function drawPanel ({ title, lines }: DrawnPanel, start: number, end: number): string {
  const shown = lines.slice(0, MAX_LEGEND)
  const colorOf = (name: string, i: number) => COLORS[title]?.[name] ?? ORDER[i]!
  const top = niceTop(Math.max(0, ...shown.flatMap(({ values }) => values.map(([, value]) => Number(value)).filter(Number.isFinite))))
  const x = (time: number) => (LEFT + (time - start) / (end - start) * (WIDTH - LEFT - RIGHT)).toFixed(1)
  const y = (value: number) => (TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM)).toFixed(1)
  const grid = [0, top / 2, top].map(value => `    <line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(value)}" y2="${y(value)}"/>
    <text x="${LEFT - 6}" y="${Number(y(value)) + 4}" text-anchor="end">${Number(value.toPrecision(2))}</text>`)
  const paths = shown.map(({ name, values }, i) => {
    // A gap where there was no sample.
    let before = -Infinity
    const points = values.filter(([, value]) => Number.isFinite(Number(value))).map(([time, value]) => {
      const command = time - before > 1.1 ? 'M' : 'L'
      before = time
      return `${command}${x(time)} ${y(Number(value))}`
    })
    return `    <path class="c${colorOf(name, i)}" d="${points.join('')}"/>`
  })
  const legend = shown.map(({ name }, i) => {
    const left = LEFT + i * (WIDTH - LEFT) / Math.max(2, shown.length)
    return `    <path class="c${colorOf(name, i)}" d="M${left} ${HEIGHT - 12}h14"/>\n    <text x="${left + 19}" y="${HEIGHT - 8}">${escaped(name)}</text>`
  })
  const seconds = `    <text x="${LEFT}" y="${HEIGHT - 28}">0 s</text>
    <text x="${WIDTH - RIGHT}" y="${HEIGHT - 28}" text-anchor="end">${Math.round(end - start)} s</text>`
  return [`    <rect class="panel" width="${WIDTH}" height="${HEIGHT}" rx="6"/>`,
    `    <text class="title" x="12" y="22">${title}</text>`, ...grid, ...paths, seconds, ...legend].join('\n')
}

/** A round number that isn't below. */
function niceTop (highest: number): number {
  if (highest === 0) return 1
  const unit = 10 ** Math.floor(Math.log10(highest))
  return [1, 2, 4, 5, 10].map(factor => factor * unit).find(top => top >= highest)!
}
