/**
 * Random histories of an app, each played to the engine on a fake clock and held against what it promises, in whatever
 * order things happen. What a check has to do is worked out here a second time, from the history of its runs alone.
 *
 * HEALTHZ_PROPERTY_RUNS=10000 plays so many histories; HEALTHZ_PROPERTY_SEED plays those of a seed again.
 */
import fc from 'fast-check'
import t from 'tap'
import { type CheckPlan, CheckRunner } from '../lib/check.js'
import { HealthError } from '../lib/errors.js'
import { Events } from '../lib/events.js'
import { Lifecycle } from '../lib/lifecycle.js'
import { HealthzLog } from '../lib/log.js'
import { type Outcome, Probe } from '../lib/probe.js'
import { Registry } from '../lib/registry.js'
import type { Result } from '../lib/result.js'
import type { Run } from '../lib/run.js'
import type { HealthzChange, State } from '../types/healthz.js'
import { FakeTime } from './helpers/time.js'

const PROMISES = {
  oneAtATime: 'one run of a check at a time, a new one as soon as one may start, and runs that hang never pile up',
  honest: 'a probe passes only if each of its critical checks gave a pass, or it is settled without them',
  fresh: 'a pass is told again within maxAge only, a failure never; of a check in the background the last result is told',
  toldOnce: 'each transition is told once, and none of a check that was taken away',
  answered: 'a probe is answered within the longest timeout of its checks, plus the time that the event loop is blocked',
  clean: 'nothing runs after the end, no timer is left and no rejection is unhandled'
}

// What may happen

const PROBES = ['startup', 'ready', 'live'] as const
const CHECKS = ['a', 'b', 'c'] as const
const STATES = ['starting', 'serving', 'draining', 'closed'] as const

/** How a run of a check goes. */
interface Script {
  readonly answer: 'pass' | 'false' | 'HealthError' | 'Error'
  /** Answers after so many ms, `Infinity` for never; `sync`: without a promise. */
  readonly after: number | 'sync'
  /** For so many ms it blocks the event loop when it is called, and before it answers. */
  readonly blocks: readonly [called: number, answering: number]
  /** Rejects when its signal aborts. */
  readonly obeys: boolean
}

type Step =
  | { do: 'ask', probe: string, leftOut: readonly string[] }
  | { do: 'askOne', probe: string, check: string }
  | { do: 'wait', ms: number }
  /** Waits until something is due, or 1 ms less or more. */
  | { do: 'waitUntilDue', nth: number, plus: number }
  | { do: 'block', ms: number }
  | { do: 'add', probe: string, check: string, options: Omit<CheckPlan, 'probe' | 'name'>, scripts: readonly Script[] }
  | { do: 'remove', probe: string, check: string }
  /** While the app tells of its new state, somebody who hears of it asks a probe. */
  | { do: 'goOn', to: State, asking?: string | undefined }

const weighed = <T>(...choices: Array<[weight: number, arbitrary: fc.Arbitrary<T>]>) =>
  fc.oneof(...choices.map(([weight, arbitrary]) => ({ weight, arbitrary })))
const on = { probe: fc.constantFrom(...PROBES, 'ready', 'startup'), check: fc.constantFrom(...CHECKS) }
const blocks = weighed([8, fc.constant(0)], [2, fc.constantFrom(1, 700, 800, 900, 31_000)])

