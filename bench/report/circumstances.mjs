import { createRequire } from 'node:module'
import { cpus, loadavg, release } from 'node:os'

const require = createRequire(import.meta.url)
const version = (name, from = require) => from(`${name}/package.json`).version

/** What a table is measured on and with; to be asked before, as what else the machine does is part of it. */
export function circumstances ({ tool, rounds, fleets, seconds, seed, probes }) {
  const date = new Date().toISOString().slice(0, 10)
  const fastify = createRequire(require.resolve('fastify'))
  return [
    `Measured on ${date}, load by ${tool}.`,
    `Node.js ${process.versions.node}, Fastify ${version('fastify')}, pino ${version('pino', fastify)}.`,
    `The machine: ${cpus().length} cores, ${cpus()[0].model.trim()}, Linux ${release().split('-')[0]}.`,
    `Its load in the 5 minutes before: ${loadavg()[1].toFixed(2)}.`,
    `${rounds} rounds of ${seconds} s over ${fleets} starts of the servers, seed ${seed}; ${probes.toLocaleString('en')} probes for row 8.`
  ].join('\n')
}
