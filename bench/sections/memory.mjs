// Row 8: heap growth over many probes.
import { startServer } from '../fleet.mjs'
import { loadCount } from '../load/load.mjs'

const LIMIT_MB = 1

const healthz = path => ({ server: 'healthz', options: { logger: true, fails: true, path } })
const servers = [
  { id: 'control', server: 'bare', name: 'requests to a bare route' },
  { id: 'passing', ...healthz('/healthz/live'), name: 'passing probes', limited: true },
  { id: 'failing', ...healthz('/healthz/ready'), status: 503, name: 'failing probes', limited: true },
  { id: 'relayed', server: 'separate', options: { thread: true }, name: 'probes with `listen.thread`', limited: true }
]

export const rows = [8]

export async function measure ({ tool, warmUp, probes, say }) {
  const lines = []
  for (const { name, limited, ...spec } of servers) {
    const server = await startServer(spec)
    try {
      const what = `${probes.toLocaleString('en')} ${name}`
      say(what)
      await loadCount(tool, server, warmUp)
      const before = await server.heap()
      await loadCount(tool, server, probes)
      const grown = (await server.heap() - before) / 2 ** 20
      lines.push({
        row: 8,
        what,
        figure: `heap ${grown < 0 ? '−' : '+'}${Math.abs(grown).toFixed(2)} MB`,
        against: 'the heap before',
        reference: `${(before / 2 ** 20).toFixed(2)} MB`,
        ...(limited && { target: `≤ ${LIMIT_MB} MB more`, result: grown <= LIMIT_MB ? 'met' : 'not met' })
      })
    } finally {
      await server.stop()
    }
  }
  return { lines }
}
