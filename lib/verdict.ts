import type { CheckReport, Problem } from '../types/wire.js'
import type { CheckPlan } from './news.js'
import type { Result } from './result.js'

/** The name of a check that was given without one. No answer shows it. */
export const UNNAMED = 'default'

export const PASS: Problem = Object.freeze({ status: 200, title: 'OK' })

/** How a failure reads when there is no message for the public. */
export const WORDS: Readonly<Record<NonNullable<Result['reason']>, string>> = {
  failed: 'failed',
  timeout: 'timed out',
  unchecked: 'not checked yet',
  unexpected: 'failed unexpectedly'
}

/** What the public is told of a failure, in short. */
export function wordsOf ({ reason, message }: Result): string {
  return message || WORDS[reason!]
}

export type Checked = readonly [plan: Pick<CheckPlan, 'name' | 'critical'>, result: Result]

/**
 * Results of checks → result of their probe: the titles of the failing critical ones joined in the order of
 * registration; 500 if one of them failed unexpectedly, else 503.
 */
export function verdict (probe: string, checks: readonly Checked[]): Problem {
  let titles: string[] | undefined
  let status = 503
  for (const [{ name, critical }, result] of checks) {
    if (result.outcome === 'pass' || !critical) continue
    titles ??= []
    titles.push(title(probe, name, result))
    if (result.reason === 'unexpected') status = 500
  }
  return titles === undefined ? PASS : { status, title: titles.join('; ') }
}

/** What the public is told of one failing check. The error of an unexpected failure is for the log, never for here. */
function title (probe: string, check: string, result: Result): string {
  const said = wordsOf(result)
  if (check !== UNNAMED) return `${check}: ${said}`
  return result.message || `The ${probe} check ${said}`
}

/** What an operator is told of the checks, by name. */
export function reports (checks: readonly Checked[]): Record<string, CheckReport> {
  return Object.fromEntries(checks.map(([plan, result]) => [plan.name, report(plan, result)]))
}

function report ({ critical }: Pick<CheckPlan, 'critical'>, result: Result): CheckReport {
  const { outcome, durationMs, checkedAt } = result
  return {
    status: outcomeOf(critical, outcome),
    ...(outcome === 'fail' && { title: wordsOf(result) }),
    durationMs: durationMs === null ? null : Math.round(durationMs * 1000) / 1000,
    checkedAt: checkedAt === null ? null : new Date(checkedAt).toISOString()
  }
}

/** A failing check that isn't critical is a warning. */
export function outcomeOf<T extends string> (critical: boolean, outcome: T | 'fail'): T | 'fail' | 'warn' {
  return outcome === 'fail' && !critical ? 'warn' : outcome
}
