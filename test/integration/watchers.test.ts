// What docs/shutdown.md says of watchers, with those themselves: in a terminal and without one.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t, { type Test } from 'tap'
import { project } from '../helpers/package.js'

/** An app that says in which version it listens, and writes the messages of its log. */
const program = (version: number) => `
  const { writeSync } = require('node:fs')
  const say = line => { writeSync(1, line + '\\n') }
  const app = require(${JSON.stringify(join(project, 'node_modules/fastify'))})({
    logger: { stream: { write: line => say(JSON.parse(line).msg) } }
  })
  app.register(require(${JSON.stringify(join(project, 'dist/lib/index.js'))}), { shutdown: true })
  app.addHook('onClose', async () => {
    await new Promise(resolve => setTimeout(resolve, 100))
    say('closed ${version}')
  })
  app.listen({ port: 0, host: '127.0.0.1' }).then(() => say('up ${version}'))
  process.on('exit', code => say('exit ${version} ' + code))
`

const WATCHERS = {
  'node --watch': ['--watch', 'app.js'],
  'tsx watch': [join(project, 'node_modules/tsx/dist/cli.mjs'), 'watch', 'app.ts']
}
/** `script` of util-linux runs a command in a pseudo-terminal. */
const noTerminal = spawnSync('script', ['--version']).stdout?.includes('util-linux') ? false : '`script` of util-linux is missing'

function start (t: Test, args: readonly string[], inTerminal: boolean) {
  const folder = mkdtempSync(join(tmpdir(), 'healthz-watchers-'))
  const file = join(folder, args.at(-1)!)
  const write = (version: number) => writeFileSync(file, program(version))
  write(1)
  const [command, ...rest] = inTerminal
    // `exec`, since a shell that waits would get the Ctrl-C as well, and exit by it: dash does.
    ? ['script', '-qec', `exec ${[process.execPath, ...args].map(word => `'${word}'`).join(' ')}`, '/dev/null'] as const
    : [process.execPath, ...args] as const
  const child = spawn(command, rest, {
    cwd: folder,
    env: { ...process.env, _TAPJS_PROCESSINFO_COVERAGE_: '0', KUBERNETES_SERVICE_HOST: undefined },
    // A process group, as a shell makes one, for the Ctrl-C.
    detached: true,
    stdio: [inTerminal ? 'pipe' : 'ignore', 'pipe', 'pipe']
  })
  const exit = once(child, 'exit')
  t.teardown(async () => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid!, 'SIGKILL')
    await exit
    rmSync(folder, { recursive: true })
  })
  let output = ''
  child.stdout!.setEncoding('utf8').on('data', chunk => { output += chunk })
  child.stderr!.setEncoding('utf8').on('data', chunk => { output += chunk })

  async function says (line: string): Promise<void> {
    while (!output.includes(line)) {
      if (child.exitCode !== null) throw new Error(`it exited and didn't say ${line}: ${output}`)
      await new Promise(resolve => setTimeout(resolve, 10))
    }
  }
  function pressCtrlC (): void {
    if (inTerminal) child.stdin!.write('\x03')
    else process.kill(-child.pid!, 'SIGINT')
  }
  return { write, says, pressCtrlC, exit, output: () => output }
}

for (const [name, args] of Object.entries(WATCHERS)) {
  t.test(`${name} in a terminal restarts without a drain, and Ctrl-C closes the app once`, { skip: noTerminal }, async t => {
    const watcher = start(t, args, true)
    await watcher.says('up 1')
    await restarts(t, watcher)
    await ends(t, watcher)
  })

  t.test(`${name} without a terminal: Ctrl-C closes the app once`, async t => {
    const watcher = start(t, args, false)
    await watcher.says('up 1')
    // There is nothing by which a process could know that it is run by `tsx watch`.
    if (name === 'node --watch') await restarts(t, watcher)
    await ends(t, watcher)
  })
}

type Watcher = ReturnType<typeof start>

async function restarts (t: Test, { write, says, output }: Watcher): Promise<void> {
  // The watcher may not watch yet.
  await new Promise(resolve => setTimeout(resolve, 500))
  const began = performance.now()
  write(2)
  await says('up 2')
  t.match(output(), /SIGTERM: draining for 0 s[^]*closed 1[^]*exit 1 0/)
  t.comment(`restarted in ${Math.round(performance.now() - began)} ms`)
}

async function ends (t: Test, { pressCtrlC, exit, output }: Watcher): Promise<void> {
  const version = output().includes('up 2') ? 2 : 1
  pressCtrlC()
  const [code] = await exit
  t.equal(code, 0)
  t.match(output(), new RegExp(`SIGINT: draining for 0 s[^]*closed ${version}[^]*exit ${version} 0`))
  t.notMatch(output(), 'SIGINT during shutdown')
}
