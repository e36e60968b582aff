// A check of PostgreSQL with Prisma 7 and its driver adapter. Both share one connection pool.
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
