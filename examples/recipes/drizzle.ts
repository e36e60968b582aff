// A check of a PostgreSQL that is asked through Drizzle: its `$client` is the pool that it takes connections from.
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import type { Check } from 'fastify-healthz'
import { postgres } from 'fastify-healthz/checks'
import type { Pool } from 'pg'

export function database (db: NodePgDatabase & { $client: Pool }): Check {
  return postgres(db.$client)
}
