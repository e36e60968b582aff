import type { Check, CheckContext } from '../../types/check.js'
import { resolveClient, type Source } from './resolve-client.js'
import { toHealthError } from './to-health-error.js'
import { runPooled, untilAborted } from './pooled-query.js'
import { readQuery, type QueryOptions } from './query.js'

/**
 * A pool or a connection of `mysql2` or `mysql2/promise`, or the decorator of `@fastify/mysql`, which has one as `pool` or
 * `connection`.
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

/** MariaDB's `max_statement_time` was exceeded. The driver has no name for errors that MySQL doesn't have. */
const ER_STATEMENT_TIMEOUT = 1969
/** MySQL's `MAX_EXECUTION_TIME` was exceeded. */
const ER_QUERY_TIMEOUT = 3024

const TITLES: Readonly<Record<string, string>> = {
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
 * Runs a query on a connection of the pool or on the given connection. The server cancels the query at the timeout, even if
 * the network is down. A pool's connection is released if it is usable, or else destroyed.
 * @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
export function mysql (source: Source<MysqlClient>, options: QueryOptions = {}): Check {
  const clientOf = resolveClient('mysql', source, ['query', 'execute'])
  const query = readQuery('mysql', options)
  return async context => {
    const client = promised(clientOf(context))
    const limited = limit(query, context.timeout)
    try {
      if ('getConnection' in client) await queryPool(client, limited, context)
      else await queryConnection(client, limited, context)
    } catch (cause) {
      throw toHealthError(cause, TITLES)
    }
  }
}

/** Returns the promise API of a client or of the one in a decorator. */
function promised (client: MysqlClient): Pool | Connection {
  const { pool, connection = pool ?? client } = client as { pool?: object, connection?: object }
  const { promise } = connection as { promise?: () => Pool | Connection }
  return promise === undefined ? connection as Pool | Connection : promise.call(connection)
}

/**
 * Adds a time limit on the server. `timeout` of the driver's `query()` only stops waiting: the query would keep its locks
 * and its session. Only MariaDB runs the first comment, only MySQL reads the second, which it supports for `SELECT`.
 * Unlike a session variable, neither outlives the query.
 */
function limit (query: string, ms: number): string {
  return `/*M! SET STATEMENT max_statement_time=${ms / 1000} FOR */ ` +
    query.replace(/^\s*SELECT\b/i, `$& /*+ MAX_EXECUTION_TIME(${ms}) */`)
}

function isTimeout (error: unknown): boolean {
  const { errno } = error as { errno?: unknown }
  return errno === ER_STATEMENT_TIMEOUT || errno === ER_QUERY_TIMEOUT
}

async function queryConnection (connection: Connection, query: string, context: CheckContext): Promise<void> {
  context.awaiting = 'answer'
  try {
    await connection.query(query)
  } catch (error) {
    if (isTimeout(error)) await untilAborted(context.signal)
    throw error
  }
}

async function queryPool (pool: Pool, query: string, context: CheckContext): Promise<void> {
  context.awaiting = 'connection'
  const enqueued = (): void => { context.awaiting = 'free connection' }
  pool.on('enqueue', enqueued)
  const connecting = pool.getConnection()
  pool.off('enqueue', enqueued)
  const connection = await connecting
  await runPooled({
    run: () => connection.query(query),
    isTimeout,
    release: () => connection.release(),
    destroy () {
      connection.destroy()
      // `destroy()` of the driver only sends a FIN. Without a network the socket would wait for its ACK for minutes.
      connection.connection.stream.destroy()
    },
    events: connection.connection
  }, context)
}
