import { createRequire } from 'node:module'
import { cpus, loadavg, release } from 'node:os'

const require = createRequire(import.meta.url)
const version = (name, from = require) => from(`${name}/package.json`).version

/** Describes the machine, the versions and the settings. Call it before measuring, since it includes the load average. */
export function circumstances ({ tool, rounds, fleets, seconds, seed, probes }) {
  const date = new Date().toISOString().slice(0, 10)
  const fastify = createRequire(require.resolve('fastify'))
  return [
    `Measured on ${date} with ${tool}.`,
    `Node.js ${process.versions.node}, Fastify ${version('fastify')}, pino ${version('pino', fastify)}.`,
    `Machine: ${cpus().length} cores, ${cpus()[0].model.trim()}, Linux ${release().split('-')[0]}.`,
    `Load average of the 5 minutes before: ${loadavg()[1].toFixed(2)}.`,
    `${rounds} rounds of ${seconds} s, servers started ${fleets} times, seed ${seed}. Row 8: ${probes.toLocaleString('en')} probes.`
  ].join('\n')
}
