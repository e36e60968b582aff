import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import type { LogLine } from './log.js'

export const PRELUDE = `
  const Fastify = require('fastify')
  const healthz = require('./dist/lib/index.js')
  const stream = { write (line) { require('node:fs').writeSync(1, line) } }
  const say = (msg, rest) => { stream.write(JSON.stringify({ msg, ...rest }) + '\\n') }
`

/** The arguments for `spawnNode` that load TypeScript as tap does. */
export const TYPESCRIPT = process.execArgv.filter(arg => arg.includes('@tapjs/typescript'))

/** A module to preload that gives every separate port a thread. */
export const WITH_THREAD = join(__dirname, 'with-thread.cjs')

/** Whether it is preloaded, as in the tests that test/watchdog/thread.test.ts repeats. */
export const THREAD = process.env.HEALTHZ_THREAD === '1'

/**
 * Starts Node.js as users do. tap adds its loaders to every child process with `NODE_OPTIONS`. They take a second to load
 * and listen for signals. The command `env` removes them, and then replaces itself with Node.js.
 */
export function spawnNode (args: readonly string[], env: Record<string, string> = {}, options: { detached?: boolean } = {}) {
  const variables = Object.entries(env).map(([name, value]) => `${name}=${value}`)
  const preload = THREAD ? ['--require', WITH_THREAD] : []
  return spawn('env', ['-u', 'NODE_OPTIONS', ...variables, process.execPath, ...preload, ...args], options)
}

/**
 * Starts a separate process with the plugin from `dist/`, which must have been built. It must write only lines of JSON to
 * stdout. Pass `stream` to pino, whose own writes are asynchronous and could come in another order.
 */
export function startService (t: Test, program: string) {
  return follow(t, spawnNode(['--eval', `${PRELUDE};(async () => {${program}})()`]))
}

/** Reads the output of a process, by default lines of JSON on stdout. The process is killed at the end of the test. */
export function follow (t: Test, child: ChildProcessWithoutNullStreams, parse: (line: string) => LogLine = JSON.parse) {
  t.teardown(() => child.kill('SIGKILL'))
  const lines: LogLine[] = []
  const waiting = new Set<() => void>()
  let stderr = ''
  let ended = false
  child.stderr.setEncoding('utf8').on('data', chunk => {
    stderr += chunk
    for (const look of waiting) look()
  })
  const reader = createInterface(child.stdout).on('line', line => {
    lines.push(parse(line))
    for (const look of waiting) look()
  })
  const exit = Promise.all([once(child, 'exit'), once(reader, 'close'), once(child.stderr, 'close')]).then(([[code, signal]]) => {
    ended = true
    for (const look of waiting) look()
    return { code: code as number | null, signal, lines, stderr }
  })

  /** Resolves with the first line with that message. Rejects if the process exits without it. */
  function line (msg: string | RegExp): Promise<LogLine> {
    return until(msg, () => lines.find(line => typeof msg === 'string' ? line.msg === msg : msg.test(line.msg)))
  }

  /** Resolves once stderr matches. Rejects if the process exits before that. */
  function complaint (pattern: RegExp): Promise<RegExpExecArray> {
    return until(pattern, () => pattern.exec(stderr) ?? undefined)
  }

  function until<T> (what: string | RegExp, find: () => T | undefined): Promise<T> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = find()
        if (found === undefined && !ended) return
        waiting.delete(look)
        if (found !== undefined) resolve(found)
        else reject(new Error(`${what} was not said: ${JSON.stringify(lines)} ${stderr}`))
      }
      waiting.add(look)
      look()
    })
  }

  return { exit, line, lines, complaint, kill: (signal: NodeJS.Signals) => { child.kill(signal) } }
}
