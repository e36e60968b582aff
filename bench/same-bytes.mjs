import { strictEqual } from 'node:assert'
import { Prober } from './load/prober.mjs'

/** @throws when servers that are compared because they send the same bytes don't; but for the date, and the headers' order */
export async function sameBytes (servers) {
  const answers = await Promise.all(servers.map(async server => {
    const prober = await Prober.open(server)
    const [head, body] = (await prober.ask()).split('\r\n\r\n')
    prober.close()
    const [status, ...headers] = head.toLowerCase().split('\r\n')
    return [status, ...headers.filter(header => !header.startsWith('date:')).sort(), '', body].join('\n')
  }))
  for (const [index, answer] of answers.entries()) {
    strictEqual(answer, answers[0], `${servers[index].id} sends other bytes than ${servers[0].id}`)
  }
}