const script: fc.Arbitrary<Script> = fc.record({
  answer: weighed<Script['answer']>([3, fc.constant('pass')], [2, fc.constantFrom('false', 'HealthError', 'Error')]),
  after: weighed<Script['after']>(
    [3, fc.constant('sync')],
    [2, fc.constant(0)],
    [3, fc.constantFrom(1, 99, 100, 500, 799, 800)],
    [3, fc.constantFrom(801, 4999, 5000, 5001, 29_999, 30_799, 30_800, 30_801, 95_000, 300_000, 700_000)],
    [3, fc.constant(Infinity)]
  ),
  blocks: fc.tuple(blocks, blocks),
  obeys: weighed([4, fc.constant(false)], [1, fc.constant(true)])
})
const options = fc.record({
  timeout: fc.constantFrom(100, 800, 800, 800, 5000),
  critical: weighed([3, fc.constant(true)], [1, fc.constant(false)])
}).chain(both => weighed<Omit<CheckPlan, 'probe' | 'name'>>(
  [2, fc.constant({ ...both, maxAge: 0 })],
  [2, fc.constantFrom(1, 800, 10_000, 60_000).map(maxAge => ({ ...both, maxAge }))],
  [1, fc.constantFrom(500, 5000, 30_000, 60_000).map(interval => ({ ...both, maxAge: 0, interval }))]
))
const ms = weighed(
  [3, fc.constantFrom(0, 1, 99, 100, 700, 799, 800, 801)],
  [1, fc.constantFrom(9999, 10_000, 29_200, 29_999, 30_000, 30_001, 59_999, 60_000, 120_000, 599_999, 600_000)],
  [1, fc.nat(10_000)]
)
const add = fc.record({ do: fc.constant('add' as const), ...on, options, scripts: fc.array(script, { minLength: 1, maxLength: 3 }) })
const goOn = fc.record({
  do: fc.constant('goOn' as const),
  to: weighed<State>([4, fc.constant('serving')], [1, fc.constantFrom('draining', 'closed')]),
  asking: fc.option(on.probe, { nil: undefined })
})
const step = weighed<Step>(
  [16, fc.record({ do: fc.constant('ask' as const), probe: on.probe, leftOut: weighed<string[]>([3, fc.constant([])], [1, fc.subarray([...CHECKS])]) })],
  [2, fc.record({ do: fc.constant('askOne' as const), ...on })],
  [6, fc.record({ do: fc.constant('wait' as const), ms })],
  [10, fc.record({ do: fc.constant('waitUntilDue' as const), nth: fc.nat(2), plus: fc.constantFrom(-1, 0, 0, 1) })],
  [1, fc.record({ do: fc.constant('block' as const), ms })],
  [2, add],
  [1, fc.record({ do: fc.constant('remove' as const), ...on })],
  [1, goOn]
)
/** Checks are there from the start, and most apps serve soon. */
const histories = fc.tuple(
  fc.array(add, { minLength: 1, maxLength: 4 }),
  fc.array(step, { maxLength: 5 }),
  fc.array(goOn, { maxLength: 1 }),
  fc.array(step, { maxLength: 150, size: 'max' })
).map(parts => parts.flat() as Step[])

// What is known of it

const figures = {
  histories: 0, steps: 0, asks: 0, passes: 0, runs: 0, reused: 0, shared: 0, late: 0, givenUp: 0, stuck: 0, latched: 0, transitions: 0
}

/** A run as the test knows it. */
class Known {
  /** When it took too long. */
  lateAt: number | undefined
  /** What it gave back has settled. */
  settled = false
  givenUp = false
  /** What the engine said that it came to. */
  result: Result | undefined
  readonly error: Error | undefined
  readonly comesTo: 'pass' | NonNullable<Result['reason']>

  constructor (readonly script: Script, timeout: number, readonly startedAt: number, readonly checkedAt: number, readonly blockedBefore: number) {
    const { answer, after } = script
    const late = after !== 'sync' && after > timeout
    if (answer === 'Error') this.error = new Error('secret')
    if (answer === 'HealthError') this.error = new HealthError('public')
    this.comesTo = late ? 'timeout' : answer === 'pass' ? 'pass' : answer === 'Error' ? 'unexpected' : 'failed'
  }

  get over () { return this.settled || this.lateAt !== undefined }
  get isStuck () { return this.lateAt !== undefined && !this.settled }

  answer (): unknown {
    if (this.error !== undefined) throw this.error
    return this.script.answer === 'false' ? false : undefined
  }

  /** Whether a result is of this run. */
  gave (result: Result): boolean {
    const { comesTo, error, startedAt, checkedAt } = this
    return (this.result ?? result) === result && result.startedAt === startedAt && result.checkedAt === checkedAt &&
      comesTo === (result.reason ?? result.outcome) && result.error === (comesTo === 'timeout' ? undefined : error)
  }
}

