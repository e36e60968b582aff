import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Test } from 'tap'
import { hasAll, listens } from './services.js'

/** A server of a test's own, for what would hurt others on a shared one. */
export interface OwnServer {
  readonly port: number
  /** A folder of its own, which goes with the test. */
  readonly dir: string
  /** Stops it where it is: its connections stay, and the kernel takes what is sent to it. */
  freeze (): Promise<void>
  thaw (): void
  stop (): Promise<void>
  /** Starts it again on its port, after `stop()`. */
  start (...args: string[]): Promise<void>
}

/**
 * Starts a server on a free port. Its arguments may name `{port}` and `{dir}`; so may the text of a file `conf` in `{dir}`.
 * @param signal stops it
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

/** The programs of Debian's package, which aren't on the PATH. */
const POSTGRES = ['18', '17', '16', '15'].map(version => `/usr/lib/postgresql/${version}/bin`).find(dir => existsSync(dir))

/** As `needsCommands`, for `ownPostgres`. */
export const needsPostgres = (t: Test): boolean => hasAll(t, POSTGRES === undefined ? ["Debian's package postgresql"] : [])

/** Starts a PostgreSQL with the user `postgres`, as whom it runs where the test is root, which it refuses to be. */
export async function ownPostgres (t: Test): Promise<OwnServer> {
  const dir = mkdtempSync(join(tmpdir(), 'healthz-postgres-'))
  t.teardown(() => rmSync(dir, { recursive: true, force: true }))
  chmodSync(dir, 0o777)
  const data = join(dir, 'data')
  const as = process.getuid!() === 0 ? ['setpriv', '--reuid=postgres', '--regid=postgres', '--clear-groups'] : ['env']
  execFileSync(as[0]!, [...as.slice(1), `${POSTGRES}/initdb`, '-D', data, '-U', 'postgres', '-A', 'trust', '--no-sync'], { cwd: '/' })
  const options = ['listen_addresses=127.0.0.1', 'unix_socket_directories=', 'fsync=off'].flatMap(option => ['-c', option])
  // SIGINT is its fast shutdown: it disconnects its clients.
  return ownServer(t, as[0]!, [...as.slice(1), `${POSTGRES}/postgres`, '-D', data, '-p', '{port}', ...options], '', 'SIGINT')
}

/** The signal takes effect a moment after it was sent, thread by thread. */
async function frozen (pid: number | undefined): Promise<void> {
  const tasks = `/proc/${pid}/task`
  const states = () => readdirSync(tasks).map(task => readFileSync(`${tasks}/${task}/stat`, 'utf8'))
  while (existsSync(tasks) && !states().every(stat => stat.includes(') T '))) await sleep(1)
}

/** As `needs()` of services: whether the machine has the commands, to start servers of a test's own. */
export function needsCommands (t: Test, ...commands: string[]): boolean {
  return hasAll(t, commands.filter(command => spawnSync(command, ['--version']).error !== undefined))
}

/** A port of the loopback that nobody listens on. */
export async function freePort (): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return port
}
