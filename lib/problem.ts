import type { Problem } from '../types/wire.js'
import { PASS } from './verdict.js'

/** The most that the kubelet reads of a body (`maxRespBodyLength` in kubernetes' pkg/probe/http): ours stay below it. */
export const MAX_BODY_BYTES = 10 * 1024 - 1

export const CONTENT_TYPE = 'application/problem+json'

/** The headers of every answer. `Content-Length` is Fastify's, so that a hook may still rewrite the payload. */
export const HEADERS = Object.freeze({
  'content-type': CONTENT_TYPE,
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff'
})

const PASS_BODY = JSON.stringify(PASS)

/** The title of an answer, cut if the body would get longer than a prober reads. */
export function titleOf ({ status, title }: Problem): string {
  const around = JSON.stringify({ status, title: '' }).length
  return fitted(title, MAX_BODY_BYTES - around)
}

/** The bytes of an answer. */
export function body (problem: Problem): string {
  if (problem === PASS) return PASS_BODY
  const { status, checks } = problem
  const title = titleOf(problem)
  return JSON.stringify(checks === undefined ? { status, title } : { status, title, checks: shortened(checks) })
}

/** An operator's body may be longer, but not as long as a check's message may be. */
function shortened (checks: NonNullable<Problem['checks']>): NonNullable<Problem['checks']> {
  return Object.fromEntries(Object.entries(checks).map(([name, check]) => [
    name, check.title === undefined ? check : { ...check, title: fitted(check.title, MAX_BODY_BYTES) }
  ]))
}

/** A text, cut to so many bytes within a JSON string. */
export function fitted (text: string, bytes: number): string {
  if (text.length <= bytes && bytesOf(text) <= bytes) return text
  const ellipsis = '…'
  let left = bytes - bytesOf(ellipsis)
  let end = 0
  for (const character of text) {
    left -= bytesOf(character)
    if (left < 0) break
    end += character.length
  }
  return text.slice(0, end) + ellipsis
}

/** What a text takes within a JSON string. */
function bytesOf (text: string): number {
  return Buffer.byteLength(JSON.stringify(text)) - 2
}
