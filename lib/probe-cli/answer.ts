/** What a probe looks at of an answer. */
export interface Answer {
  readonly status: number
  /** The status and its reason, as they came: `503 Service Unavailable`. */
  readonly statusText: string
  readonly location: string | undefined
  /** The first 10 KiB of it. */
  readonly body: string
}

/** As much as the kubelet reads of a body. */
const MAX_BODY = 10 * 1024
/** Of all that comes, so that a server that never ends can't fill the memory. */
const MAX_BYTES = 128 * 1024
const BODILESS = new Set([101, 204, 304])

/**
 * HTTP/1.1 as far as one answer to a GET goes. With `node:http` the command would take longer by a sixth of what Node
 * itself takes to start, and a container's health check starts it every few seconds.
 * @param bytes all that came
 * @param ended whether nothing more will come
 * @returns `undefined` while the answer isn't complete
 * @throws what is wrong with it
 */
export function readAnswer (bytes: Buffer, ended: boolean): Answer | undefined {
  const head = readHead(bytes)
  if (head === undefined) return incomplete(bytes, ended)
  const { status, statusText, fields, rest } = head
  const header = (name: string) =>
    fields.find(field => field.slice(0, name.length + 1).toLowerCase() === `${name}:`)?.slice(name.length + 1).trim()
  const { content, complete } = BODILESS.has(status)
    ? { content: rest.subarray(0, 0), complete: true }
    : /^chunked$/i.test(header('transfer-encoding') ?? '') ? unchunk(rest) : measure(rest, header('content-length'), ended)
  if (!complete && content.length < MAX_BODY) return incomplete(bytes, ended)
  const body = content.toString('utf8', 0, Math.min(content.length, MAX_BODY))
  return { status, statusText, location: header('location'), body }
}

/** The head of the answer, after those on the way to it: `100 Continue`, `103 Early Hints`. */
function readHead (bytes: Buffer) {
  let start = 0
  let statusText: string | undefined
  let status: number
  let fields: string[]
  do {
    if (!'HTTP/1.'.startsWith(bytes.toString('latin1', start, start + 7))) throw new Error('the answer is not HTTP/1.1')
    const end = bytes.indexOf('\r\n\r\n', start)
    if (end === -1) return undefined
    const [statusLine, ...others] = bytes.toString('utf8', start, end).split('\r\n')
    statusText = /^HTTP\/1\.\d ([1-9]\d\d(?: .*)?)$/.exec(statusLine!)?.[1]
    if (statusText === undefined) throw new Error('the answer has no status')
    status = Number(statusText.slice(0, 3))
    fields = others
    start = end + 4
  } while (status < 200 && status !== 101)
  return { status, statusText: statusText.trim(), fields, rest: bytes.subarray(start) }
}

function incomplete (bytes: Buffer, ended: boolean): undefined {
  if (ended) throw new Error(bytes.length === 0 ? 'the connection was closed without an answer' : 'the answer broke off')
  if (bytes.length > MAX_BYTES) throw new Error('the answer has no end within 128 KiB')
}

interface Body { readonly content: Buffer, readonly complete: boolean }

function measure (rest: Buffer, length: string | undefined, ended: boolean): Body {
  if (length === undefined) return { content: rest, complete: ended }
  if (!/^\d+$/.test(length)) throw new Error('the answer has a Content-Length that is no number')
  return { content: rest.subarray(0, Number(length)), complete: rest.length >= Number(length) }
}

function unchunk (rest: Buffer): Body {
  const chunks: Buffer[] = []
  let complete = false
  for (let at = 0; ;) {
    const end = rest.indexOf('\r\n', at)
    if (end === -1) break
    const [, size] = /^([\da-f]{1,8})[ \t]*(?:;|$)/i.exec(rest.toString('latin1', at, end)) ?? []
    if (size === undefined) throw new Error('the answer has a chunk without a size')
    const length = Number.parseInt(size, 16)
    // Fields may follow the last chunk, which nobody reads. An empty line ends them.
    if (length === 0) {
      complete = rest.includes('\r\n\r\n', end)
      break
    }
    chunks.push(rest.subarray(end + 2, end + 2 + length))
    at = end + 2 + length + 2
  }
  return { content: Buffer.concat(chunks), complete }
}
