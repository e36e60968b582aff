// One core for the server that is measured, another for the load and for what runs the benchmark.
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

if (process.platform !== 'linux') throw new Error("The benchmark reads Linux' /proc, and runs nowhere else")

/** The cores that this process may run on, as `Cpus_allowed_list: 0-3,6` tells them. */
const allowed = /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1]
  .split(',')
  .flatMap(range => {
    const [first, last = first] = range.split('-').map(Number)
    return Array.from({ length: last - first + 1 }, (_, index) => first + index)
  })

export const serverCore = allowed[0]
export const loadCore = allowed.at(-1)

/** Moves this process, its helper threads, and so all that it starts, to the core of the load. */
export function moveToLoadCore () {
  execFileSync('taskset', ['--all-tasks', '--cpu-list', '--pid', String(loadCore), String(process.pid)], { stdio: 'ignore' })
}

/** A command that runs another one on the core of the server. */
export const onServerCore = ['taskset', '--cpu-list', String(serverCore)]
