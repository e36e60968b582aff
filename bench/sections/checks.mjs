// Rows 5 and 9: the cost of checks.
import { compare } from '../compare.mjs'
import { comparison, micros, perSecond } from '../line.mjs'
import { median, ratio } from '../statistics.mjs'
import { atMost } from '../verdict.mjs'

const ready = (count, properties) => ({
  id: `${count} checks`, server: 'healthz', options: { path: '/healthz/ready', count }, count, ...properties
})
const none = ready(0)
const ten = ready(10, { alike: true })
const hundred = ready(100)
const thousand = ready(1000)
const sizes = [ready(1), ten, hundred, thousand]

const all = { id: 'Promise.all', server: 'bare', options: { count: 10 }, alike: true }
const control = { ...all, id: 'control' }

/** Linear growth: a check among a thousand costs at most this much more than one among a hundred. */
const LINEAR = 1.25

export const rows = [5, 9]

export async function measure (run) {
  const { samples } = await compare([
    ten,
    ...(run.rows.has(5) ? [all, control] : []),
    ...(run.rows.has(9) ? [none, ...sizes.filter(size => size !== ten)] : [])
  ], run)
  const of = ({ id }) => samples.get(id).kept
  return { lines: [...(run.rows.has(5) ? overhead(of) : []), ...(run.rows.has(9) ? growth(of) : [])] }
}

function overhead (of) {
  const handler = 'a route that awaits `Promise.all` of the same ten functions'
  return [
    comparison(5, [`A/A control: ${handler}`, of(control)], [handler, of(all)]),
    comparison(5, ['`ready` with 10 named async checks', of(ten)], [handler, of(all)], '≤ 1.5', estimate => atMost(1.5, estimate))
  ]
}

function growth (of) {
  const perCheck = size => of(size).cpu.map((cpu, round) => (cpu - of(none).cpu[round]) / size.count)
  const lines = sizes.map(size => ({
    row: 9,
    what: `\`ready\` with ${size.count.toLocaleString('en')} named async check${size.count === 1 ? '' : 's'}`,
    figure: `${micros(median(of(size).cpu))}, ${micros(median(perCheck(size)))} per check`,
    against: 'no check',
    reference: micros(median(of(none).cpu)),
    rates: `${perSecond(of(size))} / ${perSecond(of(none))}`
  }))
  const estimate = ratio(perCheck(thousand), perCheck(hundred))
  lines.push({
    row: 9,
    what: 'a check among 1,000',
    figure: micros(median(perCheck(thousand))),
    against: 'a check among 100',
    reference: micros(median(perCheck(hundred))),
    ratio: estimate,
    target: `linear: ≤ ${LINEAR}`,
    result: atMost(LINEAR, estimate)
  })
  return lines
}
