/**
 * Random histories of an app, each played to the engine on a fake clock and held against what it promises, whatever
 * happens in whatever order. What a check has to do is worked out a second time here, from the history of its runs alone.
 *
 * HEALTHZ_PROPERTY_RUNS=20000 plays so many histories, HEALTHZ_PROPERTY_SEED=… those of a failure again.
 */
import fc from 'fast-check'
import t from 'tap'
import { CheckRunner } from '../../../lib/engine/check.js'
import { HealthError } from '../../../lib/errors.js'
import { Events } from '../../../lib/telemetry/events.js'
import { Lifecycle } from '../../../lib/engine/lifecycle.js'
import { HealthzLog } from '../../../lib/telemetry/log.js'
import type { CheckPlan } from '../../../lib/engine/transitions.js'
import { policyOf } from '../../../lib/options/probe-policies.js'
import { Probe, type ProbeRun } from '../../../lib/engine/probe.js'
import { Registry } from '../../../lib/engine/registry.js'
import { type Result, UNCHECKED } from '../../../lib/engine/evaluate.js'
import type { Run } from '../../../lib/engine/run.js'
import type { HealthzChange, State } from '../../../types/healthz.js'
import { NO_HOLDS } from '../../helpers/probe.js'
import { trials } from '../../helpers/property.js'
import { FakeTime } from '../../helpers/time.js'

const PROMISES = {
  oneAtATime: 'a check runs once at a time, again as soon as it may, and runs that hang never pile up',
  honest: 'a probe passes only if each of its critical checks passes or is tolerated, or if that is settled without them',
  counted: 'each run counts once, but one that hangs once more when its check is due while it is tolerated, once in its timeout',
  fresh: 'a pass is told again within maxAge only, a failure never; of a check in the background the last result is told',
  toldOnce: 'each change is told once, and none of a check that was taken away',
  logged: 'the log has the first changes at once, then one in ten seconds with how many were left out, and how it ends',
  answered: 'a probe is answered within the longest timeout of its checks, plus the time that the event loop is blocked',
  clean: 'nothing runs after its end, no timer is left without a reason, and no rejection is unhandled'
}

// What may happen

const PROBES = ['startup', 'ready', 'live'] as const
const CHECKS = ['a', 'b', 'c'] as const
const STATES = ['starting', 'serving', 'draining', 'closing', 'closed'] as const

/** How a run of a check goes. */
interface Script {
  readonly answer: 'pass' | 'false' | 'HealthError' | 'Error'
  /** Answers after so many ms, `Infinity` for never; `sync`: without a promise. */
  readonly after: number | 'sync'
  /** For so many ms it blocks the event loop when it is called, and before it answers. */
  readonly blocks: readonly [called: number, answering: number]
  /** Rejects when its signal aborts. */
  readonly obeys: boolean
  /** Has its signal, where it runs in the background; elsewhere it always has. */
  readonly signalled: boolean
  /** What else it does when it is called. */
  readonly act?: Act | undefined
}

/** What takes no time, so that several happen at once, and also while a check is called or a change is told. */
type Act =
  | { do: 'ask', probe: string, leftOut: readonly string[] }
  | { do: 'askOne', probe: string, check: string }
  | { do: 'block', ms: number }
  | { do: 'add', probe: string, check: string, options: Omit<CheckPlan, 'probe' | 'name'>, scripts: readonly Script[] }
  | { do: 'remove', probe: string, check: string }
  | { do: 'goOn', to: State }

type Step =
  | Act
  | { do: 'wait', ms: number }
  /** Until something is due, or 1 ms less or more. */
  | { do: 'waitUntilDue', nth: number, plus: number }
  /** Who hears of the next change of a check or of the state does something at once. */
  | { do: 'listen', act: Act }

const weighed = <T>(...choices: Array<[weight: number, arbitrary: fc.Arbitrary<T>]>) =>
  fc.oneof(...choices.map(([weight, arbitrary]) => ({ weight, arbitrary })))
const doing = <D extends string, T extends object = object>(what: D, rest: { [K in keyof T]: fc.Arbitrary<T[K]> } = {} as never) =>
  fc.record({ do: fc.constant(what), ...rest }) as unknown as fc.Arbitrary<{ do: D } & T>

const on = { probe: fc.constantFrom(...PROBES, 'ready', 'startup'), check: fc.constantFrom(...CHECKS) }
const ms = weighed(
  [3, fc.constantFrom(0, 1, 99, 100, 700, 799, 800, 801, 1600)],
  [1, fc.constantFrom(9999, 10_000, 29_200, 29_999, 30_000, 30_001, 59_999, 60_000, 120_000, 599_999, 600_000)],
  [1, fc.nat(10_000)]
)
const blocks = weighed([8, fc.constant(0)], [2, fc.constantFrom(1, 700, 800, 900, 31_000)])
const script = (act: fc.Arbitrary<Act | undefined>): fc.Arbitrary<Script> => fc.record({
  answer: weighed<Script['answer']>([3, fc.constant('pass')], [2, fc.constantFrom('false', 'HealthError', 'Error')]),
  after: weighed<Script['after']>(
    [3, fc.constant('sync')],
    [2, fc.constant(0)],
    [3, fc.constantFrom(1, 99, 100, 500, 799, 800)],
    [3, fc.constantFrom(801, 4999, 5000, 5001, 29_999, 30_799, 30_800, 30_801, 95_000, 300_000, 700_000)],
    [3, fc.constant(Infinity)]
  ),
  blocks: fc.tuple(blocks, blocks),
  obeys: weighed([4, fc.constant(false)], [1, fc.constant(true)]),
  signalled: fc.boolean(),
  act
})
const threshold = weighed<number | undefined>([1, fc.constant(undefined)], [2, fc.constant(1)], [2, fc.constantFrom(2, 3)])
const options = fc.record({
  timeout: fc.constantFrom(800, 100, 5000, 800),
  critical: weighed([3, fc.constant(true)], [1, fc.constant(false)]),
  failureThreshold: threshold,
  successThreshold: threshold,
  when: weighed<Pick<CheckPlan, 'maxAge' | 'interval' | 'retryInterval'>>(
    [2, fc.constant({ maxAge: 0 })],
    [2, fc.record({ maxAge: fc.constantFrom(1, 800, 10_000, 60_000) })],
    [1, fc.record({
      maxAge: fc.constant(0),
      interval: fc.constantFrom(500, 5000, 30_000, 60_000, 100_000, 600_000),
      retryInterval: fc.constantFrom(undefined, undefined, 600, 5000, 30_000, 200_000)
    })]
  )
}).map(({ when, ...options }) => ({ ...options, ...when }))

