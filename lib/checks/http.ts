import { request as requestHttp, validateHeaderName, validateHeaderValue } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { Check, CheckContext } from '../../types/check.js'
import { HealthError } from '../errors.js'
import { expectRecord, refuse } from '../refusal.js'
import { failure } from './failure.js'
import { readOptions } from './options.js'

export interface HttpOptions {
  /** What is asked with `GET`, `http:` or `https:`. */
  url: string | URL
  /** The status code that it must answer, or several. Default: any from 200 to 299. */
  status?: number | readonly number[] | undefined
  /** Sent with the request. Default: only what `node:http` sends, and a `User-Agent`. */
  headers?: { readonly [name: string]: string } | undefined
}

const WORDS: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'certificate expired',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'certificate not trusted',
  EPROTO: 'no TLS',
  ERR_TLS_CERT_ALTNAME_INVALID: 'certificate of another name',
  HPE_INVALID_CONSTANT: 'no HTTP',
  SELF_SIGNED_CERT_IN_CHAIN: 'certificate not trusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'certificate not trusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'certificate not trusted'
}

/**
 * Asks on a connection of its own and reads the answer to its end, or only its status if that is a wrong one. It follows
 * no redirect and takes no proxy.
 * @throws HEALTHZ_ERR_OPTION_INVALID, HEALTHZ_ERR_OPTION_UNKNOWN
 */
export function http (options: HttpOptions): Check {
  const { url, status, headers } = readOptions('http', options, ['url', 'status', 'headers'])
  const target = readUrl(url)
  const isExpected = readStatus(status)
  const sent = { 'user-agent': 'fastify-healthz', ...readHeaders(headers) }
  return context => get(target, sent, isExpected, context)
}

function get (
  url: URL, headers: Record<string, string>, isExpected: (status: number) => boolean, context: CheckContext
): Promise<void> {
  context.awaiting = 'connection'
  return new Promise<void>((resolve, reject) => {
    const fail = (cause: Error): void => reject(failure(cause, WORDS))
    const send = url.protocol === 'https:' ? requestHttps : requestHttp
    const request = send(url, { agent: false, headers, signal: context.signal }, response => {
      if (isExpected(response.statusCode!)) {
        response.on('error', fail).on('end', resolve).resume()
      } else {
        reject(new HealthError(`answered ${response.statusCode}`))
        request.destroy()
      }
    })
    request
      .once('socket', socket => socket.once('connect', () => { context.awaiting = 'answer' }))
      .on('error', fail)
      // Without an error, when it answers with another protocol.
      .on('close', () => reject(new HealthError('connection lost')))
      .end()
  })
}

function readUrl (given: unknown): URL {
  const text = given instanceof URL ? given.href : given
  if (typeof text !== 'string' || !URL.canParse(text)) refuse('http().url', 'a URL', given)
  const url = new URL(text)
  if (url.protocol !== 'http:' && url.protocol !== 'https:') refuse('http().url', 'an `http:` or `https:` URL', url.protocol)
  return url
}

function readStatus (status: unknown): (status: number) => boolean {
  if (status === undefined) return code => code >= 200 && code < 300
  const codes = [status].flat()
  if (codes.length === 0 || !codes.every(code => Number.isInteger(code) && code as number >= 200 && code as number <= 599)) {
    refuse('http().status', 'an integer from 200 to 599, or an array of them', status)
  }
  return code => codes.includes(code)
}

function readHeaders (given: unknown = {}): Record<string, string> {
  const headers = expectRecord('http().headers', given, 'an object of headers by name')
  for (const [name, value] of Object.entries(headers)) {
    try {
      validateHeaderName(name)
      validateHeaderValue(name, value as string)
    } catch {
      // Not with the value: it may be a secret.
      refuse('http().headers', 'an object of valid headers by name', name)
    }
  }
  return headers as Record<string, string>
}
