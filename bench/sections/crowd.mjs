// Row 6: many concurrent probes of a slow check.
import { startServer } from '../fleet.mjs'
import { Prober, bodyOf, statusOf } from '../load/prober.mjs'
import { estimate, median, quantile } from '../statistics.mjs'
import { atMost } from '../verdict.mjs'

const PROBES = 1000
const CHECK_MS = 50

export const rows = [6]

export async function measure (run) {
  run.say(`${PROBES} concurrent probes`)
  const server = await startServer({ id: 'crowd', server: 'slow', options: { ms: CHECK_MS } })
  try {
    const shared = await crowds(run, server)
    const bare = await crowds(run, { ...server, path: '/bare' })
    const count = PROBES.toLocaleString('en')
    const check = { against: 'the check', reference: `${CHECK_MS} ms` }
    const answers = estimate(shared.p99.map(ms => ms / CHECK_MS))
    const most = Math.max(...shared.runs)
    return {
      lines: [{
        row: 6,
        what: `${count} concurrent probes of \`ready\`, whose check takes ${CHECK_MS} ms`,
        figure: times(shared),
        ...check,
        ratio: answers,
        target: '1 run, p99 ≤ 1.5 × the check',
        result: most === 1 ? atMost(1.5, answers) : `not met: ${most} runs`
      }, {
        row: 6,
        what: `${count} concurrent requests to a bare route that awaits the check`,
        figure: times(bare),
        ...check,
        ratio: estimate(bare.p99.map(ms => ms / CHECK_MS))
      }]
    }
  } finally {
    await server.stop()
  }
}

function times ({ runs, p50, p99 }) {
  const most = Math.max(...runs)
  return `${most.toLocaleString('en')} run${most === 1 ? '' : 's'}, p50 ${median(p50).toFixed(1)} ms, p99 ${median(p99).toFixed(1)} ms`
}

/** The number of runs of the check and the latencies of the responses, for each round. */
async function crowds ({ rounds, warmUp }, server) {
  const probers = await Promise.all(Array.from({ length: PROBES }, () => Prober.open(server)))
  const counter = await Prober.open({ ...server, path: '/runs' })
  const count = async () => Number(bodyOf(await counter.ask()))
  const all = { runs: [], p50: [], p99: [] }
  try {
    for (let crowd = -Math.ceil(warmUp / PROBES); crowd < rounds; crowd++) {
      const before = await count()
      const latencies = await Promise.all(probers.map(async prober => {
        const begin = performance.now()
        const answer = await prober.ask()
        const latency = performance.now() - begin
        if (statusOf(answer) !== 200) throw new Error(`Expected 200, got ${statusOf(answer)}`)
        return latency
      }))
      const runs = await count() - before
      // Rounds below 0 are the warm-up.
      if (crowd < 0) continue
      all.runs.push(runs)
      all.p50.push(median(latencies))
      all.p99.push(quantile(latencies, 0.99))
    }
  } finally {
    for (const prober of [counter, ...probers]) prober.close()
  }
  return all
}
