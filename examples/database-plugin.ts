// A plugin that owns a pretend database and brings along the check for it, so that whoever registers it need not know
// how to ask. `contributed.ts` does.
import { HealthError } from 'fastify-healthz'
import fp from 'fastify-plugin'

export interface Database {
  /** Set it to `false` to take the database away. */
  up: boolean
  /** Rejects while the database can't be reached. */
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

  // No check runs any more once the app begins to close, so nothing has to be taken away.
  app.addHook('onClose', () => db.close())
}, { name: 'database', fastify: '5.x', dependencies: ['fastify-healthz'] })
