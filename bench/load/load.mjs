import { spawnSync } from 'node:child_process'
import { createRequire } from 'node:module'
import { autocannon } from './autocannon.mjs'
import { probers } from './probers.mjs'
import { wrk } from './wrk.mjs'

/** Concurrent connections, enough to keep a server busy. */
const CONNECTIONS = 10

export const tools = { wrk, autocannon, probers }

/** The name of the best load generator that is installed. */
export function bestTool () {
  if (spawnSync('wrk', ['--version']).error === undefined) return 'wrk'
  try {
    createRequire(import.meta.url).resolve('autocannon')
    return 'autocannon'
  } catch {
    return 'probers'
  }
}

/** Sends requests for a number of seconds. Returns the number of responses and the time that it took. */
export async function load (tool, server, { seconds, close }) {
  const { requests, seconds: took, unexpected, errors } = await tools[tool](server, { seconds, close, connections: CONNECTIONS })
  if (requests === 0 || unexpected > 0 || errors > 0) {
    throw new Error(`${server.id}: ${requests} responses, ${unexpected} of them not ${server.status}, ${errors} socket errors`)
  }
  return { requests, seconds: took }
}

/** Sends at least `count` requests. */
export async function loadCount (tool, server, count, close = false) {
  for (let requests = 0, seconds = Math.min(1, count / 20_000); requests < count;) {
    const done = await load(tool, server, { seconds, close })
    requests += done.requests
    seconds = Math.max(0.05, Math.min(30, (count - requests) / (done.requests / done.seconds)))
  }
}
