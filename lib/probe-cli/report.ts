import type { Plan } from './arguments.js'
import type { Result } from './attempt.js'

/** The reason of a failure or a warning. */
export function reasonOf (result: Result): string {
  const { outcome, answer, error } = result
  const to = answer?.location ? ` to ${answer.location}` : ''
  const more = error ?? (outcome === 'warning' ? `not followed${to}, counts as healthy` : titleOf(result))
  return [answer?.statusText, more].filter(Boolean).join(': ')
}

export function inJson ({ target, verbose }: Plan, result: Result, tries: number, lastedMs: number): string {
  const { outcome, answer } = result
  return printable(JSON.stringify({
    url: target.name,
    healthy: outcome !== 'failure',
    status: answer?.status ?? null,
    title: titleOf(result) ?? null,
    error: outcome === 'failure' ? reasonOf(result) : null,
    warning: outcome === 'warning' ? reasonOf(result) : null,
    tries,
    durationMs: Math.round(lastedMs),
    ...(verbose && { body: answer?.body ?? null })
  })) + '\n'
}

/** The status, the body, and its checks that don't pass. */
export function inWords ({ target }: Plan, result: Result): string {
  const { answer, durationMs, error } = result
  const head = oneLine(`${target.name}: ${[answer?.statusText, error].filter(Boolean).join(': ')} (${Math.round(durationMs)} ms)`)
  if (answer === undefined) return head + '\n'
  const problem = problemOf(result)
  const checks = Object.entries<any>(problem?.checks ?? {})
    .filter(([, check]) => ['fail', 'warn'].includes(check?.status) && typeof check.title === 'string')
  return [
    head,
    printable(problem === undefined ? answer.body.trimEnd() : indented(problem, answer.body)),
    ...checks.map(([name, { status, title }]) => oneLine(`${status} ${name}: ${title}`))
  ].filter(Boolean).join('\n') + '\n'
}

/** The body as received if it is nested too deep: indenting it would fail or multiply its size. */
function indented (problem: object, body: string): string {
  try {
    const text = JSON.stringify(problem, null, 2)
    if (text.length < 16 * body.length) return text
  } catch {
    // Nested deeper than the call stack.
  }
  return body.trimEnd()
}

function titleOf (result: Result): string | undefined {
  const title = problemOf(result)?.title
  return typeof title === 'string' ? title : undefined
}

/** The body, if it is a JSON object such as problem details. */
function problemOf ({ answer }: Result): { title?: unknown, checks?: any } | undefined {
  try {
    const body: unknown = JSON.parse(answer!.body)
    return typeof body === 'object' && body !== null ? body : undefined
  } catch {
    return undefined
  }
}

/** Escapes untrusted text for a terminal: no control characters, no change of text direction. JSON stays valid JSON. */
function printable (text: string): string {
  return text.replace(/(?!\n|\t)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, found =>
    found.split('').map(unit => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`).join(''))
}

export function oneLine (text: string): string {
  return printable(text.replace(/\s+/g, ' ').trim())
}
