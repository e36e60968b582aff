import { healthzError } from '../errors.js'

/** The parts of a client that are used, the same in both. */
export type Client = Pick<typeof import('prom-client'), 'Counter' | 'Gauge' | 'Histogram' | 'Registry' | 'register'>

/**
 * Returns the client whose metrics go to the registry, and the registry: by default the global one of the installed client.
 * @throws HEALTHZ_ERR_METRICS_CLIENT_MISSING, HEALTHZ_ERR_METRICS_CLIENT_AMBIGUOUS
 */
export function findClient<R extends object> (given: R | undefined): { client: Client, register: R | Client['register'] } {
  const [client, other] = installed()
  if (client === undefined) throw healthzError('HEALTHZ_ERR_METRICS_CLIENT_MISSING')
  if (given === undefined) {
    if (other !== undefined) throw healthzError('HEALTHZ_ERR_METRICS_CLIENT_AMBIGUOUS')
    return { client, register: client.register }
  }
  // The registry of another copy, such as a dependency of fastify-metrics, accepts the metrics of either client.
  return { client: other !== undefined && given instanceof other.Registry ? other : client, register: given }
}

/** Literal names required directly within `try` are optional for bundlers. */
function installed (): Client[] {
  const clients: Client[] = []
  try {
    clients.push(require('@prometheus-io/client'))
  } catch (error) {
    throwUnlessMissing(error, '@prometheus-io/client')
  }
  try {
    clients.push(require('prom-client'))
  } catch (error) {
    throwUnlessMissing(error, 'prom-client')
  }
  return clients
}

/** Rethrows the error of a client that is installed but fails to load, e.g. because one of its dependencies is missing. */
function throwUnlessMissing (error: unknown, name: string): void {
  const { code, message } = error as NodeJS.ErrnoException
  // A single executable has no packages at all.
  if (code === 'ERR_UNKNOWN_BUILTIN_MODULE') return
  // The wording of Node.js, Bun, Deno and webpack, or of Yarn's Plug'n'Play.
  if (code === 'MODULE_NOT_FOUND' && (message.includes(`'${name}'`) || message.includes(`Required package: ${name}`))) return
  throw error
}
