import type { Healthz } from '../../types/healthz.js'
import type { CheckReport } from '../../types/wire.js'
import { truncate } from '../truncate.js'
import { type History, MAX_TITLE_BYTES, type Transition } from './history.js'

const MAX_HOLDS = 20

export interface CheckStatus {
  readonly name: string
  readonly outcome: CheckReport['status'] | 'unknown'
  readonly title?: string
  /** Since when it has this outcome, in ms since the epoch. */
  readonly since?: number
  /** Of the last run. */
  readonly durationMs?: number
  readonly checkedAt?: string
  /** Of the last 128 runs. */
  readonly p50?: number
  readonly p99?: number
  readonly data?: CheckReport['data']
  /** The worst outcome of each of the last 60 minutes, the oldest first; `null` for a minute without a run. */
  readonly outcomes: ReadonlyArray<string | null>
  /** The longest run of each of these minutes, in ms. */
  readonly longestMs: readonly number[]
}

export interface ProbeStatus {
  readonly name: string
  readonly outcome: 'pass' | 'fail' | 'unknown'
  readonly since?: number
  readonly checks: readonly CheckStatus[]
}

/** What the page shows, and its answer as JSON. */
export interface Status {
  readonly service: string
  readonly pid: number
  readonly state: string
  readonly at: number
  readonly uptimeMs: number
  readonly bootMs: number | null
  readonly holds: Healthz['holds']
  readonly probes: readonly ProbeStatus[]
  readonly transitions: readonly Transition[]
}

interface Ranked { readonly outcome: string, readonly since?: number, readonly checks?: readonly Ranked[] }

/** Last what nobody calls: a probe that isn't used is nothing to look at first. */
const ORDER = ['fail', 'warn', 'pass', 'unknown']
/** A probe that passes may have a check that warns. */
const rank = ({ outcome, checks = [] }: Ranked): number => Math.min(ORDER.indexOf(outcome), ...checks.map(rank))
/** The worst first, and of those what changed last. */
const byOutcome = (a: Ranked, b: Ranked) => rank(a) - rank(b) || (b.since ?? 0) - (a.since ?? 0)

/** Reads the last results; runs no check. */
export function readStatus (healthz: Healthz, history: History, service: string, now: number): Status {
  const snapshot = Object.entries(healthz.snapshot())
  history.keep(new Set(snapshot.flatMap(([probe, { checks }]) => Object.keys(checks).map(check => `${probe}/${check}`))))
  const probes = snapshot.map(([name, { outcome, checks }]): ProbeStatus => {
    const since = history.since(name)
    return {
      name,
      outcome,
      ...(since !== undefined && { since }),
      checks: Object.entries(checks).map(([check, report]) => checkStatus(name, check, report, history, now)).sort(byOutcome)
    }
  })
  return {
    service,
    pid: process.pid,
    state: healthz.state,
    at: now,
    uptimeMs: Math.round(process.uptime() * 1000),
    bootMs: healthz.bootMs,
    holds: healthz.holds.slice(0, MAX_HOLDS),
    probes: probes.sort(byOutcome),
    transitions: history.transitions
  }
}

function checkStatus (probe: string, name: string, report: CheckReport, history: History, now: number): CheckStatus {
  const { status, title, durationMs, checkedAt, data } = report
  const past = history.of(probe, name)
  const since = history.since(`${probe}/${name}`)
  const { outcomes, longest } = past?.hour(now) ?? { outcomes: [], longest: [] }
  const [p50, p99] = [past?.percentile(0.5), past?.percentile(0.99)]
  return {
    name,
    outcome: checkedAt === null ? 'unknown' : status,
    ...(title !== undefined && { title: truncate(title, MAX_TITLE_BYTES) }),
    ...(since !== undefined && { since }),
    ...(durationMs !== null && checkedAt !== null && { durationMs, checkedAt }),
    ...(p50 !== undefined && { p50, p99: p99! }),
    ...(data !== undefined && { data }),
    outcomes: outcomes.map(outcome => outcome ?? null),
    longestMs: longest
  }
}
