import { request as requestHttp, validateHeaderName, validateHeaderValue } from 'node:http'
import { request as requestHttps } from 'node:https'
import type { Check, CheckContext } from '../../types/check.js'
import { HealthError } from '../errors.js'
import { expectRecord, refuse } from '../validate.js'
import { toHealthError } from './to-health-error.js'
import { readOptions } from './options.js'

export interface HttpOptions {
  /** Requested with `GET`: `http:` or `https:`. */
  url: string | URL
  /** The expected status code, or several. Default: any from 200 to 299. */
  status?: number | readonly number[] | undefined
  /** Headers of the request, in addition to those of `node:http`. Default: a `User-Agent`. */
  headers?: { readonly [name: string]: string } | undefined
}

const TITLES: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'certificate expired',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'certificate not trusted',
  EPROTO: 'TLS handshake failed',
  ERR_TLS_CERT_ALTNAME_INVALID: 'certificate name mismatch',
  HPE_INVALID_CONSTANT: 'invalid HTTP response',
  SELF_SIGNED_CERT_IN_CHAIN: 'certificate not trusted',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'certificate not trusted',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'certificate not trusted'
}

/**
 * Sends a `GET` request on a new connection and reads the whole response, or only its status if that isn't expected. Follows
 * no redirects and uses no proxy.
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
    const fail = (cause: Error): void => reject(toHealthError(cause, TITLES))
    const send = url.protocol === 'https:' ? requestHttps : requestHttp
    const request = send(url, { agent: false, headers, signal: context.signal }, response => {
      context.data = { status: response.statusCode! }
      if (isExpected(response.statusCode!)) {
        response.on('error', fail).on('end', resolve).resume()
      } else {
        reject(new HealthError(`responded with ${response.statusCode}`))
        request.destroy()
      }
    })
    request
      .once('socket', socket => socket.once('connect', () => { context.awaiting = 'answer' }))
      .on('error', fail)
      // There is no error if the response switches protocols.
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
      // Without the value, which may be secret.
      refuse('http().headers', 'an object of valid headers by name', name)
    }
  }
  return headers as Record<string, string>
}
