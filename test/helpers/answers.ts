/** An answer of HTTP/1.1 as it came. */
export interface Answer {
  readonly status: number
  /** Names in lower case. */
  readonly headers: ReadonlyMap<string, string>
  readonly body: string
}

/** Cuts what comes over a connection into answers. A `100 Continue` is none. */
export class AnswerReader {
  readonly answers: Answer[] = []
  #rest = ''

  /** @param isHead whether the nth request was a `HEAD`, so that its answer has no body */
  constructor (private readonly isHead: (nth: number) => boolean = () => false) {}

  /** What came after the last whole answer. */
  get rest (): string { return this.#rest }

  /** @param chunk in latin1, a character for each byte */
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
      // What a server writes when it can't read a request has no date, and a body even where a `HEAD` was asked before it.
      const bodyless = status < 200 || (this.isHead(this.answers.length) && headers.has('date'))
      const chunked = headers.get('transfer-encoding') === 'chunked'
      // Only an empty body is sent in chunks here.
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
