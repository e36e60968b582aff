import { once } from 'node:events'
import { connect } from 'node:net'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'

export interface RawAnswer {
  readonly statusLine: string
  /** Names are in lower case. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** Listens on a free port of the loopback interface. */
export async function listen (app: FastifyInstance): Promise<number> {
  await app.listen({ port: 0, host: '127.0.0.1' })
  return (app.server.address() as AddressInfo).port
}

/** Sends data over a new connection, and reads until the server closes it or the response matches `last`. */
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

/** Sends one request like the kubelet: HTTP/1.1 on its own connection. */
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
