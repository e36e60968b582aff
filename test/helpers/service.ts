import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import type { Test } from 'tap'
import type { LogLine } from './log.js'

const PRELUDE = `
  const Fastify = require('fastify')
  const healthz = require('./lib/index.js')
  const stream = { write (line) { require('node:fs').writeSync(1, line) } }
  const say = (msg, rest) => { stream.write(JSON.stringify({ msg, ...rest }) + '\\n') }
`

/**
 * A process of its own, with the plugin from its sources; everything that it writes to stdout is lines of JSON.
 * pino by itself writes when it can, and what is left when the process exits, in no sure order: give it `stream`.
 */
export function startService (t: Test, program: string) {
  const child = spawn(process.execPath, [...process.execArgv, '--eval', `${PRELUDE};(async () => {${program}})()`], {
    stdio: ['ignore', 'pipe', 'pipe']
  })
  t.teardown(() => child.kill('SIGKILL'))
  const lines: LogLine[] = []
  const waiting = new Set<() => void>()
  let stderr = ''
  let ended = false
  child.stderr.setEncoding('utf8').on('data', chunk => { stderr += chunk })
  const reader = createInterface(child.stdout).on('line', line => {
    lines.push(JSON.parse(line))
    for (const look of waiting) look()
  })
  const exit = Promise.all([once(child, 'exit'), once(reader, 'close'), once(child.stderr, 'close')]).then(([[code, signal]]) => {
    ended = true
    for (const look of waiting) look()
    return { code: code as number | null, signal, lines, stderr }
  })

  /** Resolves with the first line of that message, once it is there; rejects when the process ends without it. */
  function line (msg: string | RegExp): Promise<LogLine> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const found = lines.find(line => typeof msg === 'string' ? line.msg === msg : msg.test(line.msg))
        if (found === undefined && !ended) return
        waiting.delete(look)
        if (found !== undefined) resolve(found)
        else reject(new Error(`${msg} was not said: ${JSON.stringify(lines)} ${stderr}`))
      }
      waiting.add(look)
      look()
    })
  }

  return { exit, line, lines, kill: (signal: NodeJS.Signals) => { child.kill(signal) } }
}
