import type { HealthzChange } from '../../types/healthz.js'
import { CheckRunner } from '../../lib/engine/check.js'
import { Events } from '../../lib/telemetry/events.js'
import { Lifecycle } from '../../lib/engine/lifecycle.js'
import { HealthzLog } from '../../lib/telemetry/log.js'
import type { CheckPlan } from '../../lib/engine/transitions.js'
import { policyOf } from '../../lib/options/probe-policies.js'
import { Probe } from '../../lib/engine/probe.js'
import type { Run } from '../../lib/engine/run.js'
import { FakeTime } from './time.js'

/** Holds for a lifecycle, of which there are none. */
export const NO_HOLDS = { whenReleased (callback: () => void) { callback() } }

/** A probe with its collaborators on a fake clock, in the state `serving`. */
export function probeOf (name = 'ready') {
  const time = new FakeTime()
  const lines: Array<[level: string, message: string]> = []
  const write = (level: string) => (_bindings: object, message: string) => { lines.push([level, message]) }
  const log = new HealthzLog({ error: write('error'), warn: write('warn'), info: write('info'), debug: write('debug') } as any)
  const events = new Events({}, log, time)
  const changes: HealthzChange[] = []
  events.onChange(change => { changes.push(change) })
  const lifecycle = new Lifecycle(time, {
    stateChanged: (from, to, lastedMs) => events.stateChanged(from, to, lastedMs), served () {}, drainBegan () {}, drainEnded () {}
  }, NO_HOLDS)
  lifecycle.serve()
  changes.length = 0
  const probe = new Probe(name, `/healthz/${name}`, policyOf(name), lifecycle, events, time)
  const runner = (check: string, call: (run: Run) => unknown, plan: Partial<CheckPlan> = {}) => new CheckRunner(
    { probe: name, name: check, timeout: 800, critical: true, maxAge: 0, ...plan }, call, events, time
  )
  const add = (...args: Parameters<typeof runner>) => {
    const check = runner(...args)
    probe.add(check)
    return check
  }
  return { probe, time, lines, events, changes, lifecycle, runner, add }
}
