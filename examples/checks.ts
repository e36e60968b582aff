// Checks in a separate module. `specifiers.ts` registers them by specifier. They get their dependencies from the app with
// `getDecorator`, which requires Fastify 5.3.
import { type Check, HealthError } from 'fastify-healthz'

export interface Worker {
  /** When it last started a job, in ms since the epoch. */
  lastTurn: number
}

export interface Database {
  /** Rejects while the database is unreachable. */
  ping (): Promise<void>
}

/** Fails when the worker is stuck, which a restart fixes. `this` is the app, since this isn't an arrow function. */
export const liveness: Check = function () {
  return Date.now() - this.getDecorator<Worker>('worker').lastTurn < 60_000
}

/** Fails while the database is down, which a restart doesn't fix. `context.app` is the same app. */
export const readiness: Check = async ({ app }) => {
  try {
    await app.getDecorator<Database>('database').ping()
  } catch (cause) {
    throw new HealthError("Can't connect to the database", { cause })
  }
}
