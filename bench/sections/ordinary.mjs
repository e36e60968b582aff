// Row 4: the cost of a plugin for the other routes of the app.
import { compare } from '../compare.mjs'
import { absence, comparison } from '../line.mjs'
import { ratio } from '../statistics.mjs'
import { noMore } from '../verdict.mjs'

const route = (id, name, properties) => ({ id, server: 'ordinary', name, ...properties })
const without = route('without', 'an ordinary route, no plugin')
const control = route('control', 'A/A control: an ordinary route, no plugin')
const healthz = route('healthz', 'the same with fastify-healthz registered', { options: { plugin: 'healthz' } })
const underPressure = route('under-pressure', 'the same with @fastify/under-pressure registered', {
  options: { plugin: 'under-pressure' }, peer: '@fastify/under-pressure'
})

export const rows = [4]

export async function measure (run) {
  const { samples, absences } = await compare([without, control, healthz, underPressure], run)
  const cpu = ({ id }) => samples.get(id).kept.cpu
  const judge = estimate => noMore(estimate, ratio(cpu(control), cpu(without)))
  const line = (server, ...judgement) => absences.has(server.id)
    ? absence(4, server.name, absences.get(server.id))
    : comparison(4, [server.name, samples.get(server.id).kept], [without.name, samples.get(without.id).kept], ...judgement)
  return { lines: [line(control), line(healthz, 'no more than the control', judge), line(underPressure)] }
}
