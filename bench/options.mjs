import { parseArgs } from 'node:util'
import { tools } from './load/load.mjs'

const ROWS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]
/** The default seed of the simulation, and the default sizes of its fleets. */
const SEED = '1'
const PODS = '10,100,1000,10000'

export const USAGE = `npm run bench -- [options]

  --only 1,5         measure only these rows of the table
  --only fleet       simulate a fleet of pods instead, and write docs/scale.md and docs/scale.svg
  --pods 10,100      sizes of the simulated fleets; then nothing is written
  --rounds 12        number of rounds
  --fleets 3         number of times the servers are started
  --seconds 1        duration of a measurement; wrk and autocannon round it to whole seconds
  --warm-up 50000    requests to each server before its first round
  --probes 1000000   requests to each server in row 8
  --tool wrk         load generator: wrk, autocannon or probers; default: the best one installed
  --seed 1           seed of the random order of the rounds, to repeat a run
  --no-install       don't pack and install; measure dist/ and the installed peers

A run of all rows writes docs/performance.md and docs/performance.svg, unless --no-install is given.`

/** @throws on an unknown option or an invalid value */
export function readOptions (args) {
  const { values } = parseArgs({
    args,
    options: {
      only: { type: 'string' },
      rounds: { type: 'string', default: '12' },
      fleets: { type: 'string', default: '3' },
      seconds: { type: 'string', default: '1' },
      'warm-up': { type: 'string', default: '50000' },
      probes: { type: 'string', default: '1000000' },
      tool: { type: 'string' },
      seed: { type: 'string' },
      pods: { type: 'string', default: PODS },
      'no-install': { type: 'boolean', default: false },
      help: { type: 'boolean', default: false }
    }
  })
  const fleet = values.only === 'fleet'
  values.seed ??= fleet ? SEED : String(Date.now() % 2 ** 32)
  const number = name => {
    const value = Number(values[name])
    if (!(value > 0)) throw new Error(`Expected --${name} to be a number above 0, got ${values[name]}`)
    return value
  }
  if (fleet) {
    const sizes = values.pods.split(',').map(Number)
    if (!sizes.every(pods => Number.isInteger(pods) && pods > 0)) throw new Error(`Expected --pods to be integers, got ${values.pods}`)
    return { fleet: { sizes, seed: number('seed'), write: values.pods === PODS && values.seed === SEED } }
  }
  const rows = values.only === undefined ? ROWS : values.only.split(',').map(Number)
  if (!rows.every(row => ROWS.includes(row))) throw new Error(`Expected --only to be rows from 1 to 13 or fleet, got ${values.only}`)
  if (values.tool !== undefined && !Object.hasOwn(tools, values.tool)) {
    throw new Error(`Expected --tool to be one of ${Object.keys(tools).join(', ')}, got ${values.tool}`)
  }
  return {
    help: values.help,
    install: !values['no-install'],
    rows: new Set(rows),
    /** Only a complete run with the packed plugin is written to the docs. */
    write: values.only === undefined && !values['no-install'],
    rounds: number('rounds'),
    fleets: Math.min(number('fleets'), number('rounds')),
    seconds: number('seconds'),
    warmUp: number('warm-up'),
    probes: number('probes'),
    tool: values.tool,
    seed: number('seed')
  }
}