const add = (act: fc.Arbitrary<Act | undefined>) =>
  doing('add', { ...on, options, scripts: fc.array(script(act), { minLength: 1, maxLength: 3 }) })
const ask = doing('ask', { probe: on.probe, leftOut: weighed<string[]>([3, fc.constant([])], [1, fc.subarray([...CHECKS])]) })
const askOne = doing('askOne', on)
const block = doing('block', { ms })
const remove = doing('remove', on)
const goOn = (...states: State[]) => doing('goOn', { to: fc.constantFrom(...states) })
/** The app isn't made ready or closed while one of its checks is called: both happen between two events. */
const act = weighed<Act>([4, ask], [1, askOne], [1, block], [2, add(fc.constant(undefined))], [2, remove], [1, goOn('draining')])
const listen = doing('listen', { act })
const anyAdd = add(weighed([7, fc.constant(undefined)], [1, act]))
const step = weighed<Step>(
  [16, ask],
  [2, askOne],
  [6, doing('wait', { ms })],
  [10, doing('waitUntilDue', { nth: fc.nat(2), plus: fc.constantFrom(0, -1, 1, 0) })],
  [1, block],
  [2, anyAdd],
  [1, remove],
  [1, listen],
  [1, goOn('serving', 'serving', 'serving', 'serving', 'serving', 'serving', 'serving', 'serving', 'draining', 'closing', 'closed')]
)
/** What the intervals vary by, again and again. */
const randoms = fc.array(fc.constantFrom(0, 0.25, 0.5, 0.9, 1 - 2 ** -53), { minLength: 1, maxLength: 5 })
/** Checks are there from the start, and most apps serve soon. */
const histories = fc.tuple(
  fc.array(anyAdd, { minLength: 1, maxLength: 4 }),
  fc.array(step, { maxLength: 5 }),
  fc.array(listen, { maxLength: 1 }),
  fc.array(goOn('serving'), { maxLength: 1 }),
  fc.array(step, { maxLength: 150, size: 'max' })
).map(parts => parts.flat() as Step[])

// What is known of it

const figures = {
  histories: 0,
  steps: 0,
  asks: 0,
  passes: 0,
  runs: 0,
  shared: 0,
  reused: 0,
  late: 0,
  retried: 0,
  replaced: 0,
  abandoned: 0,
  stuck: 0,
  tolerated: 0,
  recovering: 0,
  countedAgain: 0,
  countedAgainInBackground: 0,
  varied: 0,
  latched: 0,
  changes: 0,
  unlogged: 0
}

/** Counts how long it was blocked, and doesn't go back when that was longer than it was to advance. */
class Clock extends FakeTime {
  blocked = 0
  /** What had arrived by then has been read. */
  polledAt = 0
  #furthest = 0
  #drawn = 0

  constructor (private readonly randoms: readonly number[]) {
    super()
  }

