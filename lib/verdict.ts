import type { Problem } from '../types/wire.js'
import type { Failure, Result } from './check.js'

/** The name of a check that was given without one. No answer shows it. */
export const UNNAMED = 'default'

export const PASS: Problem = Object.freeze({ status: 200, title: 'OK' })

/** How a failure reads when there is no message for the public. */
export const WORDS: Readonly<Record<Failure['reason'], string>> = {
  failed: 'failed',
  unexpected: 'failed unexpectedly'
}

/**
 * Results of checks → result of their probe: the titles of the failing ones joined in the order of registration;
 * 500 if one of them failed unexpectedly, else 503.
 */
export function verdict (probe: string, results: Iterable<readonly [check: string, result: Result]>): Problem {
  const titles = []
  let status = 503
  for (const [check, result] of results) {
    if (result.outcome === 'pass') continue
    titles.push(title(probe, check, result))
    if (result.reason === 'unexpected') status = 500
  }
  return titles.length === 0 ? PASS : { status, title: titles.join('; ') }
}

/** What the public is told of one failing check. The error of an unexpected failure is for the log, never for here. */
function title (probe: string, check: string, failure: Failure): string {
  const said = failure.message || WORDS[failure.reason]
  if (check !== UNNAMED) return `${check}: ${said}`
  return failure.message || `The ${probe} check ${said}`
}
