// Measures fastify-healthz and its peers, and prints a table. `npm run bench -- --help` lists the options.
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { moveToLoadCore } from './cores.mjs'
import { simulateFleets } from './fleet-simulation/run.mjs'
import { install } from './install.mjs'
import { bestTool } from './load/load.mjs'
import { readOptions, USAGE } from './options.mjs'
import { chart } from './report/chart.mjs'
import { circumstances } from './report/circumstances.mjs'
import { putInto } from './report/document.mjs'
import { table } from './report/table.mjs'
import * as checks from './sections/checks.mjs'
import * as crowd from './sections/crowd.mjs'
import * as features from './sections/features.mjs'
import * as loading from './sections/loading.mjs'
import * as memory from './sections/memory.mjs'
import * as ordinary from './sections/ordinary.mjs'
import * as probes from './sections/probes.mjs'
import * as thread from './sections/thread.mjs'
import { randomOf } from './statistics.mjs'

const SECTIONS = [probes, ordinary, checks, crowd, loading, memory, thread, features]

const path = name => fileURLToPath(new URL(`../${name}`, import.meta.url))

const options = readOptions(process.argv.slice(2))
const say = message => console.error(`${new Date().toISOString().slice(11, 19)} ${message}`)
if (options.help) console.log(USAGE)
else if (options.fleet) await simulateFleets({ ...options.fleet, say })
else await bench(options)

async function bench (options) {
  const { tool = bestTool() } = options
  if (options.install) {
    say('packing and installing')
    install()
  } else {
    process.env.BENCH_PLUGIN = path('dist/lib/index.js')
  }
  moveToLoadCore()
  const run = { ...options, tool, random: randomOf(options.seed), say }
  const head = circumstances(run)
  const measured = []
  for (const section of SECTIONS) {
    if (section.rows.some(row => run.rows.has(row))) measured.push(await section.measure(run))
  }
  const lines = measured.flatMap(({ lines }) => lines).sort((one, other) => one.row - other.row)
  const report = `${head}\n\n${table(lines)}`
  console.log(report)
  if (run.write) {
    putInto(path('docs/performance.md'), report)
    writeFileSync(path('docs/performance.svg'), chart(measured.find(({ bars }) => bars !== undefined).bars))
  }
}