/** A check as the test knows it. */
class Subject {
  readonly runs: Known[] = []
  /** Those that took too long and are waited for, oldest first. One whose place was taken is no longer. */
  outstanding: Known[] = []
  unsettled = new Set<Known>()
  /** Is run in the background now. */
  inBackground = false
  stopped = false
  undo = () => {}
  outcome = 'unknown'
  changedAt: number
  cause = { is: '', at: 0 }
  toldStuck = false
  overranAt = -Infinity
  /** The last time that something happened to a run of it. */
  touched = { at: 0, blocked: 0 }

  constructor (readonly id: string, readonly plan: CheckPlan, readonly scripts: readonly Script[], private readonly clock: Clock) {
    this.changedAt = clock.now()
    this.touch()
  }

  get last () { return this.runs.findLast(({ over }) => over) }

  /** From when on somebody who asks starts a new run: the rules of how checks run, from the history of its runs. */
  get dueFrom (): number {
    const run = this.runs.at(-1)
    if (run === undefined) return 0
    if (!run.over) return Infinity
    if (run.comesTo === 'pass') return run.startedAt + this.plan.maxAge
    if (!run.isStuck) return 0
    const answered = this.runs.findLastIndex(({ over, lateAt }) => over && lateAt === undefined)
    const givenUp = this.runs.slice(answered + 1).filter(({ givenUp }) => givenUp).length
    return run.lateAt! + (this.outstanding.length >= 3 ? 600_000 : Math.min(30_000 * 2 ** givenUp, 600_000))
  }

  begin (): Known {
    const before = this.runs.at(-1)
    if (before?.isStuck) {
      before.givenUp = true
      figures.givenUp++
    }
    if (this.outstanding.length >= 3) this.outstanding.shift()
    const { clock, runs, scripts, plan } = this
    const run = new Known(scripts[runs.length % scripts.length]!, plan.timeout, clock.now(), clock.date(), clock.blocked)
    runs.push(run)
    this.unsettled.add(run)
    return run
  }

  settle (run: Known): void {
    run.settled = true
    this.unsettled.delete(run)
    this.outstanding = this.outstanding.filter(other => other !== run)
    if (run.lateAt === undefined) this.toldStuck = false
    this.touch()
  }

  late (run: Known): void {
    run.lateAt = this.clock.now()
    this.outstanding.push(run)
    this.touch()
  }

  stop (): void {
    this.stopped = true
    this.inBackground = false
  }

  touch (): void {
    this.touched = { at: this.clock.now(), blocked: this.clock.blocked }
  }
}

/** Counts how long it was blocked, and doesn't go back when that was longer than it was to advance. */
class Clock extends FakeTime {
  blocked = 0
  #furthest = 0

  override block (ms: number): void {
    super.block(ms)
    this.blocked += ms
    this.#furthest = this.now()
  }

