import { readdirSync, readFileSync } from 'node:fs'

/**
 * The time that a process has had on a core, in µs: all its threads, as the scheduler counts it, in ns. The times that
 * `process.cpuUsage()` and `ps` tell come in ticks.
 */
export function cpuTime (pid) {
  const tasks = `/proc/${pid}/task`
  return readdirSync(tasks).reduce((sum, task) => sum + Number(readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ')[0]), 0) / 1000
}
