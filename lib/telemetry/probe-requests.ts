import type { IncomingMessage } from 'node:http'

type Answers = (request: IncomingMessage) => boolean

/** The registrations of the process, shared with other copies of this package: the number changes with `Answers`. */
const KEY = Symbol.for('fastify-healthz:probe-requests:1')
const registrations = (process as { [KEY]?: Set<Answers> })[KEY] ??= new Set()

/**
 * Whether a request is answered by the probes of any app of the process: by its path, and by its port where the probes
 * have a separate one. `false` for all requests until the plugin is registered.
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
