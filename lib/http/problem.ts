import type { Problem } from '../../types/wire.js'
import { PASS } from '../engine/aggregate.js'
import { MAX_BODY_BYTES, truncate } from '../truncate.js'

export const CONTENT_TYPE = 'application/problem+json'

/** The headers of every answer. `Content-Length` is Fastify's, so that a hook may still rewrite the payload. */
export const HEADERS = Object.freeze({
  'content-type': CONTENT_TYPE,
  'cache-control': 'no-store',
  'x-content-type-options': 'nosniff'
})

const METHOD_HEADERS = Object.freeze({ ...HEADERS, allow: 'GET, HEAD' })

/** The headers of one answer. */
export function headersOf ({ status }: Problem): Readonly<Record<string, string>> {
  return status === 405 ? METHOD_HEADERS : HEADERS
}

interface Rendered {
  readonly title: string
  readonly body: string
}

/** A long title takes its time, so the bytes of a problem are made once, however many requests it answers. */
const rendered = new WeakMap<Problem, Rendered>([[PASS, { title: PASS.title, body: JSON.stringify(PASS) }]])

/** The title of an answer, cut if the body would get longer than a prober reads. */
export function titleOf (problem: Problem): string {
  return render(problem).title
}

/** The bytes of an answer. */
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

/** An operator's body may be longer, but not as long as a check's message may be. */
function shortened (checks: NonNullable<Problem['checks']>): NonNullable<Problem['checks']> {
  return Object.fromEntries(Object.entries(checks).map(([name, check]) => [
    name, check.title === undefined ? check : { ...check, title: truncate(check.title, MAX_BODY_BYTES) }
  ]))
}
