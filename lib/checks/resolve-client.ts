import type { FastifyInstance } from 'fastify'
import type { CheckContext } from '../../types/check.js'
import { HealthError } from '../errors.js'
import { refuse } from '../validate.js'

/** A client, or a function that returns it on each run, for a client that is created later or replaced. */
export type Source<Client extends object> = Client | ((app: FastifyInstance) => Client | null | undefined)

/**
 * Returns a function that returns the client of a check.
 * @param check the name of the ready-made check, for errors
 * @param methods that the client must have
 * @throws HEALTHZ_ERR_OPTION_INVALID
 */
export function resolveClient<Client extends object> (
  check: string, source: Source<Client>, methods: ReadonlyArray<keyof Client & string>
): (context: CheckContext) => Client {
  const can = (client: unknown): client is Client => typeof client === 'object' && client !== null &&
    methods.every(method => typeof (client as Record<string, unknown>)[method] === 'function')
  const expected = `a client with ${methods.map(method => `\`${method}()\``).join(', ')}, or a function that returns one`
  if (typeof source === 'function') {
    return ({ app }) => {
      const client = source(app)
      if (client === null || client === undefined) throw new HealthError('not connected')
      return can(client) ? client : refuse(`client of ${check}()`, expected, client)
    }
  }
  if (!can(source)) refuse(`client of ${check}()`, expected, source)
  return () => source
}
