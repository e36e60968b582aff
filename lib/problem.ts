import type { Problem } from '../types/wire.js'
import { PASS } from './verdict.js'

/** The most that the kubelet reads of a body (`maxRespBodyLength` in kubernetes' pkg/probe/http): ours stay below it. */
const MAX_BODY_BYTES = 10 * 1024 - 1

export const CONTENT_TYPE = 'application/problem+json'

/** The headers of every answer. `Content-Length` is Fastify's, so that a hook may still rewrite the payload. */
export const HEADERS = Object.freeze({
  'content-type': CONTENT_TYPE,
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff'
})

const PASS_BODY = JSON.stringify(PASS)

/** The bytes of an answer. A title that would make the body longer than a prober reads is cut. */
export function body (problem: Problem): string {
  if (problem === PASS) return PASS_BODY
  const { status, checks } = problem
  const around = JSON.stringify({ status, title: '' }).length
  const title = fitted(problem.title, MAX_BODY_BYTES - around)
  return JSON.stringify(checks === undefined ? { status, title } : { status, title, checks: shortened(checks) })
}

/** An operator's body may be longer, but not as long as a check's message may be. */
function shortened (checks: NonNullable<Problem['checks']>): NonNullable<Problem['checks']> {
  return Object.fromEntries(Object.entries(checks).map(([name, check]) => [
    name, check.title === undefined ? check : { ...check, title: fitted(check.title, MAX_BODY_BYTES) }
  ]))
}

function fitted (title: string, bytes: number): string {
  if (title.length <= bytes && bytesOf(title) <= bytes) return title
  const ellipsis = '…'
  let left = bytes - bytesOf(ellipsis)
  let end = 0
  for (const character of title) {
    left -= bytesOf(character)
    if (left < 0) break
    end += character.length
  }
  return title.slice(0, end) + ellipsis
}

/** What a text takes within a JSON string. */
function bytesOf (text: string): number {
  return Buffer.byteLength(JSON.stringify(text)) - 2
}
