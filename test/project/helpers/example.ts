import { once } from 'node:events'
import { basename, join } from 'node:path'
import { createInterface } from 'node:readline'
import type { LogLine } from '../../helpers/log.js'
import { spawnNode } from '../../helpers/service.js'

/** A program of `examples/` that is running. */
export interface Example {
  /** Where it answers, e.g. `http://127.0.0.1:40123`. */
  readonly url: string
  /** Its log so far, which is all that it may write to stdout. */
  readonly log: readonly LogLine[]
  /** Resolves with the lines that match, once there are so many of them. Rejects when the program ends before. */
  logged (matches: (line: LogLine) => boolean, count?: number): Promise<LogLine[]>
  stop (): Promise<void>
}

/**
 * Starts a built example on a free port, and resolves once it listens.
 *
 * `dist/` must have been built: other suites run what is in it, so it can't be built anew here.
 */
export function startExample (name: string, env?: Record<string, string>): Promise<Example> {
  return startProgram(join(__dirname, '../../../dist/examples', `${name}.js`), env)
}

/** The same for a program that stands elsewhere, with more in its environment. */
export async function startProgram (program: string, env: Record<string, string> = {}): Promise<Example> {
  const name = basename(program, '.js')
  const child = spawnNode([program], { PORT: '0', ...env })
  const log: LogLine[] = []
  const waiting = new Set<() => void>()
  let stderr = ''
  let broken: Error | undefined

  const look = () => { for (const again of waiting) again() }
  const fail = (message: string) => {
    broken ??= new Error(`${name} ${message}`)
    look()
  }
  child.stderr.setEncoding('utf8').on('data', chunk => { stderr += chunk })
  createInterface(child.stdout).on('line', line => {
    try {
      log.push(JSON.parse(line))
    } catch {
      return fail(`wrote a line that isn't of its log: ${line}`)
    }
    look()
  })
  child.on('error', error => fail(`didn't start: ${error.message}`))
  child.on('close', (code, signal) => fail(`ended with ${code ?? signal}: ${stderr}`))

  function logged (matches: (line: LogLine) => boolean, count = 1): Promise<LogLine[]> {
    return new Promise((resolve, reject) => {
      const again = () => {
        const found = log.filter(matches)
        if (broken === undefined && found.length < count) return
        waiting.delete(again)
        if (broken === undefined) resolve(found)
        else reject(broken)
      }
      waiting.add(again)
      again()
    })
  }

  async function stop (): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return
    const closed = once(child, 'close')
    // It ends without a drain.
    child.kill('SIGINT')
    await closed
  }

  try {
    const [line] = await logged(({ msg }) => msg.startsWith('Server listening at'))
    return { url: `http://127.0.0.1:${new URL(line!.msg.split(' at ')[1]!).port}`, log, logged, stop }
  } catch (error) {
    await stop()
    throw error
  }
}