  override random () { return this.randoms[this.#drawn++ % this.randoms.length]! }

  override block (ms: number): void {
    super.block(ms)
    this.blocked += ms
    this.#furthest = this.now()
  }

  override afterPoll (callback: () => void): void {
    const at = this.now()
    super.afterPoll(() => {
      this.polledAt = at
      callback()
    })
  }

  override async advance (ms: number): Promise<void> {
    await super.advance(ms)
    super.block(Math.max(0, this.#furthest - this.now()))
  }
}

/** Lets somebody see when it is asked. */
class WatchedRunner extends CheckRunner {
  onAsked = (ask: () => Result | Promise<Result>) => ask()

  override run () { return this.onAsked(() => super.run()) }
}

type ChangedArgs = Parameters<Events['changed']> extends [CheckPlan, ...infer Rest] ? Rest : never

/** Lets somebody see what it hears from the checks. */
class WatchedEvents extends Events {
  onFinished = (_plan: CheckPlan, _result: Result) => {}
  onTold = (_what: string, _plan: CheckPlan) => {}
  onLogged = (_plan: CheckPlan, _outcome: string, _unlogged: number) => {}
  onChanged = (_plan: CheckPlan) => {}

  override finished (plan: CheckPlan, result: Result) { this.onFinished(plan, result); super.finished(plan, result) }
  override changed (plan: CheckPlan, ...rest: ChangedArgs) { this.onChanged(plan); super.changed(plan, ...rest) }
  override tolerated (plan: CheckPlan, result: Result) { this.onTold(`tolerating ${result.failures}`, plan); super.tolerated(plan, result) }
  override failing (plan: CheckPlan, result: Result, unlogged: number) { this.onLogged(plan, 'fail', unlogged); super.failing(plan, result, unlogged) }
  override recovered (plan: CheckPlan, lastedMs: number, unlogged: number) { this.onLogged(plan, 'pass', unlogged); super.recovered(plan, lastedMs, unlogged) }
  override causeChanged (plan: CheckPlan, result: Result) { this.onTold('another cause', plan); super.causeChanged(plan, result) }
  override stuck (plan: CheckPlan, runs: number) { this.onTold('being stuck', plan); super.stuck(plan, runs) }
}

/** A run as the test knows it. */
class Known {
  /** When it took too long. */
  lateAt: number | undefined
  /** What it gave back has settled. */
  settled = false
  /** Its check was stopped, which ends it in the background. */
  abandoned = false
  /** What the engine says that it came to. */
  result: Result | undefined
  /** What is told of its check when it has been counted for the first time. */
  first: Told | undefined
  readonly error: Error | undefined
  readonly answers: 'pass' | NonNullable<Result['reason']>
  comesTo: 'pass' | NonNullable<Result['reason']>
  /** When it takes too long. */
  lateFrom = Infinity
  answersAt = 0
  readonly startedAt: number
  readonly checkedAt: number
  readonly blockedBefore: number

  readonly signalled: boolean

  constructor (readonly script: Script, private readonly plan: CheckPlan, clock: Clock) {
    this.signalled = plan.interval === undefined || script.obeys || script.signalled
    const { answer } = script
    if (answer === 'Error') this.error = new Error('secret')
    if (answer === 'HealthError') this.error = new HealthError('public')
    this.answers = answer === 'pass' ? 'pass' : answer === 'Error' ? 'unexpected' : 'failed'
    this.comesTo = this.answers
    this.startedAt = clock.now()
    this.checkedAt = clock.date()
    this.blockedBefore = clock.blocked
  }

  get over () { return this.settled || this.abandoned || this.lateAt !== undefined }
  get hangs () { return this.lateAt !== undefined && !this.settled }

  /** It has given back a promise, which has a moment to settle even if the call alone took too long. */
  called (now: number): void {
    this.lateFrom = Math.max(this.startedAt + this.plan.timeout, now + 1)
    this.answersAt = now + Number(this.script.after)
  }

  answer (): unknown {
    if (this.error !== undefined) throw this.error
    return this.script.answer === 'false' ? false : undefined
  }
}

/** What is told of a check since a run was counted. */
class Told {
  /** The same by the engine. */
  result: Result | undefined
  private readonly expected: { readonly [K in keyof Result]: Result[K] | undefined }

  constructor (
    readonly run: Known,
    readonly before: Result['outcome'] | 'unknown',
    readonly outcome: Result['outcome'],
    readonly reason: Result['reason'],
    message: string | undefined,
    readonly failures: number | undefined,
    readonly at: number,
    readonly blockedBefore: number
  ) {
    const { startedAt, checkedAt } = run
    const error = reason === run.answers ? run.error : undefined
    this.expected = { outcome, reason, error, message, failures, startedAt, checkedAt, durationMs: at - startedAt }
  }

  /** Whether a result says so. */
  gave (result: Result): boolean {
    if ((this.result ?? result) !== result) return false
    return Object.entries(this.expected).every(([name, value]) => result[name as keyof Result] === value)
  }

  toString () { return JSON.stringify(this.expected) }
}

/** A check as the test knows it. */
class Subject {
  readonly runs: Known[] = []
  readonly unsettled = new Set<Known>()
  /** The last three runs that timed out since one ended in time, as far as they are pending. */
  pending: Known[] = []
  inBackground = false
  stopped = false
  /** Takes it away; not known yet while it is called for the first time by what adds it. */
  undo: (() => void) | undefined
  /** How many of its last runs passed in a row; those that failed are below 0. */
  row = 0
  told: Told | undefined
  /** What the engine tells. */
  last = () => UNCHECKED
  /** When it was last due in the background, as far as that is known. */
  tickedAt = 0
  changedAt: number
  cause = { is: '', at: 0 }
  toldStuck = false
  /** From when on the log may have another line, whether one waits for that, and how many changes it has left out. */
  logFrom = -Infinity
  waits = false
  waitsBlocked = 0
  unlogged = 0
  /** The last time that something happened to a run of it. */
  touched = { at: 0, blocked: 0 }

  constructor (readonly id: string, readonly plan: CheckPlan, readonly scripts: readonly Script[], private readonly clock: Clock) {
    this.changedAt = clock.now()
    this.touch()
  }

  /** Its interval in the background, without the jitter. */
  get period (): number {
    const { interval, retryInterval = interval } = this.plan
    return this.told?.outcome === 'pass' ? interval! : retryInterval!
  }

  /** From when on a run that hangs counts as one more failure. */
  get countsFrom (): number {
    const { told, runs, plan } = this
    return runs.at(-1)?.hangs && told?.outcome === 'warn' ? told.at + plan.timeout : Infinity
  }

  /** From when on a new run starts if somebody asks. These are the rules of how checks run. */
  get dueFrom (): number {
    const run = this.runs.at(-1)
    if (run === undefined) return 0
    if (!run.over) return Infinity
    if (this.told?.outcome === 'pass') return run.startedAt + this.plan.maxAge
    if (!run.hangs) return 0
    return run.startedAt + 60_000
  }

  begin (): Known {
    const { runs, scripts, plan, clock } = this
    if (runs.at(-1)?.hangs) figures.retried++
    const run = new Known(scripts[runs.length % scripts.length]!, plan, clock)
    runs.push(run)
    this.unsettled.add(run)
    this.tickedAt = run.startedAt
    return run
  }

  settle (run: Known): void {
    run.settled = true
    this.unsettled.delete(run)
    if (run.lateAt === undefined && !run.abandoned) {
      this.toldStuck = false
      this.pending = []
      this.count(run)
    }
    this.pending = this.pending.filter(other => other !== run)
    this.touch()
  }

  /** Whether a run that has settled after its timeout counts. */
  counts (run: Known): boolean {
    return run.lateAt !== undefined && this.plan.interval !== undefined && !run.signalled && this.told?.run === run
  }

  /** Counts a run. These are the rules of the thresholds. */
  count (run: Known, at = this.clock.now()): Told {
    const { failureThreshold = 1, successThreshold = 1 } = this.plan
    const { comesTo, settled, lateAt } = run
    const before = this.told?.outcome ?? 'unknown'
    const passes = comesTo === 'pass'
    if (passes) this.row = Math.max(this.row, 0) + 1
    // What it comes to late was counted when it timed out.
    else if (!settled || lateAt === undefined) this.row = Math.min(this.row, 0) - 1
    const recovering = passes && before === 'fail' && this.row < successThreshold
    const tolerated = !passes && (before === 'pass' || before === 'warn') && -this.row < failureThreshold
    if (recovering) figures.recovering++
    if (tolerated) figures.tolerated++
    this.told = new Told(
      run,
      before,
      tolerated ? 'warn' : recovering || !passes ? 'fail' : 'pass',
      recovering ? 'recovering' : passes ? undefined : comesTo,
      recovering ? `recovering, passed ${this.row} of ${successThreshold} times` : comesTo === 'failed' ? run.error?.message : undefined,
      failureThreshold > 1 && !passes ? -this.row : undefined,
      at,
      this.clock.blocked
    )
    run.first ??= this.told
    return this.told
  }

  late (run: Known): void {
    run.lateAt = this.clock.now()
    run.comesTo = 'timeout'
    this.pending = [...this.pending, run].slice(-3)
    this.count(run)
    this.touch()
  }

  stop (): void {
    this.stopped = true
    this.inBackground = false
    this.waits = false
    this.abandon()
  }

  /** Ends the run in the background whose promise is not settled. */
  abandon (): void {
    const run = this.runs.at(-1)
    if (this.plan.interval !== undefined && run !== undefined && !run.over && run.lateFrom < Infinity) run.abandoned = true
  }

  touch (): void {
    this.touched = { at: this.clock.now(), blocked: this.clock.blocked }
  }
}

interface Ask {
  readonly probe: string
  readonly subjects: readonly Subject[]
  readonly kind: 'whole' | 'leftOut' | 'one'
  readonly at: number
  /** When it is answered at the latest, if nothing blocks the event loop. */
  readonly until: number
  readonly blockedBefore: number
  /** What it must tell of each check, `undefined` where there has been no run, or its run is under way. */
  from: ReadonlyArray<() => Told | undefined>
}

// The app, and what is expected of it

class App {
  readonly #clock: Clock
  readonly #events: WatchedEvents
  readonly #lifecycle: Lifecycle
  #hasServed = false
  readonly #registry: Registry
  readonly #subjects = new Map<string, Subject[]>(PROBES.map(probe => [probe, []]))
  readonly #byPlan = new Map<CheckPlan, Subject>()
  readonly #outcomes = new Map<string, { is: string, since: number }>(PROBES.map(probe => [probe, { is: 'unknown', since: 0 }]))
  #stateSince = 0
  #started = false
  #latched = false
  readonly #asks = new Set<Ask>()
  /** For each ask that is being made, innermost last, what its checks owe it. */
  readonly #owed: Array<Array<() => Told | undefined>> = []
  #onChange: Act | undefined
  /** When what was told, and should have been. */
  readonly #told = new Map<string, string[]>()
  readonly #due = new Map<string, string[]>()
  /** How many timers of the checks themselves are running. */
  #sleeping = 0
  #broken: string | undefined

  constructor (randoms: readonly number[]) {
    const clock = this.#clock = new Clock(randoms)
    const write = () => {}
    const log = new HealthzLog({ error: write, warn: write, info: write } as any)
    const events = this.#events = new WatchedEvents({}, log, clock)
    const lifecycle = this.#lifecycle = new Lifecycle(clock, {
      stateChanged: (from, to, lastedMs) => events.stateChanged(from, to, lastedMs), served () {}, drainBegan () {}, drainEnded () {}
    }, NO_HOLDS)
    this.#registry = new Registry(PROBES.map(name => new Probe(name, `/healthz/${name}`, policyOf(name), lifecycle, events, clock)), [])
    events.onFinished = (plan, result) => this.#finished(this.#byPlan.get(plan)!, result)
    events.onLogged = (plan, outcome, unlogged) => this.#logged(this.#byPlan.get(plan)!, outcome, unlogged)
    events.onTold = (what, plan) => this.#heard(this.#byPlan.get(plan)!, what)
    events.onChanged = plan => this.#catchUp(this.#byPlan.get(plan)!)
    events.onChange(change => this.#changed(change))
  }

  async play (steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      figures.steps++
      if (step.do === 'wait') await this.#clock.advance(step.ms)
      else if (step.do === 'waitUntilDue') await this.#waitUntilDue(step.nth, step.plus)
      else if (step.do === 'listen') this.#onChange = step.act
      else this.#do(step)
      this.#look(step.do.startsWith('wait'))
    }
  }

  /** Closes the app and lets all time pass. */
  async end (): Promise<void> {
    // An answer that is there already is heard before.
    await this.play([{ do: 'wait', ms: 0 }, { do: 'goOn', to: 'draining' }, { do: 'goOn', to: 'closing' }, { do: 'goOn', to: 'closed' }])
    await this.play([{ do: 'wait', ms: 6000 }, { do: 'wait', ms: 1_000_000 }])
    this.#claim('answered', this.#asks.size === 0, `${this.#asks.size} asks never were answered`)
    this.#claim('clean', this.#clock.timers === 0, `${this.#clock.timers} timers are left`)
    for (const what of new Set([...this.#told.keys(), ...this.#due.keys()])) {
      const [told, due] = [this.#told, this.#due].map(all => all.get(what)?.join(', ') ?? 'nothing')
      this.#claim('toldOnce', told === due, `${what} was told: ${told}; and should have been: ${due}`)
    }
    this.#look(true)
  }

  #do (act: Act): void {
    if (act.do === 'ask') this.#ask(act.probe, act.leftOut)
    else if (act.do === 'askOne') this.#askOne(act.probe, act.check)
    else if (act.do === 'block') this.#clock.block(act.ms)
    else if (act.do === 'add') this.#add(act)
    else if (act.do === 'remove') this.#remove(act.probe, act.check)
    else this.#goOn(act.to)
  }

  get #all (): Subject[] {
    return [...this.#subjects.values()].flat()
  }

  #find (probe: string, check: string): Subject | undefined {
    return this.#subjects.get(probe)!.find(({ plan }) => plan.name === check)
  }

  async #waitUntilDue (nth: number, plus: number): Promise<void> {
    const now = this.#clock.now()
    const moments = this.#all.flatMap(({ dueFrom, countsFrom, inBackground, tickedAt, period, runs }) => {
      const run = runs.at(-1)
      if (run === undefined || run.over) return [dueFrom, countsFrom, inBackground ? tickedAt + period : 0]
      return [run.lateFrom, run.answersAt]
    }).filter(at => at > now && at < Infinity).sort((a, b) => a - b)
    await this.#clock.advance(Math.max(0, (moments[nth % moments.length] ?? 0) + plus - now))
  }

