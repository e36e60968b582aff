import { execFile } from 'node:child_process'
import { createRequire } from 'node:module'
import { promisify } from 'node:util'
import { probers } from './probers.mjs'
import { wholeSeconds } from './seconds.mjs'

const run = promisify(execFile)

export async function autocannon (server, options) {
  // With its options to reconnect, autocannon doesn't count responses, or sends a second request on a closing connection.
  if (options.close) return probers(server, options)
  const { stdout } = await run(process.execPath, [
    createRequire(import.meta.url).resolve('autocannon'), '--json', '--no-progress',
    '--connections', String(options.connections), '--duration', String(wholeSeconds(options.seconds)),
    `http://127.0.0.1:${server.port}${server.path}`
  ])
  const { requests, duration, statusCodeStats, errors } = JSON.parse(stdout)
  const expected = statusCodeStats[server.status]?.count ?? 0
  return { requests: requests.total, seconds: duration, unexpected: requests.total - expected, errors }
}
