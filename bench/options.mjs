import { parseArgs } from 'node:util'
import { tools } from './load/load.mjs'

const ROWS = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13]
/** What the simulation is repeatable by, and the sizes of its fleets. */
const SEED = '1'
const PODS = '10,100,1000,10000'

export const USAGE = `npm run bench -- [options]

  --only 1,5         these rows of the table alone
  --only fleet       simulates a fleet of pods instead, and writes docs/scale.md and docs/scale.svg
  --pods 10,100      the sizes of the fleet; then nothing is written
  --rounds 12        how many rounds
  --fleets 3         how often the servers are started anew
  --seconds 1        how long a server is measured in a round; wrk and autocannon take whole seconds
  --warm-up 50000    requests to a server before its first round
  --probes 1000000   probes of row 8, passing and failing each
  --tool wrk         wrk, autocannon or probers, instead of the best that is there
  --seed 1           of the order of the rounds, to repeat it
  --no-install       neither pack nor install: measure dist/ as it is, and the peers that are there

Only a run of all rows, and of what is packed, is written into docs/performance.md and docs/performance.svg.`

/** @throws when an option is none, or has a value that it can't have */
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
    if (!sizes.every(pods => Number.isInteger(pods) && pods > 0)) throw new Error(`Expected --pods to name sizes, got ${values.pods}`)
    return { fleet: { sizes, seed: number('seed'), write: values.pods === PODS && values.seed === SEED } }
  }
  const rows = values.only === undefined ? ROWS : values.only.split(',').map(Number)
  if (!rows.every(row => ROWS.includes(row))) throw new Error(`Expected --only to name rows from 1 to 11, got ${values.only}`)
  if (values.tool !== undefined && !Object.hasOwn(tools, values.tool)) {
    throw new Error(`Expected --tool to be one of ${Object.keys(tools).join(', ')}, got ${values.tool}`)
  }
  return {
    help: values.help,
    install: !values['no-install'],
    rows: new Set(rows),
    /** Only a whole run of what is packed is worth keeping. */
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
