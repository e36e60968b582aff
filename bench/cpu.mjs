import { readdirSync, readFileSync } from 'node:fs'

/**
 * The CPU time of a process including all threads, in µs. The scheduler counts it in ns, whereas `process.cpuUsage()` and
 * `ps` have the resolution of a tick.
 */
export function cpuTime (pid) {
  const tasks = `/proc/${pid}/task`
  return readdirSync(tasks).reduce((sum, task) => sum + Number(readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ')[0]), 0) / 1000
}
