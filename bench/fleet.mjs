import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onServerCore } from './cores.mjs'

// V8 sizes its young generation by chance events early in a process, which moved results by 2 µs; here it has one size.
const FLAGS = ['--max-semi-space-size=16', '--min-semi-space-size=16', '--expose-gc']

const SERVE = fileURLToPath(new URL('serve.mjs', import.meta.url))

/** The environment of this process without what would change how Node runs in another. */
export function cleanEnvironment () {
  const { NODE_OPTIONS, ...environment } = process.env
  return environment
}

/**
 * Starts a server in a process of its own. Its stdout is `/dev/null`: an app's logger writes there, as fast as can be.
 * A server that can't be loaded is told by an error with `missing`, the package that isn't there.
 */
export async function startServer ({ status = 200, ...spec }) {
  const { id, server, options = {} } = spec
  const [command, ...args] = onServerCore
  const child = spawn(command, [...args, process.execPath, ...FLAGS, SERVE, JSON.stringify({ server, options })], {
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    env: cleanEnvironment()
  })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', chunk => { stderr += chunk })
  const closed = once(child, 'close')
  const [message] = await Promise.race([once(child, 'message'), closed])
  if (message?.port === undefined) {
    const missing = /Cannot find (?:package|module) '([^']+)'/.exec(stderr)?.[1]
    throw Object.assign(new Error(`${id} didn't start: ${stderr}`), { missing })
  }
  return {
    ...spec,
    ...message,
    status,
    pid: child.pid,
    async heap () {
      child.send('heap')
      const [{ heap }] = await once(child, 'message')
      return heap
    },
    async stop () {
      child.kill('SIGKILL')
      await closed
    }
  }
}

/** Starts servers side by side. Gives back those that run, and why the others don't. */
export async function startFleet (servers) {
  const started = await Promise.allSettled(servers.map(startServer))
  const fleet = started.filter(({ status }) => status === 'fulfilled').map(({ value }) => value)
  const absent = new Map()
  for (const [index, { reason }] of started.entries()) {
    if (reason === undefined) continue
    if (reason.missing === undefined || servers[index].peer === undefined) {
      await Promise.all(fleet.map(server => server.stop()))
      throw reason
    }
    absent.set(servers[index].id, `${reason.missing} isn't installed`)
  }
  return { fleet, absent }
}
