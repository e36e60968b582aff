// One core for the server under test, another for the load generator and the benchmark itself.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

if (process.platform !== 'linux') throw new Error('The benchmark requires Linux, since it reads /proc')

/** The cores that this process may run on, parsed from a line such as `Cpus_allowed_list: 0-3,6`. */
const allowed = /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]
  .split(',')
  .flatMap(range => {
    const [first, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  })

export const serverCore = allowed[0]
export const loadCore = allowed.at(-1)

/** Pins this process with its threads, and thereby its child processes, to the core of the load generator. */
export function moveToLoadCore () {
  execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', String(loadCore), String(process.pid)], { stdio: 'ignore' })
}

/** The command prefix that pins a command to the core of the server. */
export const onServerCore = ['taskset', '--cpu-list', String(serverCore)]
