import type { Check, CheckContext } from '../../types/check.js'
import { resolveClient, type Source } from './resolve-client.js'
import { toHealthError } from './to-health-error.js'
import { runPooled } from './pooled-query.js'
import { readQuery, type QueryOptions } from './query.js'

/** A `Pool` of `pg`. */
export interface PostgresPool {
  connect (): Promise<PostgresConnection>
  query (sql: string): Promise<unknown>
  readonly waitingCount: number
  readonly totalCount?: number
  readonly idleCount?: number
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

/** The decorator of `@fastify/postgres`. */
export interface PostgresDecorator {
  query (sql: string): Promise<unknown>
  readonly pool: PostgresPool
}

const QUERY_CANCELED = '57014'

/** Titles by SQLSTATE, or by message for errors of the driver, which have no code. */
const TITLES: Readonly<Record<string, string>> = {
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
  'Connection terminated due to connection timeout': 'connection timed out',
  'Connection terminated unexpectedly': 'connection lost',
  'timeout exceeded when trying to connect': 'no free connection'
}

/**
 * Runs a query on a connection of the pool or on the given client. On a pool's connection the server cancels the query at the
 * timeout, even if the network is down. The connection is released if it is usable, or else destroyed.
 * @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
export function postgres (
  source: Source<PostgresPool | PostgresClient | PostgresDecorator>, options: QueryOptions = {}
): Check {
  const clientOf = resolveClient('postgres', source, ['query'])
  const query = readQuery('postgres', options)
  return async context => {
    const client = clientOf(context)
    try {
      if ('pool' in client) await queryPool(client.pool, query, context)
      else if ('waitingCount' in client) await queryPool(client, query, context)
      else await queryClient(client, query, context)
    } catch (cause) {
      throw toHealthError(cause, TITLES)
    }
  }
}

/** Without a time limit on the server: within a transaction of the client it would apply until the end of that. */
async function queryClient (client: PostgresClient, query: string, context: CheckContext): Promise<void> {
  context.awaiting = 'answer'
  await client.query(query)
}

async function queryPool (pool: PostgresPool, query: string, context: CheckContext): Promise<void> {
  // Read when the run ends. By then the connection of the check is released, unless the run timed out.
  context.data = {
    get total () { return pool.totalCount },
    get idle () { return pool.idleCount },
    get waiting () { return pool.waitingCount }
  }
  const connecting = pool.connect()
  context.awaiting = pool.waitingCount > 0 ? 'free connection' : 'connection'
  const connection = await connecting
  await runPooled({
    // Both statements are one transaction, so the limit ends with it, even behind pgbouncer.
    run: () => connection.query(`SET LOCAL statement_timeout = ${context.timeout}; ${query}`),
    isTimeout: error => (error as { code?: unknown }).code === QUERY_CANCELED,
    release: () => connection.release(),
    destroy: () => connection.release(true),
    events: connection
  }, context)
}
