import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { onServerCore } from './cores.mjs'

// V8 resizes its young generation early in a process, depending on chance. That changed results by 2 µs, so it is fixed.
const FLAGS = ['--max-semi-space-size=16', '--min-semi-space-size=16', '--expose-gc']

const SERVE = fileURLToPath(new URL('serve.mjs', import.meta.url))

/** The environment of this process without `NODE_OPTIONS`. */
export function cleanEnvironment () {
  const { NODE_OPTIONS, ...environment } = process.env
  return environment
}

/**
 * Starts a server in a separate process. Its stdout is `/dev/null`, so that logging is as fast as possible.
 * @throws if the server doesn't start. If a package isn't installed, `missing` is its name.
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

/** Starts servers in parallel. Returns the running ones, and the reasons why the others don't run. */
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
