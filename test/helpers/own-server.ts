import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { hasAll, listens } from './services.js'

/** A dedicated server for one test, which can do things that would disturb other tests on a shared one. */
export interface OwnServer {
  readonly port: number
  /** Its own directory, removed after the test. */
  readonly dir: string
  /** Suspends the process: its connections stay open, and the kernel buffers what is sent to it. */
  freeze (): Promise<void>
  thaw (): void
  stop (): Promise<void>
  /** Restarts it on the same port, after `stop()`. */
  start (...args: string[]): Promise<void>
}

/**
 * Starts a server on a free port. `{port}` and `{dir}` are replaced in its arguments and in `conf`.
 * @param conf the content of the file `conf` in its directory
 * @param signal the signal that stops it
 */
export async function ownServer (
  t: Test, command: string, args: readonly string[], conf = '', signal: NodeJS.Signals = 'SIGKILL'
): Promise<OwnServer> {
  const port = await freePort()
  const dir = mkdtempSync(join(tmpdir(), 'healthz-'))
  const fill = (text: string): string => text.replaceAll('{port}', String(port)).replaceAll('{dir}', dir)
  let child: ChildProcess | undefined
  const stop = async (): Promise<void> => {
    if (child === undefined || child.exitCode !== null) return
    const ended = once(child, 'exit')
    child.kill(signal)
    child = undefined
    await ended
  }
  const start = async (...more: string[]): Promise<void> => {
    writeFileSync(join(dir, 'conf'), fill(conf))
    child = spawn(command, [...args, ...more].map(fill), { cwd: dir, stdio: 'ignore' })
    await once(child, 'spawn')
    while (!await listens(port)) {
      if (child.exitCode !== null) throw new Error(`${command} ended with ${child.exitCode}`)
      await sleep(5)
    }
  }
  t.teardown(async () => {
    await stop()
    rmSync(dir, { recursive: true, force: true })
  })
  await start()
  return {
    port,
    dir,
    async freeze () {
      child?.kill('SIGSTOP')
      await frozen(child?.pid)
    },
    thaw: () => { child?.kill('SIGCONT') },
    stop,
    start
  }
}

/** The directory of Debian's PostgreSQL programs, which isn't on the PATH. */
const POSTGRES = ['18', '17', '16', '15'].map(version => `/usr/lib/postgresql/${version}/bin`).find(dir => existsSync(dir))

/** Like `needsCommands`, for `ownPostgres`. */
export const needsPostgres = (t: Test): boolean => hasAll(t, POSTGRES === undefined ? ["Debian's package postgresql"] : [])

/** Starts PostgreSQL with the superuser `postgres`. If the test runs as root, the server runs as the user `postgres`. */
export async function ownPostgres (t: Test): Promise<OwnServer> {
  const dir = mkdtempSync(join(tmpdir(), 'healthz-postgres-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  chmodSync(dir, 0o777)
  const data = join(dir, 'data')
  const as = process.getuid!() === 0 ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups'] : ['env']
  execFileSync(as[0]!, [...as.slice(1), `${POSTGRES}/initdb`, '-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync'], { cwd: '/' })
  const options = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'fsync=off'].flatMap(option => ['-c', option])
  // SIGINT requests a fast shutdown, which disconnects all clients.
  return ownServer(t, as[0]!, [...as.slice(1), `${POSTGRES}/postgres`, '-D', data, '-p', '{port}', ...options], '', 'SIGINT')
}

/** Resolves when SIGSTOP has stopped all threads, which takes a moment. */
async function frozen (pid: number | undefined): Promise<void> {
  const tasks = `/proc/${pid}/task`
  const states = () => readdirSync(tasks).map(task => readFileSync(`${tasks}/${task}/stat`, 'utf8'))
  while (existsSync(tasks) && !states().every(stat => stat.includes(') T '))) await sleep(1)
}

/** Like `needs()` in `services.ts`, for commands that start dedicated servers. */
export function needsCommands (t: Test, ...commands: string[]): boolean {
  return hasAll(t, commands.filter(command => spawnSync(command, ['--version']).error !== undefined))
}

/** A free port on the loopback interface. */
export async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
