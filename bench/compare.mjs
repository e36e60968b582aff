import { cpuTime } from './cpu.mjs'
import { startFleet } from './fleet.mjs'
import { load, loadCount } from './load/load.mjs'
import { sameBytes } from './same-bytes.mjs'
import { shuffled } from './statistics.mjs'

/**
 * How requests are sent: over keep-alive connections, or over a new one each time, like the kubelet. `warmUp` is the share
 * of the warm-up requests that each needs.
 */
const WAYS = { kept: { close: false, warmUp: 1 }, fresh: { close: true, warmUp: 0.1 } }

/**
 * Measures servers in interleaved rounds, each in random order. Two processes of the same program differ for as long as
 * they run, so all servers are restarted several times (`fleets`), with the rounds spread over the restarts. Servers marked
 * as `alike` must send the same bytes.
 *
 * Returns the results of each round by server id and way, and the reasons why peers couldn't be measured by id. A result
 * is the server's CPU time per request in µs (`cpu`) and the requests per second (`rate`).
 */
export async function compare (servers, run, ways = ['kept']) {
  const { fleets, rounds, warmUp, tool, random, say } = run
  const samples = new Map()
  const absences = new Map()
  for (let started = 0; started < fleets; started++) {
    say(`starting and warming up ${servers.length} servers: ${started + 1} of ${fleets}`)
    const { fleet, absent } = await startFleet(servers)
    try {
      for (const [id, reason] of absent) absences.set(id, reason)
      await sameBytes(fleet.filter(server => server.alike))
      for (const server of shuffled(fleet, random)) {
        for (const way of ways) await loadCount(tool, server, warmUp * WAYS[way].warmUp, WAYS[way].close)
      }
      for (let round = Math.floor(rounds * started / fleets); round < Math.floor(rounds * (started + 1) / fleets); round++) {
        say(`round ${round + 1} of ${rounds}`)
        for (const server of shuffled(fleet, random)) {
          for (const way of ways) {
            const { cpu, rate } = await measure(tool, server, { seconds: run.seconds, close: WAYS[way].close })
            const of = samplesOf(samples, server.id, way)
            of.cpu.push(cpu)
            of.rate.push(rate)
          }
        }
      }
    } finally {
      await Promise.all(fleet.map(server => server.stop()))
    }
  }
  return { samples, absences }
}

async function measure (tool, server, options) {
  const before = cpuTime(server.pid)
  const { requests, seconds } = await load(tool, server, options)
  return { cpu: (cpuTime(server.pid) - before) / requests, rate: requests / seconds }
}

function samplesOf (samples, id, way) {
  if (!samples.has(id)) samples.set(id, {})
  return (samples.get(id)[way] ??= { cpu: [], rate: [] })
}
