// A check of PostgreSQL with Knex.
import type { Knex } from 'knex'
import { type Check, HealthError } from 'fastify-healthz'

export function database (knex: Knex, query = 'SELECT 1'): Check {
  return async context => {
    context.awaiting = 'answer'
    try {
      // The server cancels the query at the timeout. If it doesn't respond, Knex gives up 500 ms later.
      await knex.raw(`SET LOCAL statement_timeout = ${context.timeout}; ${query}`).timeout(context.timeout + 500)
    } catch (cause) {
      throw new HealthError('no answer', { cause })
    }
  }
}
