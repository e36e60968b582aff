import { once } from 'node:events'
import { createServer } from 'node:net'
import { logLevel } from 'kafkajs'
import mongoose, { type Connection } from 'mongoose'
import t, { type Test } from 'tap'
import { kafkaCheck } from '../../../examples/recipes/kafka.js'
import { database } from '../../../examples/recipes/mongoose.js'
import { readyWith } from '../../helpers/ready.js'

// There is no MongoDB and no Kafka here: what is shown is what comes of a port where nobody listens, and of a server
// that takes the connection and never answers.

/** A server that answers nothing. */
async function silent (t: Test): Promise<number> {
  const server = createServer(socket => { socket.on('error', () => {}).resume() }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return (server.address() as { port: number }).port
}

const NOBODY = 1

t.test('mongoose: what is not connected fails at once', async t => {
  for (const port of [NOBODY, await silent(t)]) {
    const connection = mongoose.createConnection(`mongodb://127.0.0.1:${port}/test`, { serverSelectionTimeoutMS: 500, connectTimeoutMS: 500 })
    const failed = connection.asPromise().catch(error => error)
    const { ask } = await readyWith(t, { database: database(connection) })
    t.equal(await ask(), 'database: not connected')
    t.match(await failed, { name: 'MongooseServerSelectionError' })
    t.equal(await ask(), 'database: not connected')
    await connection.destroy()
  }
})

t.test('mongoose: a command that hangs ends at the timeout', async t => {
  // As its driver stands when the server is lost and Mongoose hasn't heard of it.
  const client = new mongoose.mongo.MongoClient(`mongodb://127.0.0.1:${await silent(t)}`, { serverSelectionTimeoutMS: 60_000, connectTimeoutMS: 500 })
  t.teardown(() => client.close())
  const { ask } = await readyWith(t, { database: database({ readyState: 1, db: client.db('test') } as Connection) })
  t.equal(await ask(), 'database: no answer within 150 ms')
})

t.test('kafka: a broker that refuses fails, and one that hangs is late', async t => {
  const kafka = (port: number) => {
    const options = { brokers: [`127.0.0.1:${port}`], logLevel: logLevel.NOTHING, connectionTimeout: 500, requestTimeout: 500 }
    const { check, close } = kafkaCheck(options)
    t.teardown(close)
    return check
  }
  const refused = await readyWith(t, { events: kafka(NOBODY) }, 5000)
  t.equal(await refused.ask(), 'events: no answer')
  t.match(refused.lines.at(-1), { err: { message: /ECONNREFUSED/ } })

  const hanging = await readyWith(t, { events: kafka(await silent(t)) })
  t.equal(await hanging.ask(), 'events: no connection within 150 ms')
})
