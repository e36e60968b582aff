// Checks in a module of their own. `specifiers.ts` registers them by name; they find what they need on the app, by
// `getDecorator`, which is in Fastify 5.3 and later.
import { type Check, HealthError } from 'fastify-healthz'

export interface Worker {
  /** When it last took up work, as in `Date.now()`. */
  lastTurn: number
}

export interface Database {
  /** Rejects while the database can't be reached. */
  ping (): Promise<void>
}

/** Fails when the worker is stuck, which a restart mends. `this` is the app, because it is no arrow function. */
export const liveness: Check = function () {
  return Date.now() - this.getDecorator<Worker>('worker').lastTurn < 60_000
}

/** Fails while the database is away, which a restart doesn't mend. `context.app` is the same app. */
export const readiness: Check = async ({ app }) => {
  try {
    await app.getDecorator<Database>('database').ping()
  } catch (cause) {
    throw new HealthError("Can't connect to the database", { cause })
  }
}
