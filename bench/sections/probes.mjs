// Rows 1, 2, 3 and 10: a passing probe of fastify-healthz, of its peers, and of a bare route.
import { compare } from '../compare.mjs'
import { absence, comparison } from '../line.mjs'
import { ratio } from '../statistics.mjs'
import { atMost, less } from '../verdict.mjs'

const PLUGINS = {
  'under-pressure': '@fastify/under-pressure',
  'fastify-healthcheck': 'fastify-healthcheck',
  'fastify-custom-healthcheck': 'fastify-custom-healthcheck',
  arecibo: 'arecibo',
  medicus: "medicus's Fastify plugin"
}
/** Plugins whose README shows how to set the log level of their route. */
const LEVELLED = ['under-pressure', 'arecibo']
const OTHERS = {
  terminus: '@godaddy/terminus, on `node:http`',
  lightship: 'lightship, on a separate server'
}

const OFF = 'logger off'
const ON = 'logger on'
const LEVEL = "logger on, `logLevel: 'error'`"

const twice = (server, name, properties) => [
  { id: `${server} off`, server, name, log: OFF, ...properties },
  { id: `${server} on`, server, name, log: ON, options: { logger: true }, ...properties }
]
const bare = twice('bare', 'bare route', { alike: true })
const healthz = twice('healthz', 'fastify-healthz `live`', { alike: true })
const control = { ...bare[0], id: 'control' }
const floor = { id: 'node-http', server: 'node-http', name: 'bare `node:http`', log: 'no logger', alike: true }
const plugins = Object.entries(PLUGINS).flatMap(([server, name]) => [
  ...twice(server, name, { peer: name }),
  ...(LEVELLED.includes(server)
    ? [{ id: `${server} levelled`, server, name, log: LEVEL, options: { logger: true, logLevel: 'error' }, peer: name }]
    : [])
])
const others = Object.entries(OTHERS).map(([server, name]) => ({ id: server, server, name, log: 'no logger', peer: name }))

export const rows = [1, 2, 3, 10]

export async function measure (run) {
  const wants = (...numbers) => numbers.some(number => run.rows.has(number))
  const servers = [
    control, ...bare, ...healthz,
    ...(wants(2, 10) ? [...plugins, ...others] : []),
    ...(wants(3, 10) ? [floor] : [])
  ]
  const { samples, absences } = await compare(servers, run, [
    ...(wants(1, 2, 3) ? ['kept'] : []),
    ...(wants(10) ? ['fresh'] : [])
  ])
  const side = (server, way) => [`${server.name}, ${server.log}`, samples.get(server.id)[way]]
  const against = (row, subject, reference, target, judge, way = 'kept') => absences.has(reference.id)
    ? absence(row, `${reference.name}, ${reference.log}`, absences.get(reference.id))
    : comparison(row, side(subject, way), side(reference, way), target, judge)
  const [bareOff, bareOn] = bare
  const [off, on] = healthz
  // A fair comparison: the app's logger is on if the peer's is, and off if the peer has none.
  const ours = peer => peer.options?.logger ? on : off
  const lines = []

  if (wants(1, 2, 3)) {
    const same = ratio(samples.get(control.id).kept.cpu, samples.get(bareOff.id).kept.cpu)
    const beat = estimate => less(estimate, same)
    lines.push(against(1, { ...control, name: 'A/A control: bare route' }, bareOff))
    if (wants(1)) {
      lines.push(
        against(1, on, bareOff, '≤ 1.15', estimate => atMost(1.15, estimate)),
        against(1, on, bareOn, '≤ 0.8', estimate => atMost(0.8, estimate)),
        against(1, off, bareOff)
      )
    }
    if (wants(2)) {
      lines.push(...plugins.map(peer => against(2, ours(peer), peer, '< 1', beat)), ...others.map(peer => against(2, ours(peer), peer)))
    }
    if (wants(3)) lines.push(against(3, off, floor))
  }
  if (wants(10)) {
    lines.push(
      against(10, { ...control, name: 'A/A control: bare route' }, bareOff, undefined, undefined, 'fresh'),
      ...[bareOff, bareOn, ...plugins, ...others, floor].map(peer => against(10, ours(peer), peer, undefined, undefined, 'fresh'))
    )
  }
  return { lines, bars: wants(1, 2, 3) ? bars(servers, samples) : undefined }
}

/** The bars of the chart: probes with the app's logger on, the bare route without it, and servers without a logger. */
function bars (servers, samples) {
  return servers
    .filter(server => server !== control && samples.has(server.id) && (server.log !== OFF || server === bare[0]))
    .map(server => ({ name: `${server.name}, ${server.log}`, ours: server.server === 'healthz', cpu: samples.get(server.id).kept.cpu }))
}
