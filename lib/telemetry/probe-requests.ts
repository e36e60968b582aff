import type { IncomingMessage } from 'node:http'

type Answers = (request: IncomingMessage) => boolean

/** The registrations of the process, shared with other copies of this package: the number changes with `Answers`. */
const KEY = Symbol.for('fastify-healthz:probe-requests:1')
const registrations = (process as { [KEY]?: Set<Answers> })[KEY] ??= new Set()

/**
 * Returns whether a request is for a probe of any app of the process. Compares its path and, if the probes have a separate
 * port, its port. `false` for all requests until the plugin is registered.
 */
export function isProbe (request: IncomingMessage): boolean {
  for (const answers of registrations) if (answers(request)) return true
  return false
}

/**
 * @param answers whether a registration answers a request
 * @returns a function that removes it
 */
export function addProbes (answers: Answers): () => void {
  registrations.add(answers)
  return () => { registrations.delete(answers) }
}
