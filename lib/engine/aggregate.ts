import type { CheckReport, Problem } from '../../types/wire.js'
import type { CheckPlan } from './transitions.js'
import { outcomeOf, type Result } from './evaluate.js'

/** The name of a check that was given without one. No response shows it. */
export const UNNAMED = 'default'

export const PASS: Problem = Object.freeze({ status: 200, title: 'OK' })

/** The title of a failure without a public message. */
export const WORDS: Readonly<Record<NonNullable<Result['reason']>, string>> = {
  failed: 'failed',
  timeout: 'timed out',
  unchecked: 'not checked yet',
  unexpected: 'failed unexpectedly',
  recovering: 'recovering'
}

/** The title of a failure, without the name of its check. */
export function wordsOf ({ reason, message }: Result): string {
  return message || WORDS[reason!]
}

export type Checked = readonly [plan: Pick<CheckPlan, 'name' | 'critical'>, result: Result]

/**
 * Aggregates the results of checks into the problem of their probe: the titles of the failing critical ones, joined in
 * the order of registration; 500 if one of them failed unexpectedly, else 503.
 */
export function aggregate (probe: string, checks: readonly Checked[]): Problem {
  const failing = checks.filter(([{ critical }, { outcome }]) => outcome === 'fail' && critical)
  if (failing.length === 0) return PASS
  return {
    status: failing.some(([, { reason }]) => reason === 'unexpected') ? 500 : 503,
    title: failing.map(([{ name }, result]) => titleOf(probe, name, result)).join('; ')
  }
}

/** The public title of one failing check. The error of an unexpected failure goes to the log only. */
function titleOf (probe: string, check: string, result: Result): string {
  const words = wordsOf(result)
  if (check !== UNNAMED) return `${check}: ${words}`
  return result.message || `The ${probe} check ${words}`
}

/** The reports of the checks by name, for operators. */
export function reports (checks: readonly Checked[]): Record<string, CheckReport> {
  return Object.fromEntries(checks.map(([plan, result]) => [plan.name, report(plan, result)]))
}

function report ({ critical }: Pick<CheckPlan, 'critical'>, result: Result): CheckReport {
  const { outcome, durationMs, checkedAt, data } = result
  return {
    status: outcomeOf(critical, outcome),
    ...(outcome !== 'pass' && { title: wordsOf(result) }),
    durationMs: durationMs === null ? null : Math.round(durationMs * 1000) / 1000,
    checkedAt: isoTime(checkedAt),
    ...(data !== undefined && { data })
  }
}

/** `null` for an invalid date: tests mock `Date`, which mustn't fail a probe. */
function isoTime (ms: number | null): string | null {
  if (ms === null) return null
  try {
    return new Date(ms).toISOString()
  } catch {
    return null
  }
}
