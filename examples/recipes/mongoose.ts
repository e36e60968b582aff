// A check of a MongoDB that is asked through Mongoose: `mongoose.connection`, or one of `createConnection()`.
//
//   app.healthz.add('ready', 'database', database(mongoose.connection))
import { type Check, HealthError } from 'fastify-healthz'
import { type Connection, ConnectionStates } from 'mongoose'

export function database (connection: Connection): Check {
  return async context => {
    // Mongoose would keep the command until it is connected.
    if (connection.readyState !== ConnectionStates.connected || connection.db === undefined) throw new HealthError('not connected')
    context.awaiting = 'answer'
    try {
      // The signal ends the search for a server, too, which otherwise takes `serverSelectionTimeoutMS`: 30 s.
      await connection.db.command({ ping: 1 }, { signal: context.signal })
    } catch (cause) {
      throw new HealthError('no answer', { cause })
    }
  }
}
