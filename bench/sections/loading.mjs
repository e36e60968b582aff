// Row 7: the time that the plugin adds to the boot.
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { onServerCore } from '../cores.mjs'
import { cleanEnvironment } from '../fleet.mjs'
import { estimate, median, shuffled } from '../statistics.mjs'
import { atMost } from '../verdict.mjs'

const BOOT = fileURLToPath(new URL('../boot.cjs', import.meta.url))
const KINDS = { none: 'none', control: 'none', empty: 'empty', routes: 'routes', healthz: 'healthz', 'under-pressure': 'under-pressure' }

export const rows = [7]

export async function measure ({ rounds, random, say }) {
  say('loading')
  const boots = new Map(Object.keys(KINDS).map(kind => [kind, []]))
  for (let round = 0; round < rounds; round++) {
    for (const kind of shuffled([...boots.keys()], random)) boots.get(kind).push(await boot(KINDS[kind]))
  }
  // An app without plugins takes time to become ready as well.
  const added = kind => boots.get(kind).map(({ plugin }, round) => plugin - boots.get('none')[round].plugin)
  const line = (what, kind, target, judge = () => '') => {
    const ratio = estimate(added(kind).map((ms, round) => ms / boots.get(kind)[round].fastify))
    return {
      row: 7,
      what,
      figure: `${median(added(kind)).toFixed(2)} ms`,
      against: 'loading Fastify',
      reference: `${median(boots.get(kind).map(({ fastify }) => fastify)).toFixed(1)} ms`,
      ratio,
      target,
      result: judge(ratio)
    }
  }
  return {
    lines: [
      line('A/A control: no plugin', 'control'),
      line('loading and registering fastify-healthz', 'healthz', '≤ 0.2', ratio => atMost(0.2, ratio)),
      line('an empty plugin wrapped by `fastify-plugin`', 'empty'),
      line('the same with three static routes in a child scope', 'routes'),
      line('@fastify/under-pressure with its status route', 'under-pressure')
    ]
  }
}

export async function boot (kind) {
  const [command, ...args] = onServerCore
  const { stdout } = await promisify(execFile)(command, [...args, process.execPath, BOOT, kind], { env: cleanEnvironment() })
  return JSON.parse(stdout)
}