  #goOn (to: State): void {
    const from = this.#lifecycle.state
    // An app that drained during its boot can still become ready.
    if (to === 'serving' && from === 'draining') return this.#to(to)
    if (STATES.indexOf(to) < STATES.indexOf(from)) return
    if (to === from) return this.#to(to)
    const now = this.#clock.now()
    this.#note(this.#due, 'the state', turn(from, to, now, now - this.#stateSince))
    this.#stateSince = now
    if (to === 'closing' || to === 'closed') {
      this.#started = false
      // Those that wait are answered with the last results.
      for (const ask of this.#asks) {
        if (ask.from.some(tells => tells() === undefined)) ask.from = ask.subjects.map(({ told }) => () => told)
      }
      for (const subject of this.#all) this.#stop(subject)
      this.#registry.stop()
    }
    this.#to(to)
    if (to === 'serving') {
      this.#started = true
      for (const subject of this.#all) this.#begin(subject)
      this.#registry.start()
    }
  }

  /** An app drains before it closes, or it doesn't. */
  #to (state: State): void {
    if (state === 'serving') {
      this.#hasServed = true
      this.#lifecycle.serve()
    } else if (state === 'draining') this.#lifecycle.drain(0)
    else if (state === 'closing') this.#lifecycle.close()
    else if (state === 'closed') this.#lifecycle.closed()
  }

