import type { FastifyInstance } from 'fastify'
import type { CheckContext } from '../../types/check.js'
import { HealthError } from '../errors.js'
import { refuse } from '../refusal.js'

/** A client, or a function that finds it at each run: for one that comes later, or is replaced by another. */
export type Source<Client extends object> = Client | ((app: FastifyInstance) => Client | null | undefined)

/**
 * A way to the client that a check asks.
 * @param check the name of the ready-made check, for the refusal
 * @param methods what the client must be able to do
 * @throws HEALTHZ_ERR_OPTION_INVALID
 */
export function reach<Client extends object> (
  check: string, source: Source<Client>, methods: ReadonlyArray<keyof Client & string>
): (context: CheckContext) => Client {
  const can = (client: unknown): client is Client => typeof client === 'object' && client !== null &&
    methods.every(method => typeof (client as Record<string, unknown>)[method] === 'function')
  const expected = `a client with ${methods.map(method => `\`${method}()\``).join(', ')}, or a function that gives one back`
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
