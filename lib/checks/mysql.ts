import type { Check, CheckContext } from '../../types/check.js'
import { reach, type Source } from './client.js'
import { failure } from './failure.js'
import { askOn, untilAborted } from './loan.js'
import { readQuery, type QueryOptions } from './query.js'

/**
 * A pool or a connection of `mysql2` or of `mysql2/promise`, or what `@fastify/mysql` decorates the app with, which has
 * one as `pool` or as `connection`.
 */
export interface MysqlClient {
  query (sql: string): unknown
  execute (sql: string): unknown
}

interface Pool {
  getConnection (): Promise<PoolConnection>
  on (event: 'enqueue', listener: () => void): unknown
  off (event: 'enqueue', listener: () => void): unknown
}

interface Connection {
  query (sql: string): Promise<unknown>
}

interface PoolConnection extends Connection {
  release (): void
  destroy (): void
  readonly connection: {
    readonly stream: { destroy (): void }
    on (event: 'error', listener: (error: Error) => void): unknown
    off (event: 'error', listener: (error: Error) => void): unknown
  }
}

/** `max_statement_time` of MariaDB is exceeded. The driver has no name for an error that MySQL doesn't have. */
const ER_STATEMENT_TIMEOUT = 1969
/** `MAX_EXECUTION_TIME` of MySQL is. */
const ER_QUERY_TIMEOUT = 3024

const WORDS: Readonly<Record<string, string>> = {
  1927: 'connection lost', // ER_CONNECTION_KILLED of MariaDB
  ER_ACCESS_DENIED_ERROR: 'login refused',
  ER_ACCESS_DENIED_NO_PASSWORD_ERROR: 'login refused',
  ER_BAD_DB_ERROR: 'no such database',
  ER_CON_COUNT_ERROR: 'too many connections',
  ER_DBACCESS_DENIED_ERROR: 'login refused',
  ER_HOST_IS_BLOCKED: 'login refused',
  ER_HOST_NOT_PRIVILEGED: 'login refused',
  ER_SERVER_SHUTDOWN: 'not accepting connections',
  ER_TOO_MANY_USER_CONNECTIONS: 'too many connections',
  ER_USER_LIMIT_REACHED: 'too many connections',
  PROTOCOL_CONNECTION_LOST: 'connection lost',
  "Can't add new command when connection is in closed state": 'not connected',
  'No connections available.': 'no free connection',
  'Pool is closed.': 'not connected',
  'Queue limit reached.': 'no free connection'
}

/**
 * Runs a query, on a connection of the pool or on the connection itself. The server ends the query at the timeout, even
 * when the network is down; a pool's connection is given back if it is in good order, or else destroyed.
 * @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
export function mysql (source: Source<MysqlClient>, options: QueryOptions = {}): Check {
  const clientOf = reach('mysql', source, ['query', 'execute'])
  const query = readQuery('mysql', options)
  return async context => {
    const client = promised(clientOf(context))
    const limited = limit(query, context.timeout)
    try {
      if ('getConnection' in client) await askPool(client, limited, context)
      else await askConnection(client, limited, context)
    } catch (cause) {
      throw failure(cause, WORDS)
    }
  }
}

/** The same client with promises: a decorator holds one, and so does a client with promises, without. */
function promised (client: MysqlClient): Pool | Connection {
  const { pool, connection = pool ?? client } = client as { pool?: object, connection?: object }
  const { promise } = connection as { promise?: () => Pool | Connection }
  return promise === undefined ? connection as Pool | Connection : promise.call(connection)
}

/**
 * A query that the server ends by itself. What is in the first comment is for MariaDB alone, what is in the second for
 * MySQL, which only knows it for `SELECT`. Nothing of either outlives the query.
 */
function limit (query: string, ms: number): string {
  return `/*M! SET STATEMENT max_statement_time=${ms / 1000} FOR */ ` +
    query.replace(/^\s*SELECT\b/i, `$& /*+ MAX_EXECUTION_TIME(${ms}) */`)
}

function isOutOfTime (error: unknown): boolean {
  const { errno } = error as { errno?: unknown }
  return errno === ER_STATEMENT_TIMEOUT || errno === ER_QUERY_TIMEOUT
}

async function askConnection (connection: Connection, query: string, context: CheckContext): Promise<void> {
  context.awaiting = 'answer'
  try {
    await connection.query(query)
  } catch (error) {
    if (isOutOfTime(error)) await untilAborted(context.signal)
    throw error
  }
}

async function askPool (pool: Pool, query: string, context: CheckContext): Promise<void> {
  context.awaiting = 'connection'
  const enqueued = (): void => { context.awaiting = 'free connection' }
  pool.on('enqueue', enqueued)
  const connecting = pool.getConnection()
  pool.off('enqueue', enqueued)
  const connection = await connecting
  await askOn({
    ask: () => connection.query(query),
    isOutOfTime,
    giveBack: () => connection.release(),
    destroy () {
      connection.destroy()
      // By itself the driver only ends its side, and waits for a server that may never hear of it.
      connection.connection.stream.destroy()
    },
    events: connection.connection
  }, context)
}
