// Simulates a fleet of pods that check one database. Prints the tables, and writes them to docs/scale.md and the chart to
// docs/scale.svg.
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { putInto } from '../report/document.mjs'
import { chart } from './chart.mjs'
import { coldStart, FAILURES, simulate } from './scenario.mjs'
import { SETUPS } from './setups.mjs'
import { conditions, loads, outages, spreading, targets } from './tables.mjs'

const path = name => fileURLToPath(new URL(`../../${name}`, import.meta.url))

/** @param sizes the number of pods of each fleet */
export async function simulateFleets ({ sizes, seed, write, say }) {
  const results = []
  for (const pods of sizes) {
    for (const failure of FAILURES) {
      for (const setup of SETUPS) {
        say(`${pods.toLocaleString('en')} pods, the database ${failure}: ${setup.name}`)
        results.push({ setup, pods, failure, ...await simulate(setup, { pods, failure, seed }) })
      }
    }
  }
  const cold = await coldStart(SETUPS.find(({ id }) => id === 'interval'), { pods: sizes.at(-1), seed })
  console.log(report(results, { sizes, shown: sizes, cold, seed }))
  if (write) document(results, { sizes, cold, seed })
}

/** Writes the tables to the page, those of outages for the last size only, and draws the chart. */
export function document (results, { sizes, cold, seed }) {
  const shown = sizes.slice(-1)
  putInto(path('docs/scale.md'), report(results, { sizes, shown, cold, seed }), 'npm run bench -- --only fleet')
  writeFileSync(path('docs/scale.svg'), chart(results.filter(({ pods, failure }) => pods === shown[0] && failure === 'hangs')))
}

function report (results, { sizes, shown, cold, seed }) {
  const of = (pods, failure) => results.filter(result => result.pods === pods && result.failure === failure)
  return [
    conditions(seed),
    loads(sizes.map(pods => of(pods, 'refuses'))),
    ...shown.flatMap(pods => FAILURES.map(failure => outages(of(pods, failure)))),
    spreading(of(sizes.at(-1), 'refuses').find(({ setup }) => setup.id === 'interval'), cold),
    targets(sizes.map(pods => results.filter(result => result.pods === pods)))
  ].join('\n\n')
}