  override async advance (ms: number): Promise<void> {
    await super.advance(ms)
    super.block(Math.max(0, this.#furthest - this.now()))
  }
}

/** Lets somebody see what it hears from the checks. */
class WatchedEvents extends Events {
  onFinished = (_plan: CheckPlan, _result: Result) => {}
  onTold = (_what: 'causeChanged' | 'overran' | 'stuck', _plan: CheckPlan) => {}

  override finished (plan: CheckPlan, result: Result) { this.onFinished(plan, result); super.finished(plan, result) }
  override causeChanged (plan: CheckPlan, result: Result) { this.onTold('causeChanged', plan); super.causeChanged(plan, result) }
  override overran (plan: CheckPlan, blockedMs: number) { this.onTold('overran', plan); super.overran(plan, blockedMs) }
  override stuck (plan: CheckPlan, runs: number) { this.onTold('stuck', plan); super.stuck(plan, runs) }
}

interface Ask {
  readonly probe: Probe
  readonly subjects: readonly Subject[]
  readonly kind: 'whole' | 'leftOut' | 'one'
  readonly at: number
  /** The latest that it may be answered, if nothing blocks the event loop. */
  readonly until: number
  readonly blockedBefore: number
  /** The runs whose results it must tell, `undefined` where there has been none. */
  readonly from: ReadonlyArray<Known | undefined>
}

// The app, and what is expected of it

class App {
  readonly #clock = new Clock()
  readonly #events: WatchedEvents
  readonly #lifecycle: Lifecycle
  readonly #registry: Registry
  readonly #subjects = new Map<string, Subject[]>(PROBES.map(probe => [probe, []]))
  readonly #byPlan = new Map<CheckPlan, Subject>()
  readonly #asks = new Set<Ask>()
  readonly #probeOutcomes = new Map(PROBES.map(probe => [probe as string, { outcome: 'unknown', changedAt: 0 }]))
  #started = false
  #latched = false
  #stateSince = 0
  /** What was told and what should have been, by what it is about. */
  readonly #told = new Map<string, string[]>()
  readonly #due = new Map<string, string[]>()
  /** How many timers of the checks themselves are running. */
  #sleeping = 0
  #broken: string | undefined

  constructor () {
    const clock = this.#clock
    const write = () => {}
    const log = new HealthzLog({ error: write, warn: write, info: write } as any)
    const events = this.#events = new WatchedEvents({}, log, clock)
    const lifecycle = this.#lifecycle = new Lifecycle(clock, {
      stateChanged: (from, to, lastedMs) => events.stateChanged(from, to, lastedMs), drainBegan () {}, drainEnded () {}
    })
    this.#registry = new Registry(PROBES.map(name => new Probe(name, `/healthz/${name}`, lifecycle, events, clock)), [])
    events.onFinished = (plan, result) => this.#finished(this.#byPlan.get(plan)!, result)
    events.onTold = (what, plan) => this.#tell(this.#told, `${what} of ${this.#byPlan.get(plan)!.id}`)
    events.onChange(change => this.#changed(change))
  }

  /** Between two steps nothing else happens, so that several happen at once, unless they wait. */
  async play (steps: readonly Step[]): Promise<void> {
    for (const step of steps) {
      figures.steps++
      const wait = this.#do(step)
      if (wait !== undefined) await wait
      this.#look(step.do.startsWith('wait'))
    }
  }

  /** Closes the app and lets all time pass. */
  async end (): Promise<void> {
    await this.play([{ do: 'goOn', to: 'draining' }, { do: 'goOn', to: 'closed' }, { do: 'wait', ms: 6000 }, { do: 'wait', ms: 1_000_000 }])
    this.#claim('answered', this.#asks.size === 0, `${this.#asks.size} asks never were`)
    this.#claim('clean', this.#clock.timers === 0, `${this.#clock.timers} timers`)
    for (const about of new Set([...this.#told.keys(), ...this.#due.keys()])) {
      const [told, due] = [this.#told, this.#due].map(all => (all.get(about) ?? []).join(', '))
      this.#claim('toldOnce', told === due, `of ${about} was told: ${told}; and should have been: ${due}`)
    }
    this.#look(true)
  }

  #do (step: Step): Promise<void> | void {
    const clock = this.#clock
    switch (step.do) {
      case 'ask': return this.#ask(step.probe, step.leftOut)
      case 'askOne': return this.#askOne(step.probe, step.check)
      case 'wait': return clock.advance(step.ms)
      case 'waitUntilDue': {
        const moments = this.#moments()
        const at = moments[step.nth % moments.length] ?? 0
        return clock.advance(Math.max(0, at + step.plus - clock.now()))
      }
      case 'block': return clock.block(step.ms)
      // What is added to an app that is closed is nobody's concern.
      case 'add': return this.#lifecycle.state === 'closed' ? undefined : this.#add(step)
      case 'remove': {
        const subject = this.#find(step.probe, step.check)
        if (subject === undefined) return
        this.#subjects.set(step.probe, this.#subjects.get(step.probe)!.filter(other => other !== subject))
        subject.stop()
        subject.undo()
        return subject.undo()
      }
      case 'goOn': {
        const silence = this.#events.onChange(({ kind }) => { if (kind === 'state' && step.asking !== undefined) this.#ask(step.asking, []) })
        this.#goOn(step.to)
        return silence()
      }
    }
  }

  #find (probe: string, check: string): Subject | undefined {
    return this.#subjects.get(probe)!.find(({ plan }) => plan.name === check)
  }

  /** The next moments at which something should happen to a check. */
  #moments (): number[] {
    return [...this.#subjects.values()].flat().flatMap(({ dueFrom, runs, plan }) => {
      const run = runs.at(-1)
      if (run === undefined || run.over) return [dueFrom]
      const called = run.startedAt + run.script.blocks[0]
      return [called + plan.timeout, called + Number(run.script.after)]
    }).filter(at => at > this.#clock.now() && at < Infinity).sort((a, b) => a - b)
  }

  #goOn (to: State): void {
    const from = this.#lifecycle.state
    if (STATES.indexOf(to) < STATES.indexOf(from)) return
    if (to === from) return this.#to(to)
    const now = this.#clock.now()
    this.#tell(this.#due, 'the state', `${from} → ${to} after ${now - this.#stateSince}`)
    this.#stateSince = now
    const subjects = [...this.#subjects.values()].flat()
    if (to === 'closed') {
      this.#started = false
      for (const subject of subjects) subject.stop()
      this.#registry.stop()
    }
    this.#to(to)
    if (to === 'serving') {
      this.#started = true
      for (const subject of subjects) this.#begin(subject)
      this.#registry.start()
    }
  }

  /** An app drains before it closes, or it doesn't. */
  #to (state: State): void {
    if (state === 'serving') this.#lifecycle.serve()
    else if (state === 'draining') this.#lifecycle.drain(0)
    else if (state === 'closed') this.#lifecycle.closed()
  }

