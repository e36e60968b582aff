// A plugin that owns a simulated database and adds the check for it, so that the app doesn't need to know how to check it.
// `contributed.ts` uses it.
import { HealthError } from 'fastify-healthz'
import fp from 'fastify-plugin'

export interface Database {
  /** Set it to `false` to simulate an outage. */
  up: boolean
  /** Rejects while the database is unreachable. */
  ping (): Promise<void>
  close (): Promise<void>
}

declare module 'fastify' {
  interface FastifyInstance {
    db: Database
  }
}

export default fp(async app => {
  const db: Database = {
    up: true,
    async ping () {
      if (!this.up) throw new Error('connect ECONNREFUSED 127.0.0.1:5432')
    },
    async close () {
      this.up = false
    }
  }
  app.decorate('db', db)

  app.healthz.add('ready', 'database', async () => {
    try {
      await db.ping()
    } catch (cause) {
      throw new HealthError("Can't connect", { cause })
    }
  })

  // Checks no longer run when the app closes, so there is no need to remove this one.
  app.addHook('onClose', () => db.close())
}, { name: 'database', fastify: '5.x', dependencies: ['fastify-healthz'] })
