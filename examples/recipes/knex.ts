// A check of a PostgreSQL that is asked through Knex.
import type { Knex } from 'knex'
import { type Check, HealthError } from 'fastify-healthz'

export function database (knex: Knex, query = 'SELECT 1'): Check {
  return async context => {
    context.awaiting = 'answer'
    try {
      // The server ends the query at the timeout. If even that isn't heard of, Knex gives the connection up a moment later.
      await knex.raw(`SET LOCAL statement_timeout = ${context.timeout}; ${query}`).timeout(context.timeout + 500)
    } catch (cause) {
      throw new HealthError('no answer', { cause })
    }
  }
}