  #stop (subject: Subject): void {
    this.#catchUp(subject)
    subject.stop()
  }

  #begin (subject: Subject): void {
    subject.inBackground = subject.plan.interval !== undefined && !subject.stopped
    subject.touch()
  }

  #add ({ probe, check, options, scripts }: Act & { do: 'add' }): void {
    const plan: CheckPlan = { ...options, probe, name: check }
    const subject = new Subject(`${probe}/${check} #${this.#byPlan.size}`, plan, scripts, this.#clock)
    const runner = new WatchedRunner(plan, run => this.#call(subject, run), this.#events, this.#clock)
    runner.onAsked = ask => this.#asked(subject, ask)
    subject.last = () => runner.last
    const refusal = probe === 'startup' && this.#latched ? 'HEALTHZ_ERR_STARTUP_PASSED' : this.#find(probe, check) && 'HEALTHZ_ERR_CHECK_EXISTS'
    if (refusal === undefined) {
      this.#byPlan.set(plan, subject)
      this.#subjects.get(probe)!.push(subject)
      if (this.#lifecycle.closing) subject.stop()
      if (this.#started) this.#begin(subject)
    }
    let refused: string | undefined
    try {
      subject.undo = this.#registry.get(probe).add(runner)
    } catch (error) {
      refused = (error as { code?: string }).code
    }
    this.#claim('honest', refused === refusal, `${subject.id} was refused with ${refused}, expected ${refusal}`)
  }

  #remove (probe: string, check: string): void {
    const subject = this.#find(probe, check)
    if (subject?.undo === undefined) return
    this.#subjects.set(probe, this.#subjects.get(probe)!.filter(other => other !== subject))
    this.#stop(subject)
    subject.undo()
    subject.undo()
  }

  #ask (name: string, leftOut: readonly string[]): void {
    const probe = this.#registry.get(name)
    const subjects = this.#subjects.get(name)!.filter(({ plan }) => !leftOut.includes(plan.name))
    if (leftOut.length > 0) this.#run(name, subjects, 'leftOut', () => probe.run(new Set(leftOut)))
    else this.#run(name, subjects, 'whole', () => probe.run())
  }

  #askOne (name: string, check: string): void {
    const probe = this.#registry.get(name)
    const runner = probe.get(check)
    const subject = this.#find(name, check)
    this.#claim('honest', (runner === undefined) === (subject === undefined), `${name}/${check} is there, or not`)
    if (runner !== undefined && subject !== undefined) this.#run(name, [subject], 'one', () => probe.runOne(runner))
  }

  #run (probe: string, subjects: readonly Subject[], kind: Ask['kind'], run: () => ProbeRun | Promise<ProbeRun>): void {
    figures.asks++
    const at = this.#clock.now()
    const { blocked } = this.#clock
    const settled = this.#settledWithoutChecks(probe, kind) !== undefined
    const owed: Array<() => Told | undefined> = []
    this.#owed.push(owed)
    const outcome = run()
    this.#owed.pop()
    const asked = settled ? 0 : subjects.length
    this.#claim('oneAtATime', owed.length === asked, `${probe} asked ${owed.length} checks, expected ${asked}`)

    const from = settled ? subjects.map(({ told }) => () => told) : owed
    const until = at + Math.max(0, ...subjects.map(({ plan }) => plan.timeout))
    const ask: Ask = { probe, subjects, kind, from, at, until, blockedBefore: blocked }
    this.#asks.add(ask)
    if (!(outcome instanceof Promise)) return this.#answered(ask, outcome)
    outcome.then(outcome => this.#answered(ask, outcome), error => this.#claim('answered', false, `${probe} rejects with ${error}`))
  }

  /** A check is asked for a result. One that is stopped, or runs in the background, tells its last, however old. */
  #asked (subject: Subject, ask: () => Result | Promise<Result>): Result | Promise<Result> {
    this.#catchUp(subject)
    const { id, runs, plan, stopped, dueFrom, countsFrom } = subject
    const now = this.#clock.now()
    const before = runs.length
    const reads = stopped || plan.interval !== undefined
    const starts = !reads && dueFrom <= now
    const waits = !reads && dueFrom === Infinity
    if (!reads && !starts && countsFrom <= now) this.#countAgain(subject, now)
    const answer = ask()
    this.#claim('oneAtATime', starts === (runs.length > before), `${id} started ${runs.length - before} runs, and may from ${dueFrom} on`)
    const { told } = subject
    // More have started since if somebody who heard of its result asked again.
    const run = runs[starts ? before : before - 1]
    // As it is now: a run that hangs may be counted again, and a late result replace the one that is told.
    this.#owed.at(-1)!.push(starts || waits ? () => run!.first : () => told)
    if (reads || starts || run === undefined) return answer
    if (waits) figures.shared++
    else if (!run.hangs) figures.reused++
    const good = waits || run.hangs || (told?.outcome === 'pass' && now - run.startedAt < plan.maxAge)
    this.#claim('fresh', good, `${id} gives a result of ${run.startedAt} again`)
    return answer
  }

  /** Finds out whether a run that hangs in the background was counted again: it says when, and is told of only sometimes. */
  #catchUp (subject: Subject): void {
    const { id, plan, runs, told, tickedAt, period, countsFrom } = subject
    const run = runs.at(-1)
    const last = subject.last()
    if (plan.interval === undefined || !run?.hangs || last === told!.result) return
    const at = last.startedAt + last.durationMs!
    const from = Math.max(countsFrom, tickedAt + shortest(period))
    this.#claim('counted', at >= from, `a run of ${id} is counted again at ${at}, and may from ${from} on`)
    figures.countedAgainInBackground++
    subject.tickedAt = at
    this.#countAgain(subject, at, last)
  }

  /** A run that hangs is one more failure. */
  #countAgain (subject: Subject, at: number, result?: Result): void {
    if (result === undefined) figures.countedAgain++
    const told = subject.count(subject.runs.at(-1)!, at)
    if (result !== undefined) this.#tells(subject, told, result)
    this.#came(subject, told)
  }

  /** The engine tells a result. */
  #tells ({ id }: Subject, told: Told | undefined, result: Result): void {
    if (told === undefined) return this.#claim('honest', result === UNCHECKED, `${id} tells a result, and has none`)
    if (told.result === result) return
    this.#claim('honest', told.gave(result), `${id} tells ${JSON.stringify(result)}, expected ${told}`)
    told.result = result
  }

  /** A check is called. */
  #call (subject: Subject, run: Run): unknown {
    this.#catchUp(subject)
    const { id, plan, dueFrom, unsettled, runs, tickedAt, period } = subject
    const clock = this.#clock
    const now = clock.now()
    const before = runs.at(-1)
    const [oldest] = unsettled
    figures.runs++
    this.#claim('clean', !subject.stopped, `${id} runs after it was stopped`)
    this.#claim('oneAtATime', dueFrom <= now, `${id} runs, and may from ${dueFrom} on`)
    const most = Math.floor((now - (oldest?.startedAt ?? now)) / 60_000)
    this.#claim('oneAtATime', unsettled.size <= most, `${id} runs, and ${unsettled.size} runs of it have not settled`)
    if (plan.interval !== undefined && before !== undefined) {
      // One that timed out is tried again after a minute, unless what it came to late counts.
      const from = Math.min(tickedAt + shortest(period), before.comesTo === 'timeout' ? before.startedAt + 60_000 : Infinity)
      this.#claim('oneAtATime', now >= from, `${id} runs in the background, and may from ${from} on`)
      if (now < Math.min(tickedAt + period, before.startedAt + 60_000)) figures.varied++
    }

    const known = subject.begin()
    const { after, blocks: [called, answering], obeys, act } = known.script
    if (act !== undefined) this.#do(act)
    clock.block(called)
    if (after === 'sync') {
      subject.settle(known)
      return known.answer()
    }
    known.called(clock.now())
    if (subject.stopped) subject.abandon()
    if (after === 0) {
      queueMicrotask(() => subject.settle(known))
      return (async () => known.answer())()
    }
    return new Promise((resolve, reject) => {
      let timer: unknown
      const answer = () => {
        this.#sleeping--
        clock.block(answering)
        this.#settles(subject, known)
        try { resolve(known.answer()) } catch (error) { reject(error) }
      }
      if (after < Infinity) {
        this.#sleeping++
        timer = clock.start(answer, after)
      }
      if (!known.signalled) return
      run.signal.addEventListener('abort', () => {
        this.#aborted(subject, known, run.signal.reason.name)
        if (!obeys) return
        if (after < Infinity) this.#sleeping--
        clock.cancel(timer)
        queueMicrotask(() => subject.settle(known))
        reject(run.signal.reason)
      })
    })
  }

  /** A run settles, perhaps after its timeout. */
  #settles (subject: Subject, run: Known): void {
    this.#catchUp(subject)
    subject.settle(run)
    if (!subject.counts(run)) return
    figures.replaced++
    run.comesTo = run.answers
    const told = subject.count(run)
    if (!subject.stopped) queueMicrotask(() => this.#came(subject, told))
  }

  /** The signal of a run that timed out aborts, once there is a result. Of one that is stopped, nobody says so. */
  #aborted (subject: Subject, run: Known, why: string): void {
    const { id, stopped, plan } = subject
    this.#claim('oneAtATime', !run.settled, `${id} is told to stop a run that is over`)
    if (why === 'AbortError') {
      this.#claim('clean', plan.interval !== undefined, `${id} is told to stop a run that somebody waits for`)
      figures.abandoned++
      run.abandoned = true
      return
    }
    figures.late++
    this.#claim('answered', run.result !== undefined || stopped, `${id} is told to stop before there is a result`)
    if (run.lateAt === undefined) subject.late(run)
  }

  #trackStuck (subject: Subject): void {
    if (subject.pending.length < 3 || subject.toldStuck) return
    figures.stuck++
    subject.toldStuck = true
    this.#note(this.#due, `being stuck of ${subject.id}`)
  }

  /** The engine says what a run came to. */
  #finished (subject: Subject, result: Result): void {
    const { id, plan, runs } = subject
    const run = runs.at(-1)!
    const clock = this.#clock
    const now = clock.now()
    this.#claim('toldOnce', !subject.stopped, `${id} tells of a run after it was stopped`)
    this.#claim('toldOnce', run.result === undefined, `${id} tells of one run twice`)
    if (result.reason === 'timeout') {
      this.#claim('honest', run.answersAt > clock.polledAt, `${id} timed out, and its answer was there`)
      subject.late(run)
    }
    const { told } = subject
    this.#tells(subject, told, result)
    const took = result.durationMs!
    const longest = plan.timeout + clock.blocked - run.blockedBefore
    this.#claim('answered', took === now - run.startedAt && took <= longest, `${id} took ${took} ms, and may ${longest}`)
    this.#claim('answered', took >= plan.timeout || result.reason !== 'timeout', `${id} timed out after ${took} ms`)
    run.result = result
    this.#came(subject, told!)
    if (result.reason === 'timeout') this.#trackStuck(subject)
  }

  /** What follows from a run that was counted. */
  #came (subject: Subject, { run, before, outcome, reason, failures, at }: Told): void {
    const { id, plan, cause } = subject
    const shown = (outcome: string) => outcome === 'fail' && !plan.critical ? 'warn' : outcome
    const [from, to] = [shown(before), shown(outcome)]
    if (outcome === 'warn') this.#note(this.#due, `tolerating ${failures} of ${id}`)
    if (from !== to) {
      this.#note(this.#due, `${plan.probe}/${plan.name}`, turn(from, to, at, at - subject.changedAt))
      subject.changedAt = at
    }
    if ((before === 'fail') !== (outcome === 'fail')) {
      if (subject.waits) subject.unlogged++
      else subject.waitsBlocked = this.#clock.blocked
      subject.waits = true
    }
    const is = `${run.comesTo} ${run.comesTo === 'timeout' ? '' : run.error?.message}`
    if (outcome !== 'fail' || reason === 'recovering') return
    if (before === 'fail') {
      if (is === cause.is || at - cause.at < 60_000) return
      this.#note(this.#due, `another cause of ${id}`)
    }
    subject.cause = { is, at }
  }

  /** The engine says something of a check. */
  #heard (subject: Subject, what: string): void {
    this.#catchUp(subject)
    this.#note(this.#told, `${what} of ${subject.id}`)
  }

  /** A line about a change goes to the log. */
  #logged (subject: Subject, outcome: string, unlogged: number): void {
    this.#catchUp(subject)
    const { id, logFrom } = subject
    const now = this.#clock.now()
    this.#claim('logged', subject.waits && !subject.stopped, `${id} is logged without a change`)
    const failing = subject.told!.outcome === 'fail'
    this.#claim('logged', failing === (outcome === 'fail'), `${id} is logged as ${outcome}, and is ${subject.told!.outcome}`)
    this.#claim('logged', now >= logFrom, `${id} is logged, and may from ${logFrom} on`)
    this.#claim('logged', unlogged === subject.unlogged, `${id} is logged with ${unlogged} changes left out, expected ${subject.unlogged}`)
    figures.unlogged += unlogged
    subject.waits = false
    subject.unlogged = 0
    subject.logFrom = Math.max(now, logFrom + 10_000)
  }

  /** What a probe answers whatever its checks say, as a status. */
  #settledWithoutChecks (probe: string, kind: Ask['kind']): number | undefined {
    const { state } = this.#lifecycle
    if (probe === 'startup' && kind !== 'one' && this.#latched) return 200
    if (state !== 'serving' && probe === 'ready') return 503
    if (!this.#hasServed || state === 'closing' || state === 'closed') return probe === 'live' ? 200 : 503
    return undefined
  }

  #answered (ask: Ask, { problem, checks }: ProbeRun): void {
    const { probe, subjects, kind, at, from } = ask
    const asked = `${probe}, asked at ${at},`
    this.#asks.delete(ask)
    this.#claim('answered', this.#clock.now() <= this.#deadline(ask), `${asked} was to be answered until ${this.#deadline(ask)}`)
    this.#claim('fresh', checks.length === subjects.length, `${asked} answers with ${checks.length} checks, expected ${subjects.length}`)
    const told = from.map(tells => tells())
    subjects.forEach((subject, i) => {
      const [toldOf, result] = checks[i] ?? []
      if (result === undefined) return
      this.#claim('fresh', toldOf === subject.plan, `${asked} tells of another check than ${subject.id}`)
      this.#tells(subject, told[i], result)
    })

    const counting = told.filter((_told, i) => kind === 'one' || subjects[i]!.plan.critical)
      .map(told => told === undefined ? 'unchecked' : told.outcome === 'fail' ? told.reason : 'pass')
    const byChecks = counting.every(to => to === 'pass') ? 200 : counting.includes('unexpected') ? 500 : 503
    const status = this.#settledWithoutChecks(probe, kind) ?? byChecks
    // The state may change between the answer of one check and our hearing of it.
    const right = problem.status === status || (kind === 'one' && problem.status === byChecks)
    this.#claim('honest', right, `${asked} answers ${problem.status}, expected ${status}; its checks: ${counting}`)
    if (status === 200) figures.passes++
    if (kind === 'whole') this.#remember(probe, status === 200 ? 'pass' : 'fail', subjects)
  }

  #deadline ({ until, blockedBefore }: Ask): number {
    return until + this.#clock.blocked - blockedBefore
  }

  #remember (probe: string, to: string, asked: readonly Subject[]): void {
    const subjects = this.#subjects.get(probe)!
    if (probe === 'startup' && to === 'pass' && !this.#latched && subjects.every(subject => asked.includes(subject))) {
      figures.latched++
      this.#latched = true
      for (const subject of subjects) this.#stop(subject)
    }
    const { is, since } = this.#outcomes.get(probe)!
    if (is === to) return
    const now = this.#clock.now()
    this.#note(this.#due, probe, turn(is, to, now, now - since))
    this.#outcomes.set(probe, { is: to, since: now })
  }

  /** Somebody hears of a change. */
  #changed (change: HealthzChange): void {
    const { kind, from, to, lastedMs, at } = change
    figures.changes++
    const what = kind === 'state' ? 'the state' : kind === 'probe' ? change.probe : `${change.probe}/${change.check}`
    this.#claim('toldOnce', from !== to, `${what} goes from ${from} to ${to}`)
    this.#note(this.#told, what, turn(from, to, at - FIRST_DATE, lastedMs))
    const act = this.#onChange
    if (act === undefined || kind === 'probe') return
    this.#onChange = undefined
    this.#do(act)
  }

  #note (all: Map<string, string[]>, what: string, how = 'once'): void {
    const list = all.get(what) ?? []
    all.set(what, list)
    list.push(how)
  }

  /** @param calm all that was due has been called, and promises have settled */
  #look (calm: boolean): void {
    const clock = this.#clock
    const now = clock.now()
    let timers = this.#sleeping
    let running = 0
    for (const subject of this.#byPlan.values()) {
      this.#catchUp(subject)
      const { id, runs, told, period, countsFrom, inBackground, stopped, dueFrom, touched, waits, waitsBlocked, logFrom } = subject
      const run = runs.at(-1)
      if (waits) timers++
      // In the background its result starts the timer of the next one.
      if (run?.over === false) running++
      else if (inBackground) timers++
      this.#claim('clean', stopped || !runs.some(({ abandoned }) => abandoned), `${id} has given up a run, and is not stopped`)
      this.#tells(subject, told, subject.last())
      if (!calm) continue
      this.#claim('logged', !waits || now < logFrom + clock.blocked - waitsBlocked, `${id} should have been logged at ${logFrom}`)
      const unanswered = runs.some(({ over, result }) => over && result === undefined)
      this.#claim('answered', stopped || !unanswered, `${id} has a run without a result`)
      if (!inBackground) continue
      let until = 0
      if (run?.lateAt === undefined) until = Math.max(dueFrom, touched.at + 1, (run?.startedAt ?? -Infinity) + longest(period))
      // While one hangs it isn't its interval that counts, unless the event loop was blocked as that was found out.
      else if (run.hangs && run.blockedBefore === clock.blocked) until = dueFrom + 1
      else until = Math.max(dueFrom, touched.at) + longest(period)
      until += clock.blocked - touched.blocked
      this.#claim('fresh', now < until, `${id} should have run until ${until}`)
      const counted = countsFrom + longest(period) + clock.blocked - (told?.blockedBefore ?? 0)
      this.#claim('counted', now < counted, `a run of ${id} that hangs should have been counted again until ${counted}`)
    }
    this.#claim('clean', clock.timers - timers === running, `there are ${clock.timers - timers} timers for ${running} runs`)
    if (calm) {
      for (const ask of this.#asks) this.#claim('answered', now < this.#deadline(ask), `${ask.probe}, asked at ${ask.at}, is not answered`)
      for (const { name } of this.#registry.probes) {
        const { outcome } = this.#registry.get(name).snapshot()
        this.#claim('honest', outcome === this.#outcomes.get(name)!.is, `a snapshot says ${outcome} of ${name}`)
      }
    }
    if (this.#broken !== undefined) throw new Error(this.#broken)
  }

  /** The first that is not kept is thrown between two steps: elsewhere it would be taken for the failure of a check. */
  #claim (promise: keyof typeof PROMISES, kept: boolean, otherwise: string): void {
    if (!kept) this.#broken ??= `not kept: ${PROMISES[promise]}\nat ${this.#clock.now()} ms: ${otherwise}`
  }
}

