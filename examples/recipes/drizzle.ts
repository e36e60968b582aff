// A check of PostgreSQL with Drizzle, whose `$client` is its connection pool.
import type { NodePgDatabase } from 'drizzle-orm/node-postgres'
import type { Check } from 'fastify-healthz'
import { postgres } from 'fastify-healthz/checks'
import type { Pool } from 'pg'

export function database (db: NodePgDatabase & { $client: Pool }): Check {
  return postgres(db.$client)
}
