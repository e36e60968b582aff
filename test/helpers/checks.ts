import { CheckRunner } from '../../lib/engine/check.js'
import type { CheckPlan, Observer } from '../../lib/engine/transitions.js'
import type { Result } from '../../lib/engine/evaluate.js'
import type { Run } from '../../lib/engine/run.js'
import { FakeTime } from './time.js'

/** A promise that can be settled from outside. */
export function deferred<T = unknown> () {
  let resolve!: (value?: T) => void
  let reject!: (error: unknown) => void
  const promise = new Promise<T | undefined>((_resolve, _reject) => { resolve = _resolve; reject = _reject })
  return { promise, resolve, reject }
}

export type Told = [what: keyof Observer, ...rest: unknown[]]

/** A check runner on a fake clock, with the calls of its observer in `told`, and those of `finished` separately. */
export function runner (call: (run: Run) => unknown, plan: Partial<CheckPlan> = {}, time = new FakeTime()) {
  const told: Told[] = []
  const finished: Result[] = []
  const observer: Observer = {
    finished: (_plan, result) => { finished.push(result) },
    changed: (_plan, from, result, lastedMs) => { told.push(['changed', from, result.outcome, lastedMs]) },
    tolerated: (_plan, { failures }) => { told.push(['tolerated', failures]) },
    failing () {},
    recovered () {},
    causeChanged: (_plan, result) => { told.push(['causeChanged', result.message ?? result.reason]) },
    overran: (_plan, blockedMs) => { told.push(['overran', blockedMs]) },
    stuck: (_plan, runs) => { told.push(['stuck', runs]) },
    dataDropped: (_plan, dropped) => { told.push(['dataDropped', dropped]) }
  }
  const whole: CheckPlan = { probe: 'ready', name: 'database', timeout: 800, critical: true, maxAge: 0, ...plan }
  return { check: new CheckRunner(whole, call, observer, time), observer, told, finished, time }
}
