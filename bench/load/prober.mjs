import { once } from 'node:events'
import { connect } from 'node:net'

/** A minimal HTTP client with its own connection, cheap enough for a thousand of them. */
export class Prober {
  #socket
  #request
  #received = ''
  #answer

  static async open ({ port, path }, close = false) {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true })
    await once(socket, 'connect')
    return new Prober(socket, `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\n${close ? 'Connection: close\r\n' : ''}\r\n`)
  }

  constructor (socket, request) {
    this.#socket = socket
    this.#request = request
    socket.setEncoding('latin1')
    socket.on('data', chunk => this.#receive(chunk))
    socket.on('error', error => this.#answer?.reject(error))
    socket.on('close', () => this.#answer?.reject(new Error('connection closed before the response')))
  }

  /** Sends one request. Resolves with the complete response. */
  ask () {
    return new Promise((resolve, reject) => {
      this.#answer = { resolve, reject }
      this.#socket.write(this.#request)
    })
  }

  close () {
    this.#socket.destroy()
  }

  #receive (chunk) {
    this.#received += chunk
    const received = this.#received
    if (!isWhole(received)) return
    this.#received = ''
    const { resolve } = this.#answer
    this.#answer = undefined
    resolve(received)
  }
}

function isWhole (answer) {
  const head = answer.indexOf('\r\n\r\n') + 4
  if (head < 4) return false
  const length = /content-length: (\d+)/i.exec(answer)
  return length === null ? answer.endsWith('\r\n0\r\n\r\n') : answer.length >= head + Number(length[1])
}

export function statusOf (answer) {
  return Number(answer.split(' ', 2)[1])
}

export function bodyOf (answer) {
  return answer.slice(answer.indexOf('\r\n\r\n') + 4)
}
