import t from 'tap'
import { readQuery } from '../../../lib/checks/query.js'

t.test('the query is used verbatim and defaults to SELECT 1', async t => {
  t.equal(readQuery('x', {}), 'SELECT 1')
  t.equal(readQuery('x', { query: undefined }), 'SELECT 1')
  t.equal(readQuery('x', { query: '\n select 2 ' }), '\n select 2 ')
})

t.test('a blank query, a query that is not a string and unknown options are errors', async t => {
  for (const query of ['', ' \n', null, 5, {}, ['SELECT 1']] as any[]) {
    t.throws(() => readQuery('x', { query }), { code: 'HEALTHZ_ERR_OPTION_INVALID', message: /^Expected `x\(\)\.query` to be a query, got `/ })
  }
  t.throws(() => readQuery('x', { quary: 'SELECT 1' } as object), {
    code: 'HEALTHZ_ERR_OPTION_UNKNOWN', message: 'Unknown option `x().quary`: expected one of `query`'
  })
})
