import type { Check, CheckContext } from '../../types/check.js'
import { reach, type Source } from './client.js'
import { failure } from './failure.js'
import { askOn } from './loan.js'
import { readQuery, type QueryOptions } from './query.js'

/** A `Pool` of `pg`, which gives out connections. */
export interface PostgresPool {
  connect (): Promise<PostgresConnection>
  query (sql: string): Promise<unknown>
  readonly waitingCount: number
}

/** A connection of such a pool. */
export interface PostgresConnection {
  query (sql: string): Promise<unknown>
  release (destroy?: Error | boolean): void
  on (event: 'error', listener: (error: Error) => void): unknown
  off (event: 'error', listener: (error: Error) => void): unknown
}

/** A `Client` of `pg`. */
export interface PostgresClient {
  query (sql: string): Promise<unknown>
}

/** What `@fastify/postgres` decorates the app with. */
export interface PostgresDecorator {
  query (sql: string): Promise<unknown>
  readonly pool: PostgresPool
}

const QUERY_CANCELED = '57014'

const WORDS: Readonly<Record<string, string>> = {
  28000: 'login refused',
  '28P01': 'login refused',
  '3D000': 'no such database',
  53300: 'too many connections',
  '57P01': 'connection lost',
  '57P02': 'connection lost',
  '57P03': 'not accepting connections',
  [QUERY_CANCELED]: 'no answer',
  'Cannot use a pool after calling end on the pool': 'not connected',
  'Client has encountered a connection error and is not queryable': 'not connected',
  'Client was closed and is not queryable': 'not connected',
  'Connection terminated': 'connection lost',
  'Connection terminated due to connection timeout': 'no connection',
  'Connection terminated unexpectedly': 'connection lost',
  'timeout exceeded when trying to connect': 'no free connection'
}

/**
 * Runs a query, on a connection of the pool or on the client itself. On one of a pool the server ends the query at the
 * timeout, even when the network is down; the connection is given back if it is in good order, or else destroyed.
 * @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
export function postgres (
  source: Source<PostgresPool | PostgresClient | PostgresDecorator>, options: QueryOptions = {}
): Check {
  const clientOf = reach('postgres', source, ['query'])
  const query = readQuery('postgres', options)
  return async context => {
    const client = clientOf(context)
    try {
      if ('pool' in client) await askPool(client.pool, query, context)
      else if ('waitingCount' in client) await askPool(client, query, context)
      else await askClient(client, query, context)
    } catch (cause) {
      throw failure(cause, WORDS)
    }
  }
}

/** Nothing but the query: the client may be in a transaction, where a time limit would stay until its end. */
async function askClient (client: PostgresClient, query: string, context: CheckContext): Promise<void> {
  context.awaiting = 'answer'
  await client.query(query)
}

async function askPool (pool: PostgresPool, query: string, context: CheckContext): Promise<void> {
  const connecting = pool.connect()
  context.awaiting = pool.waitingCount > 0 ? 'free connection' : 'connection'
  const connection = await connecting
  await askOn({
    // One message is one transaction, and the limit ends with it, behind pgbouncer too.
    ask: () => connection.query(`SET LOCAL statement_timeout = ${context.timeout}; ${query}`),
    isOutOfTime: error => (error as { code?: unknown }).code === QUERY_CANCELED,
    giveBack: () => connection.release(),
    destroy: () => connection.release(true),
    events: connection
  }, context)
}
