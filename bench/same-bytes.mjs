import { strictEqual } from 'node:assert'
import { Prober } from './load/prober.mjs'

/** @throws if the servers don't send the same bytes, except for the date and the order of headers */
export async function sameBytes (servers) {
  const answers = await Promise.all(servers.map(async server => {
    const prober = await Prober.open(server)
    const [head, body] = (await prober.ask()).split('\r\n\r\n')
    prober.close()
    const [status, ...headers] = head.toLowerCase().split('\r\n')
    return [status, ...headers.filter(header => !header.startsWith('date:')).sort(), '', body].join('\n')
  }))
  for (const [index, answer] of answers.entries()) {
    strictEqual(answer, answers[0], `${servers[index].id} and ${servers[0].id} send different bytes`)
  }
}
