import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { wholeSeconds } from './seconds.mjs'

const run = promisify(execFile)

export async function wrk ({ port, path, status }, { seconds, connections, close }) {
  const { stdout } = await run('wrk', [
    '--threads', '1', '--connections', String(connections), '--duration', `${wholeSeconds(seconds)}s`,
    ...(close ? ['--header', 'Connection: close'] : []), `http://127.0.0.1:${port}${path}`
  ])
  const [, requests, took, unit] = /(\d+) requests in ([\d.]+)(m?s)/.exec(stdout)
  const failed = Number(/Non-2xx or 3xx responses: (\d+)/.exec(stdout)?.[1] ?? 0)
  const errors = [...(/Socket errors: (.*)/.exec(stdout)?.[1] ?? '').matchAll(/\d+/g)].reduce((sum, [count]) => sum + Number(count), 0)
  return {
    requests: Number(requests),
    seconds: Number(took) / (unit === 'ms' ? 1000 : 1),
    unexpected: status < 400 ? failed : requests - failed,
    errors
  }
}
