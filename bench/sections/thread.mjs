// Row 11: the cost of `listen.thread`, compared with the same separate port without it.
import { readFileSync } from 'node:fs'
import { compare } from '../compare.mjs'
import { startServer } from '../fleet.mjs'
import { comparison } from '../line.mjs'
import { estimate, median, ratio, shuffled } from '../statistics.mjs'
import { noMore } from '../verdict.mjs'
import { boot } from './loading.mjs'

const probe = (id, thread) => ({ id: `probe ${id}`, server: 'separate', options: { thread }, alike: true })
const route = (id, thread) => ({ id: `route ${id}`, server: 'separate', options: { thread, path: '/' } })
const pairs = {
  'a probe over a keep-alive connection': [probe('port', false), probe('control', false), probe('thread', true), 'kept'],
  'a probe over a new connection, as from the kubelet': [probe('port', false), probe('control', false), probe('thread', true), 'fresh'],
  'an ordinary route of the app': [route('port', false), route('control', false), route('thread', true), 'kept']
}

export const rows = [11]

export async function measure (run) {
  const servers = [...new Map(Object.values(pairs).flatMap(pair => pair.slice(0, 3)).map(server => [server.id, server])).values()]
  const { samples } = await compare(servers, run, ['kept', 'fresh'])
  const lines = Object.entries(pairs).flatMap(([what, [port, control, thread, way]]) => {
    const of = ({ id }) => samples.get(id)[way]
    const against = ['a separate port without a thread', of(port)]
    const judgement = what.includes('route')
      ? ['no more than the control', estimated => noMore(estimated, ratio(of(control).cpu, of(port).cpu))]
      : []
    return [
      comparison(11, [`A/A control: ${what}`, of(control)], against),
      comparison(11, [`\`listen.thread\`: ${what}`, of(thread)], against, ...judgement)
    ]
  })
  return { lines: [...lines, await memory(run), await start(run)] }
}

/** The memory of the process after its first response. */
async function memory ({ rounds, random, say }) {
  say('memory')
  const sizes = { port: [], thread: [] }
  for (let round = 0; round < rounds; round++) {
    for (const kind of shuffled(Object.keys(sizes), random)) {
      const server = await startServer({ id: kind, server: 'separate', options: { thread: kind === 'thread' } })
      try {
        await fetch(`http://127.0.0.1:${server.port}${server.path}`)
        await server.heap()
        sizes[kind].push(Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${server.pid}/status`, 'utf8'))[1]) / 1024)
      } finally {
        await server.stop()
      }
    }
  }
  return added('memory (RSS) that `listen.thread` adds', 'MB', sizes)
}

/** The time from registering the plugin until the app is ready. */
async function start ({ rounds, random, say }) {
  say('loading')
  const times = { port: [], thread: [] }
  for (let round = 0; round < rounds; round++) {
    for (const kind of shuffled(Object.keys(times), random)) times[kind].push((await boot(kind)).plugin)
  }
  return added('boot that `listen.thread` adds', 'ms', times)
}

function added (what, unit, { port, thread }) {
  return {
    row: 11,
    what,
    figure: `${median(thread.map((value, round) => value - port[round])).toFixed(1)} ${unit}`,
    against: 'a separate port without a thread',
    reference: `${median(port).toFixed(1)} ${unit}`,
    ratio: estimate(thread.map((value, round) => value / port[round]))
  }
}
