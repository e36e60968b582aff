import type { Problem } from '../../types/wire.js'
import { PASS } from '../engine/aggregate.js'
import { MAX_BODY_BYTES, truncate } from '../truncate.js'

export const CONTENT_TYPE = 'application/problem+json'

/** The headers of every response. Fastify sets `Content-Length`, so a hook can still rewrite the payload. */
export const HEADERS = Object.freeze({
  'content-type': CONTENT_TYPE,
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff'
})

const METHOD_HEADERS = Object.freeze({ ...HEADERS, allow: 'GET, HEAD' })

/** The headers of one response. */
export function headersOf ({ status }: Problem): Readonly<Record<string, string>> {
  return status === 405 ? METHOD_HEADERS : HEADERS
}

interface Rendered {
  readonly title: string
  readonly body: string
}

/** Bodies by problem. Each is built once, since truncating a long title is slow. */
const rendered = new WeakMap<Problem, Rendered>([[PASS, { title: PASS.title, body: JSON.stringify(PASS) }]])

/** The title of a response, truncated if the body would exceed what a prober reads. */
export function titleOf (problem: Problem): string {
  return render(problem).title
}

/** The body of a response. */
export function body (problem: Problem): string {
  return render(problem).body
}

function render (problem: Problem): Rendered {
  let known = rendered.get(problem)
  if (known === undefined) {
    const { status, title: given, checks, ...others } = problem
    const title = truncate(given, MAX_BODY_BYTES - JSON.stringify({ status, title: '' }).length)
    const body = JSON.stringify({ status, title, ...(checks !== undefined && { checks: shortened(checks) }), ...others })
    known = { title, body }
    rendered.set(problem, known)
  }
  return known
}

/** The body for operators may be longer, but messages of checks are still truncated. */
function shortened (checks: NonNullable<Problem['checks']>): NonNullable<Problem['checks']> {
  return Object.fromEntries(Object.entries(checks).map(([name, check]) => [
    name, check.title === undefined ? check : { ...check, title: truncate(check.title, MAX_BODY_BYTES) }
  ]))
}
