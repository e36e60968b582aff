/** A raw HTTP/1.1 response. */
export interface Answer {
  readonly status: number
  /** Names are in lower case. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** Splits the data of a connection into responses. Ignores `100 Continue`. */
export class AnswerReader {
  readonly answers: Answer[] = []
  #rest = ''

  /** @param isHead whether the nth request was a `HEAD`, whose response has no body */
  constructor (private readonly isHead: (nth: number) => boolean = () => false) {}

  /** The data after the last complete response. */
  get rest (): string { return this.#rest }

  /** @param chunk in latin1, one character per byte */
  push (chunk: string): void {
    this.#rest += chunk
    for (;;) {
      const end = this.#rest.indexOf('\r\n\r\n')
      if (end === -1) return
      const [statusLine, ...fields] = this.#rest.slice(0, end).split('\r\n')
      const status = Number(/^HTTP\/1\.1 (\d{3}) /.exec(statusLine!)?.[1])
      const headers = new Map(fields.map(field => {
        const colon = field.indexOf(':')
        return [field.slice(0, colon).toLowerCase(), field.slice(colon + 1).trim()]
      }))
      // The response to an unparsable request has no date, and has a body even if the previous request was a `HEAD`.
      const bodyless = status < 200 || (this.isHead(this.answers.length) && headers.has('date'))
      const chunked = headers.get('transfer-encoding') === 'chunked'
      // Only empty bodies are chunked here.
      const length = bodyless ? 0 : chunked ? '0\r\n\r\n'.length : Number(headers.get('content-length'))
      if (Number.isNaN(status) || Number.isNaN(length)) throw new Error(`not an answer: ${this.#rest.slice(0, 1000)}`)
      const from = end + 4
      if (this.#rest.length < from + length) return
      const body = this.#rest.slice(from, from + length)
      this.#rest = this.#rest.slice(from + length)
      if (status >= 200) this.answers.push({ status, headers, body: chunked ? '' : Buffer.from(body, 'latin1').toString() })
    }
  }
}
