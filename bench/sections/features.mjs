// Rows 12 and 13: the cost that optional features add to a probe.
import { compare } from '../compare.mjs'
import { comparison } from '../line.mjs'
import { ratio } from '../statistics.mjs'
import { noMore } from '../verdict.mjs'

const ready = (id, options) => ({ id, server: 'healthz', options: { path: '/healthz/ready', count: 10, ...options }, alike: true })
const without = ready('without', {})
const control = ready('control', {})
const features = [
  [12, 'the same with the status page registered, which keeps a history', ready('page', { page: true })],
  [13, 'the same with `failureThreshold` and `successThreshold`', ready('thresholds', { thresholds: true })]
]
const what = '`ready` with 10 named async checks'

export const rows = [12, 13]

export async function measure (run) {
  const measured = features.filter(([row]) => run.rows.has(row))
  const { samples } = await compare([without, control, ...measured.map(([,, server]) => server)], run)
  const of = ({ id }) => samples.get(id).kept
  const judge = estimate => noMore(estimate, ratio(of(control).cpu, of(without).cpu))
  return {
    lines: measured.flatMap(([row, name, server]) => [
      comparison(row, [`A/A control: ${what}`, of(control)], [what, of(without)]),
      comparison(row, [name, of(server)], [what, of(without)], 'no more than the control', judge)
    ])
  }
}
