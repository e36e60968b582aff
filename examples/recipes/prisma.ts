// A check of a PostgreSQL that is asked through Prisma 7 with its driver adapter: both take connections from one pool.
//
//   const { adapter, database } = withPrisma(new pg.Pool({ connectionTimeoutMillis: 5000 }))
//   const prisma = new PrismaClient({ adapter })
//   app.healthz.add('ready', 'database', database)
import { PrismaPg } from '@prisma/adapter-pg'
import { postgres } from 'fastify-healthz/checks'
import type { Pool } from 'pg'

export function withPrisma (pool: Pool) {
  return { adapter: new PrismaPg(pool), database: postgres(pool) }
}