/** An interval varies by a tenth. */
function shortest (period: number): number { return Math.floor(period * 0.9) }
function longest (period: number): number { return Math.ceil(period * 1.1) }

const FIRST_DATE = new FakeTime().date()

function turn (from: string, to: string, at: number, lastedMs: number): string {
  return `${from} → ${to} at ${at} after ${lastedMs}`
}

const { numRuns, seed } = trials(1000)
// A counterexample takes a while to be made small: rather one that is not as small as can be than none.
const enough = 60_000 + numRuns * 20
t.setTimeout(2 * enough)

t.test('the engine keeps its promises, whatever happens in whatever order', { timeout: 2 * enough }, async t => {
  let unhandled = 0
  const onUnhandled = () => { unhandled++ }
  process.on('unhandledRejection', onUnhandled)
  t.teardown(() => { process.off('unhandledRejection', onUnhandled) })

  await fc.assert(fc.asyncProperty(histories, randoms, async (history, randoms) => {
    figures.histories++
    unhandled = 0
    const app = new App(randoms)
    await app.play(history)
    await app.end()
    if (unhandled > 0) throw new Error(`not kept: ${PROMISES.clean}\n${unhandled} rejections`)
  }), { numRuns, seed, interruptAfterTimeLimit: enough, markInterruptAsFailure: true })

  t.comment(`seed ${seed}: ${Object.entries(figures).map(([what, count]) => `${count} ${what}`).join(', ')}`)
  for (const [what, count] of Object.entries(figures)) t.ok(count > 0, `there were ${what}`)
})
