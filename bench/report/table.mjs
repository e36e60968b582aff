const COLUMNS = {
  '#': ({ row }) => String(row),
  measured: ({ what }) => what,
  figure: ({ figure = '' }) => figure,
  reference: ({ against = '' }) => against,
  'its figure': ({ reference = '' }) => reference,
  'ratio (95 %)': ({ ratio }) => ratio === undefined ? '' : `${fixed(ratio.median)} (${fixed(ratio.low)} to ${fixed(ratio.high)})`,
  'requests/s': ({ rates = '' }) => rates,
  target: ({ target = '' }) => target,
  result: ({ result = '' }) => result
}

/** The table in Markdown, with aligned columns so that its source is readable. */
export function table (lines) {
  const names = Object.keys(COLUMNS)
  return aligned([names, ...lines.map(line => names.map(name => COLUMNS[name](line)))])
}

/** Formats rows of cells. The first row is the header. */
export function aligned (cells) {
  const widths = cells[0].map((_, column) => Math.max(3, ...cells.map(row => row[column].length)))
  const printed = cells.map(row => `| ${row.map((cell, column) => cell.padEnd(widths[column])).join(' | ')} |`)
  printed.splice(1, 0, `|${widths.map(width => '-'.repeat(width + 2)).join('|')}|`)
  return printed.join('\n')
}

function fixed (value) {
  return value.toFixed(value < 0.1 ? 3 : 2)
}
