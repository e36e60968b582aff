// A check of MongoDB with Mongoose. Pass `mongoose.connection` or a connection from `createConnection()`.
//
//   app.healthz.add('ready', 'database', database(mongoose.connection))
import { type Check, HealthError } from 'fastify-healthz'
import { type Connection, ConnectionStates } from 'mongoose'

export function database (connection: Connection): Check {
  return async context => {
    // Mongoose buffers commands until it is connected.
    if (connection.readyState !== ConnectionStates.connected || connection.db === undefined) throw new HealthError('not connected')
    context.awaiting = 'answer'
    try {
      // The signal also cancels server selection, which otherwise takes up to `serverSelectionTimeoutMS` (30 s).
      await connection.db.command({ ping: 1 }, { signal: context.signal })
    } catch (cause) {
      throw new HealthError('no answer', { cause })
    }
  }
}
