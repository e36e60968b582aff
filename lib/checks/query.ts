import { refuse } from '../validate.js'
import { readOptions } from './options.js'

export interface QueryOptions {
  /** The query to run. Default: `SELECT 1`. */
  query?: string | undefined
}

/** @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN */
export function readQuery (check: string, options: QueryOptions): string {
  const { query = 'SELECT 1' } = readOptions(check, options, ['query'])
  return typeof query === 'string' && query.trim() !== '' ? query : refuse(`${check}().query`, 'a query', query)
}