  #begin (subject: Subject): void {
    subject.inBackground = subject.plan.interval !== undefined && !subject.stopped
    subject.touch()
  }

  #add ({ probe: name, check, options, scripts }: Step & { do: 'add' }): void {
    const probe = this.#registry.get(name)
    const plan: CheckPlan = { ...options, probe: name, name: check }
    const subject = new Subject(`${name}/${check} #${this.#byPlan.size}`, plan, scripts, this.#clock)
    const runner = new CheckRunner(plan, run => this.#call(subject, run), this.#events, this.#clock)
    const refusal = name === 'startup' && this.#latched ? 'HEALTHZ_ERR_STARTUP_PASSED' : this.#find(name, check) && 'HEALTHZ_ERR_CHECK_EXISTS'
    if (refusal === undefined) {
      this.#byPlan.set(plan, subject)
      this.#subjects.get(name)!.push(subject)
      if (this.#started) this.#begin(subject)
    }
    let refused
    try {
      subject.undo = this.#registry.add(probe, runner)
    } catch (error) {
      refused = (error as { code?: string }).code
    }
    this.#claim('honest', refused === refusal, `a check was refused with ${refused}, expected ${refusal}`)
  }

  /** A run starts. */
  #call (subject: Subject, run: Run): unknown {
    const { plan, dueFrom, unsettled, id } = subject
    const clock = this.#clock
    const now = clock.now()
    const before = subject.runs.at(-1)
    const [oldest] = unsettled
    figures.runs++
    this.#claim('clean', !subject.stopped, `${id} runs after it was stopped`)
    this.#claim('oneAtATime', dueFrom <= now, `${id} runs, and may from ${dueFrom} on`)
    this.#claim('oneAtATime', oldest === undefined || unsettled.size < 3 + Math.floor((now - oldest.startedAt) / 600_000),
      `${id} has ${unsettled.size} runs since ${oldest?.startedAt}, and one more begins`)
    this.#claim('oneAtATime', before === undefined || plan.interval === undefined || now - before.startedAt >= plan.interval,
      `${id} runs in the background, and ran at ${before?.startedAt}`)

    const known = subject.begin()
    const { after, blocks: [called, answering], obeys } = known.script
    clock.block(called)
    if (called > plan.timeout && clock.now() - subject.overranAt >= 60_000) {
      subject.overranAt = clock.now()
      this.#tell(this.#due, `overran of ${id}`)
    }
    if (after === 'sync') {
      subject.settle(known)
      return known.answer()
    }
    if (after === 0) {
      queueMicrotask(() => subject.settle(known))
      return (async () => known.answer())()
    }
    return new Promise((resolve, reject) => {
      let timer: unknown
      const wake = (how: () => void) => {
        subject.settle(known)
        how()
      }
      if (after < Infinity) {
        this.#sleeping++
        timer = clock.start(() => {
          this.#sleeping--
          clock.block(answering)
          wake(() => { try { resolve(known.answer()) } catch (error) { reject(error) } })
        }, after)
      }
      run.signal.addEventListener('abort', () => {
        this.#late(subject, known)
        if (!obeys) return
        if (after < Infinity) this.#sleeping--
        clock.cancel(timer)
        wake(() => reject(run.signal.reason))
      })
    })
  }

  /** Its signal aborts: a run takes too long. */
  #late (subject: Subject, run: Known): void {
    figures.late++
    this.#claim('oneAtATime', !run.over, `the signal of a run of ${subject.id} aborts, and it is over`)
    this.#claim('answered', run.result !== undefined || subject.stopped, `the signal of ${subject.id} aborts before there is a result`)
    subject.late(run)
    if (subject.outstanding.length < 3 || subject.toldStuck || subject.stopped) return
    subject.toldStuck = true
    figures.stuck++
    this.#tell(this.#due, `stuck of ${subject.id}`)
  }

  /** The engine has a result of a run. */
  #finished (subject: Subject, result: Result): void {
    const { id, plan, runs, outcome } = subject
    const run = runs.at(-1)!
    const now = this.#clock.now()
    this.#claim('toldOnce', !subject.stopped, `${id} tells of a run after it was stopped`)
    this.#claim('toldOnce', run.result === undefined, `${id} tells of one run twice`)
    this.#claim('honest', run.gave(result), `${id} should have come to ${run.comesTo}, and came to ${result.reason ?? result.outcome}`)
    const took = result.durationMs!
    const longest = plan.timeout + this.#clock.blocked - run.blockedBefore
    this.#claim('answered', took === now - run.startedAt && took <= longest, `${id} took ${took} ms, and may take ${longest}`)
    this.#claim('answered', result.reason !== 'timeout' || took >= plan.timeout, `${id} timed out after ${took} ms`)
    run.result = result

    const to = result.outcome === 'fail' && !plan.critical ? 'warn' : result.outcome
    const cause = `${run.comesTo} ${result.error === undefined ? '' : run.error?.message}`
    if (to === outcome) {
      if (to === 'pass' || cause === subject.cause.is || now - subject.cause.at < 60_000) return
      subject.cause = { is: cause, at: now }
      return this.#tell(this.#due, `causeChanged of ${id}`)
    }
    subject.cause = { is: cause, at: now }
    this.#tell(this.#due, id, `${outcome} → ${to} after ${now - subject.changedAt}`)
    subject.outcome = to
    subject.changedAt = now
  }

  #ask (name: string, leftOut: readonly string[]): void {
    const probe = this.#registry.get(name)
    const subjects = this.#subjects.get(name)!.filter(({ plan }) => !leftOut.includes(plan.name))
    const settled = this.#settledWithoutChecks(name) !== undefined
    // A list that leaves nothing out is another thing than none.
    const kind = leftOut.length > 0 ? 'leftOut' : 'whole'
    this.#run(probe, subjects, kind, settled, () => probe.run(kind === 'whole' ? undefined : new Set(leftOut)))
  }

  #askOne (name: string, check: string): void {
    const probe = this.#registry.get(name)
    const runner = probe.get(check)
    const subject = this.#find(name, check)
    this.#claim('honest', (runner === undefined) === (subject === undefined), `${name}/${check} is there, or not`)
    if (runner !== undefined) this.#run(probe, [subject!], 'one', false, () => probe.runOne(runner))
  }

  #run (probe: Probe, subjects: readonly Subject[], kind: Ask['kind'], settled: boolean, run: () => Outcome | Promise<Outcome>): void {
    figures.asks++
    const { blocked } = this.#clock
    const at = this.#clock.now()
    const before = subjects.map(({ runs, dueFrom, last }) => ({ count: runs.length, dueFrom, last }))
    const outcome = run()

    // The checks were called one after the other, and the time of each is that at which the one before gave back control.
    let asked = at
    const from = subjects.map((subject, i) => {
      const { id, runs, plan, stopped } = subject
      const { count, dueFrom, last } = before[i]!
      const readsLast = settled || stopped || plan.interval !== undefined
      const starts = !readsLast && dueFrom <= asked ? 1 : 0
      this.#claim('oneAtATime', runs.length - count === starts, `${id} was asked and started ${runs.length - count} runs, expected ${starts}`)
      const run = readsLast ? last : runs.at(-1)!
      if (!readsLast && starts === 0) {
        if (run!.comesTo === 'pass' && run!.over) figures.reused++
        if (!run!.over) figures.shared++
        this.#claim('fresh', !run!.over || run!.isStuck || (run!.comesTo === 'pass' && asked - run!.startedAt < plan.maxAge),
          `${id} gives a result of ${run!.startedAt} again`)
      }
      if (starts === 1) asked += run!.script.blocks[0]
      return run
    })
    const ask: Ask = {
      probe, subjects, kind, from, at, until: at + Math.max(0, ...subjects.map(({ plan }) => plan.timeout)), blockedBefore: blocked
    }
    this.#asks.add(ask)
    if (outcome instanceof Promise) {
      outcome.then(outcome => this.#answered(ask, outcome), error => this.#claim('answered', false, `${probe.name} rejects with ${error}`))
    } else {
      this.#answered(ask, outcome)
    }
  }

  /** What a probe answers whatever its checks say, as a status. */
  #settledWithoutChecks (probe: string): number | undefined {
    const { state } = this.#lifecycle
    if (probe === 'startup' && this.#latched) return 200
    if (state === 'starting' && probe !== 'live') return 503
    if (state !== 'serving' && probe === 'ready') return 503
    if (probe === 'live' && (state === 'starting' || state === 'closed')) return 200
    return undefined
  }

  #answered (ask: Ask, { problem, checks }: Outcome): void {
    const { probe: { name }, subjects, kind, at, from } = ask
    this.#asks.delete(ask)
    this.#claim('answered', this.#clock.now() <= this.#deadline(ask), `${name}, asked at ${at}, was to be until ${this.#deadline(ask)}`)
    this.#claim('fresh', checks.length === subjects.length, `${name} answered with other checks`)
    checks.forEach(([plan, result], i) => {
      const { id } = subjects[i]!
      const run = from[i]
      this.#claim('fresh', plan === subjects[i]!.plan, `${name} answered with another check than ${id}`)
      this.#claim('fresh', run === undefined ? result.reason === 'unchecked' : run.gave(result),
        `${name}, asked at ${at}, tells ${result.reason ?? result.outcome} of ${result.startedAt} for ${id}, and not that of ${run?.startedAt}`)
    })

    const failing = from.filter((_run, i) => kind === 'one' || subjects[i]!.plan.critical).map(run => run?.comesTo ?? 'unchecked').filter(to => to !== 'pass')
    const byChecks = failing.length === 0 ? 200 : failing.includes('unexpected') ? 500 : 503
    const status = (kind === 'one' ? undefined : this.#settledWithoutChecks(name)) ?? byChecks
    this.#claim('honest', problem.status === status, `${name} answers ${problem.status}, expected ${status}: ${failing}`)
    if (status === 200) figures.passes++
    if (kind === 'whole') this.#remember(name, status === 200 ? 'pass' : 'fail')
  }

  #deadline ({ until, blockedBefore }: Ask): number {
    return until + this.#clock.blocked - blockedBefore
  }

  #remember (probe: string, to: 'pass' | 'fail'): void {
    const known = this.#probeOutcomes.get(probe)!
    if (known.outcome === to) return
    const now = this.#clock.now()
    this.#tell(this.#due, probe, `${known.outcome} → ${to} after ${now - known.changedAt}`)
    known.outcome = to
    known.changedAt = now
    if (probe !== 'startup' || to === 'fail') return
    this.#latched = true
    figures.latched++
    for (const subject of this.#subjects.get(probe)!) subject.stop()
  }

  /** A listener hears of a change. */
  #changed (change: HealthzChange): void {
    figures.transitions++
    const subject = change.kind === 'check' ? this.#find(change.probe, change.check) : undefined
    const about = change.kind === 'check' ? subject?.id ?? `${change.probe}/${change.check}, taken away` : change.kind === 'probe' ? change.probe : 'the state'
    this.#claim('toldOnce', change.from !== change.to, `${about} goes from ${change.from} to ${change.to}`)
    this.#tell(this.#told, about, `${change.from} → ${change.to} after ${change.lastedMs}`, change.at)
  }

  #tell (all: Map<string, string[]>, about: string, what = 'told', at = this.#clock.date()): void {
    const list = all.get(about) ?? []
    all.set(about, list)
    list.push(`${what} at ${new Date(at).toISOString()}`)
  }

  /** @param calm promises have settled, and all that was due has been called */
  #look (calm: boolean): void {
    const clock = this.#clock
    const now = clock.now()
    let timers = this.#sleeping
    for (const subject of this.#byPlan.values()) {
      const { id, plan, runs, inBackground, stopped, dueFrom, touched } = subject
      const run = runs.at(-1)
      if (inBackground) timers++
      if (run !== undefined && !run.over) timers++
      if (!calm) continue
      this.#claim('answered', stopped || runs.every(({ over, result }) => !over || result !== undefined), `${id} has a run without a result`)
      const since = Math.max(dueFrom, touched.at)
      const longest = plan.interval! + clock.blocked - touched.blocked
      this.#claim('fresh', !inBackground || now - since < longest, `${id} should have run within ${longest} ms of ${since}`)
    }
    this.#claim('clean', clock.timers === timers, `${clock.timers} timers, and ${timers} have a reason`)
    for (const ask of this.#asks) {
      if (calm) this.#claim('answered', now < this.#deadline(ask), `${ask.probe.name}, asked at ${ask.at}, still is not`)
    }
    if (this.#broken !== undefined) throw new Error(this.#broken)
  }

  /** Only the first that is broken is told, between two steps: what a check throws would be taken for its failure. */
  #claim (promise: keyof typeof PROMISES, kept: boolean, otherwise: string): void {
    if (!kept) this.#broken ??= `not kept: ${PROMISES[promise]}\nat ${this.#clock.now()} ms: ${otherwise}`
  }
}

t.test('the engine keeps its promises in any order of events', async t => {
  const { HEALTHZ_PROPERTY_RUNS: runs = 600, HEALTHZ_PROPERTY_SEED: seed = Date.now() & 0x7fffffff } = process.env
  let unhandled = 0
  const onUnhandled = () => { unhandled++ }
  process.on('unhandledRejection', onUnhandled)
  t.teardown(() => { process.off('unhandledRejection', onUnhandled) })

  await fc.assert(fc.asyncProperty(histories, async history => {
    figures.histories++
    unhandled = 0
    const app = new App()
    await app.play(history)
    await app.end()
    if (unhandled > 0) throw new Error(`not kept: ${PROMISES.clean}\n${unhandled} rejections`)
  }), { numRuns: Number(runs), seed: Number(seed) })

  t.comment(`seed ${seed}: ${Object.entries(figures).map(([what, count]) => `${count} ${what}`).join(', ')}`)
  for (const [what, count] of Object.entries(figures)) t.ok(count > 0, `some ${what}`)
})
