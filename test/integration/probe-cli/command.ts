import { once } from 'node:events'
import { createServer as createHttpServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { Writable } from 'node:stream'
import type { Test } from 'tap'
import { main } from '../../../lib/probe-cli/main.js'
import type { Time } from '../../../lib/clock.js'
import { FakeTime } from '../../helpers/time.js'

class Sink extends Writable {
  text = ''
  override _write (chunk: Buffer, _encoding: string, done: () => void) {
    this.text += chunk.toString()
    done()
  }
}

/** Runs the command here. Its clock stands still unless another is given, so that a slow machine never makes it time out. */
export async function command (args: Array<string | number>, { time = new FakeTime() as Time, terminal = {} } = {}) {
  const [stdout, stderr] = [new Sink(), Object.assign(new Sink(), terminal)]
  const code = await main(args.map(String), { stdout, stderr } as object as NodeJS.Process, time)
  return { code, stdout: stdout.text, stderr: stderr.text }
}

/** Listens until the test is over, on a free port of the loopback unless a socket is named. */
export async function listen (t: Test, server: Pick<Server, 'on' | 'listen' | 'close' | 'address'>, path?: string): Promise<number> {
  const sockets = new Set<Socket>()
  server.on('connection', socket => { sockets.add(socket.on('error', () => {})) })
  t.teardown(() => {
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  if (path === undefined) server.listen(0, '127.0.0.1')
  else server.listen(path)
  await once(server as Server, 'listening')
  return path === undefined ? (server.address() as AddressInfo).port : 0
}

/** A server that knows no HTTP: it keeps every head that it gets, and does what it is told to then. */
export async function raw (t: Test, answer: (socket: Socket, head: string) => void, path?: string) {
  const heads: string[] = []
  const port = await listen(t, createTcpServer({ allowHalfOpen: true }, socket => {
    let head = ''
    socket.setEncoding('latin1').on('data', chunk => {
      head += chunk
      if (!head.endsWith('\r\n\r\n')) return
      heads.push(head)
      answer(socket, head)
    })
  }), path)
  return { port, heads }
}

/** An HTTP server, and the requests that it got, as `Host /path`. */
export async function web (t: Test, answer: (request: IncomingMessage, response: ServerResponse) => void) {
  const requests: string[] = []
  const port = await listen(t, createHttpServer((request, response) => {
    requests.push(`${request.headers.host} ${request.url}`)
    answer(request, response)
  }))
  return { port, requests }
}
