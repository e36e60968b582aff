import { runInNewContext } from 'node:vm'
import t from 'tap'
import { resolveClient, type Source } from '../../../lib/checks/resolve-client.js'

interface Client { ask (): string, end? (): void }

const client: Client = { ask: () => 'answer' }
const context: any = { app: { client } }

t.test('a client has the required methods, own or inherited', async t => {
  t.equal(resolveClient<Client>('x', client, ['ask'])(context), client)
  const heir = Object.create(client)
  t.equal(resolveClient<Client>('x', heir, ['ask'])(context), heir)
  const foreign = runInNewContext('({ ask () {} })')
  t.equal(resolveClient<Client>('x', foreign, ['ask'])(context), foreign)
})

t.test('a function is called on each run', async t => {
  let current: Client | null | undefined = client
  const find = resolveClient<Client>('x', app => ('client' in app ? current : undefined), ['ask'])
  t.equal(find(context), client)
  const other = { ask: () => 'other' }
  current = other
  t.equal(find(context), other)
  for (current of [null, undefined]) t.throws(() => find(context), { name: 'HealthError', message: 'not connected' })
})

t.test('anything else is an error', async t => {
  const expected = 'to be a client with `ask()`, `end()`, or a function that returns one, got'
  for (const [wrong, shown] of [[null, '`null`'], [5, '`5` (number)'], [{ ask () {} }, '`{ ask: [Function: ask] }` (object)']] as const) {
    const refusal = { code: 'HEALTHZ_ERR_OPTION_INVALID', message: `Expected \`client of x()\` ${expected} ${shown}` }
    t.throws(() => resolveClient<Client>('x', wrong as any, ['ask', 'end']), refusal)
    if (wrong === null) continue
    const find = resolveClient<Client>('x', (() => wrong) as unknown as Source<Client>, ['ask', 'end'])
    t.throws(() => find(context), refusal, 'at the run, when a function finds it')
  }
})
