import { once } from 'node:events'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'

export interface RawAnswer {
  readonly statusLine: string
  /** As they came, names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** Listens on a free port of the loopback. */
export async function listen (app: FastifyInstance): Promise<number> {
  await app.listen({ port: 0, host: '127.0.0.1' })
  return (app.server.address() as AddressInfo).port
}

/** Sends bytes over a new connection, and reads until the server closes it, or until `last` has come. */
export async function exchange (port: number, request: string, last?: RegExp): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let answer = ''
  socket.setEncoding('utf8').on('data', chunk => {
    answer += chunk
    if (last?.test(answer)) socket.destroy()
  })
  socket.write(request)
  await once(socket, 'close')
  return answer
}

/** One request as the kubelet makes it: HTTP/1.1, a connection of its own. */
export async function request (port: number, method: string, path: string, headers: string[] = [], body = ''): Promise<RawAnswer> {
  const head = [`${method} ${path} HTTP/1.1`, 'Host: localhost', 'User-Agent: kube-probe/1.31', 'Accept: */*', 'Connection: close']
  return parse(await exchange(port, [...head, ...headers, '', body].join('\r\n')))
}

export function parse (answer: string): RawAnswer {
  const end = answer.indexOf('\r\n\r\n')
  const [statusLine = '', ...fields] = answer.slice(0, end).split('\r\n')
  return {
    statusLine,
    headers: new Map(fields.map(field => [field.slice(0, field.indexOf(':')).toLowerCase(), field.slice(field.indexOf(':') + 1).trim()])),
    body: answer.slice(end + 4)
  }
}
