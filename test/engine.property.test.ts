/**
 * Random histories of an app, each played to the engine on a fake clock and held against what it promises, whatever
 * happens in whatever order. What a check has to do is worked out a second time here, from the history of its runs alone.
 *
 * HEALTHZ_PROPERTY_RUNS=20000 plays so many histories, HEALTHZ_PROPERTY_SEED=… those of a failure again.
 */
import fc from 'fast-check'
import t from 'tap'
import { CheckRunner } from '../lib/check.js'
import { HealthError } from '../lib/errors.js'
import { Events } from '../lib/events.js'
import { Lifecycle } from '../lib/lifecycle.js'
import { HealthzLog } from '../lib/log.js'
import type { CheckPlan } from '../lib/news.js'
import { type Outcome, Probe } from '../lib/probe.js'
import { Registry } from '../lib/registry.js'
import type { Result } from '../lib/result.js'
import type { Run } from '../lib/run.js'
import type { HealthzChange, State } from '../types/healthz.js'
import type { Turn } from '../lib/turn.js'
import { trials } from './helpers/property.js'
import { FakeTime } from './helpers/time.js'

const PROMISES = {
  oneAtATime: 'a check runs once at a time, again as soon as it may, and runs that hang never pile up',
  honest: 'a probe passes only if each of its critical checks gave a pass, or if that is settled without them',
  fresh: 'a pass is told again within maxAge only, a failure never; of a check in the background the last result is told',
  toldOnce: 'each change is told once, and none of a check that was taken away',
  answered: 'a probe is answered within the longest timeout of its checks, plus the time that the event loop is blocked',
  clean: 'nothing runs after its end, no timer is left without a reason, and no rejection is unhandled'
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
  [3, fc.constantFrom(0, 1, 99, 100, 700, 799, 800, 801)],
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
  act
})
const options = fc.record({
  timeout: fc.constantFrom(800, 100, 5000, 800),
  critical: weighed([3, fc.constant(true)], [1, fc.constant(false)]),
  when: weighed<Pick<CheckPlan, 'maxAge' | 'interval'>>(
    [2, fc.constant({ maxAge: 0 })],
    [2, fc.record({ maxAge: fc.constantFrom(1, 800, 10_000, 60_000) })],
    [1, fc.record({ maxAge: fc.constant(0), interval: fc.constantFrom(500, 5000, 30_000, 60_000) })]
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
  [1, goOn('serving', 'serving', 'serving', 'serving', 'serving', 'serving', 'serving', 'serving', 'draining', 'closed')]
)
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
  histories: 0, steps: 0, asks: 0, passes: 0, runs: 0, shared: 0, reused: 0, late: 0, givenUp: 0, stuck: 0, latched: 0, changes: 0
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

/** Lets somebody see when it is asked. */
class WatchedRunner extends CheckRunner {
  onAsked = (ask: () => Result | Run) => ask()

  override run (turn?: Turn) { return this.onAsked(() => super.run(turn)) }
}

/** Lets somebody see what it hears from the checks. */
class WatchedEvents extends Events {
  onFinished = (_plan: CheckPlan, _result: Result) => {}
  onTold = (_what: string, _plan: CheckPlan) => {}

  override finished (plan: CheckPlan, result: Result) { this.onFinished(plan, result); super.finished(plan, result) }
  override causeChanged (plan: CheckPlan, result: Result) { this.onTold('another cause', plan); super.causeChanged(plan, result) }
  override stuck (plan: CheckPlan, runs: number, waitMs: number) { this.onTold('being stuck', plan); super.stuck(plan, runs, waitMs) }
}

/** A run as the test knows it. */
class Known {
  /** When it took too long. */
  lateAt: number | undefined
  /** What it gave back has settled. */
  settled = false
  givenUp = false
  /** What the engine says that it came to. */
  result: Result | undefined
  readonly error: Error | undefined
  comesTo: 'pass' | NonNullable<Result['reason']>
  /** When it takes too long. */
  lateFrom = Infinity
  answersAt = 0
  readonly startedAt: number
  readonly checkedAt: number
  readonly blockedBefore: number

  constructor (readonly script: Script, private readonly timeout: number, clock: Clock) {
    const { answer } = script
    if (answer === 'Error') this.error = new Error('secret')
    if (answer === 'HealthError') this.error = new HealthError('public')
    this.comesTo = answer === 'pass' ? 'pass' : answer === 'Error' ? 'unexpected' : 'failed'
    this.startedAt = clock.now()
    this.checkedAt = clock.date()
    this.blockedBefore = clock.blocked
  }

  get over () { return this.settled || this.lateAt !== undefined }
  get hangs () { return this.lateAt !== undefined && !this.settled }

  /** It has given back a promise, which has a moment to settle even if the call alone took too long. */
  called (now: number): void {
    this.lateFrom = Math.max(this.startedAt + this.timeout, now + 1)
    this.answersAt = now + Number(this.script.after)
    if (this.answersAt > this.lateFrom) this.comesTo = 'timeout'
  }

  answer (): unknown {
    if (this.error !== undefined) throw this.error
    return this.script.answer === 'false' ? false : undefined
  }

  /** Whether a result is of this run. */
  gave (result: Result): boolean {
    // At the very moment of the timeout it is the one or the other: runs that were started together share a timer.
    if (result.reason === 'timeout' && this.answersAt === this.lateFrom) this.comesTo = 'timeout'
    const { comesTo, error, startedAt, checkedAt } = this
    return (this.result ?? result) === result && result.startedAt === startedAt && result.checkedAt === checkedAt &&
      comesTo === (result.reason ?? result.outcome) && result.error === (comesTo === 'timeout' ? undefined : error)
  }
}

/** A check as the test knows it. */
class Subject {
  readonly runs: Known[] = []
  readonly unsettled = new Set<Known>()
  /** Runs that took too long and are waited for, oldest first; not one whose place another has taken. */
  outstanding: Known[] = []
  inBackground = false
  stopped = false
  /** Takes it away; not known yet while it is called for the first time by what adds it. */
  undo: (() => void) | undefined
  outcome = 'unknown'
  changedAt: number
  cause = { is: '', at: 0 }
  toldStuck = false
  /** The last time that something happened to a run of it. */
  touched = { at: 0, blocked: 0 }

  constructor (readonly id: string, readonly plan: CheckPlan, readonly scripts: readonly Script[], private readonly clock: Clock) {
    this.changedAt = clock.now()
    this.touch()
  }

  /** The last run that has a result. */
  get last () { return this.runs.findLast(({ over }) => over) }

  /** From when on a new run starts if somebody asks. These are the rules of how checks run. */
  get dueFrom (): number {
    const run = this.runs.at(-1)
    if (run === undefined) return 0
    if (!run.over) return Infinity
    if (run.comesTo === 'pass') return run.startedAt + this.plan.maxAge
    if (!run.hangs) return 0
    if (this.outstanding.length >= 3) return run.lateAt! + 600_000
    const inTime = this.runs.findLastIndex(({ over, lateAt }) => over && lateAt === undefined)
    const givenUp = this.runs.slice(inTime + 1).filter(({ givenUp }) => givenUp).length
    return run.lateAt! + Math.min(30_000 * 2 ** givenUp, 600_000)
  }

  begin (): Known {
    const { runs, scripts, plan, clock } = this
    const before = runs.at(-1)
    if (before?.hangs) {
      before.givenUp = true
      figures.givenUp++
    }
    if (this.outstanding.length >= 3) this.outstanding.shift()
    const run = new Known(scripts[runs.length % scripts.length]!, plan.timeout, clock)
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

interface Ask {
  readonly probe: string
  readonly subjects: readonly Subject[]
  readonly kind: 'whole' | 'leftOut' | 'one'
  readonly at: number
  /** When it is answered at the latest, if nothing blocks the event loop. */
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
  readonly #outcomes = new Map<string, { is: string, since: number }>(PROBES.map(probe => [probe, { is: 'unknown', since: 0 }]))
  #stateSince = 0
  #started = false
  #latched = false
  readonly #asks = new Set<Ask>()
  /** For each ask that is being made, innermost last, the runs whose results its checks owe it. */
  readonly #owed: Array<Array<Known | undefined>> = []
  #onChange: Act | undefined
  /** When what was told, and should have been. */
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
    events.onTold = (what, plan) => this.#note(this.#told, `${what} of ${this.#byPlan.get(plan)!.id}`)
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
    await this.play([{ do: 'wait', ms: 0 }, { do: 'goOn', to: 'draining' }, { do: 'goOn', to: 'closed' }, { do: 'wait', ms: 6000 }, { do: 'wait', ms: 1_000_000 }])
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
    const moments = this.#all.flatMap(({ dueFrom, runs }) => {
      const run = runs.at(-1)
      if (run === undefined || run.over) return [dueFrom]
      return [run.lateFrom, run.answersAt]
    }).filter(at => at > now && at < Infinity).sort((a, b) => a - b)
    await this.#clock.advance(Math.max(0, (moments[nth % moments.length] ?? 0) + plus - now))
  }

  #goOn (to: State): void {
    const from = this.#lifecycle.state
    if (STATES.indexOf(to) < STATES.indexOf(from)) return
    if (to === from) return this.#to(to)
    const now = this.#clock.now()
    this.#note(this.#due, 'the state', turn(from, to, now, now - this.#stateSince))
    this.#stateSince = now
    if (to === 'closed') {
      this.#started = false
      for (const subject of this.#all) subject.stop()
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
    if (state === 'serving') this.#lifecycle.serve()
    else if (state === 'draining') this.#lifecycle.drain(0)
    else if (state === 'closed') this.#lifecycle.closed()
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
    const refusal = probe === 'startup' && this.#latched ? 'HEALTHZ_ERR_STARTUP_PASSED' : this.#find(probe, check) && 'HEALTHZ_ERR_CHECK_EXISTS'
    if (refusal === undefined) {
      this.#byPlan.set(plan, subject)
      this.#subjects.get(probe)!.push(subject)
      if (this.#lifecycle.state === 'closed') subject.stop()
      if (this.#started) this.#begin(subject)
    }
    let refused: string | undefined
    try {
      subject.undo = this.#registry.add(this.#registry.get(probe), runner)
    } catch (error) {
      refused = (error as { code?: string }).code
    }
    this.#claim('honest', refused === refusal, `${subject.id} was refused with ${refused}, expected ${refusal}`)
  }

  #remove (probe: string, check: string): void {
    const subject = this.#find(probe, check)
    if (subject?.undo === undefined) return
    this.#subjects.set(probe, this.#subjects.get(probe)!.filter(other => other !== subject))
    subject.stop()
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

  #run (probe: string, subjects: readonly Subject[], kind: Ask['kind'], run: () => Outcome | Promise<Outcome>): void {
    figures.asks++
    const at = this.#clock.now()
    const { blocked } = this.#clock
    const settled = this.#settledWithoutChecks(probe, kind) !== undefined
    const owed: Array<Known | undefined> = []
    this.#owed.push(owed)
    const outcome = run()
    this.#owed.pop()
    const asked = settled ? 0 : subjects.length
    this.#claim('oneAtATime', owed.length === asked, `${probe} asked ${owed.length} checks, expected ${asked}`)

    const from = settled ? subjects.map(({ last }) => last) : owed
    const until = at + Math.max(0, ...subjects.map(({ plan }) => plan.timeout))
    const ask: Ask = { probe, subjects, kind, from, at, until, blockedBefore: blocked }
    this.#asks.add(ask)
    if (!(outcome instanceof Promise)) return this.#answered(ask, outcome)
    outcome.then(outcome => this.#answered(ask, outcome), error => this.#claim('answered', false, `${probe} rejects with ${error}`))
  }

  /** A check is asked for a result. One that is stopped, or runs in the background, tells its last, however old. */
  #asked (subject: Subject, ask: () => Result | Run): Result | Run {
    const { id, runs, plan, stopped, dueFrom, last } = subject
    const now = this.#clock.now()
    const before = runs.length
    const reads = stopped || plan.interval !== undefined
    const starts = !reads && dueFrom <= now
    const answer = ask()
    this.#claim('oneAtATime', starts === (runs.length > before), `${id} started ${runs.length - before} runs, and may from ${dueFrom} on`)
    // More have started since if somebody who heard of its result asked again.
    const run = reads ? last : runs[starts ? before : before - 1]
    this.#owed.at(-1)!.push(run)
    if (reads || starts || run === undefined) return answer
    if (!run.over) figures.shared++
    if (run.comesTo === 'pass' && run.over) figures.reused++
    const good = !run.over || run.hangs || (run.comesTo === 'pass' && now - run.startedAt < plan.maxAge)
    this.#claim('fresh', good, `${id} gives a result of ${run.startedAt} again`)
    return answer
  }

  /** A check is called. */
  #call (subject: Subject, run: Run): unknown {
    const { id, plan, dueFrom, unsettled, runs } = subject
    const clock = this.#clock
    const now = clock.now()
    const before = runs.at(-1)
    const [oldest] = unsettled
    figures.runs++
    this.#claim('clean', !subject.stopped, `${id} runs after it was stopped`)
    this.#claim('oneAtATime', dueFrom <= now, `${id} runs, and may from ${dueFrom} on`)
    const most = 3 + Math.floor((now - (oldest?.startedAt ?? now)) / 600_000)
    this.#claim('oneAtATime', unsettled.size < most, `${id} runs, and ${unsettled.size} runs of it have not settled`)
    this.#claim('oneAtATime', plan.interval === undefined || before === undefined || now - before.startedAt >= plan.interval,
      `${id} runs in the background, and did at ${before?.startedAt}`)

    const known = subject.begin()
    const { after, blocks: [called, answering], obeys, act } = known.script
    if (act !== undefined) this.#do(act)
    clock.block(called)
    if (after === 'sync') {
      subject.settle(known)
      return known.answer()
    }
    known.called(clock.now())
    if (after === 0) {
      queueMicrotask(() => subject.settle(known))
      return (async () => known.answer())()
    }
    return new Promise((resolve, reject) => {
      let timer: unknown
      const answer = () => {
        this.#sleeping--
        clock.block(answering)
        subject.settle(known)
        try { resolve(known.answer()) } catch (error) { reject(error) }
      }
      if (after < Infinity) {
        this.#sleeping++
        timer = clock.start(answer, after)
      }
      run.signal.addEventListener('abort', () => {
        this.#aborted(subject, known)
        if (!obeys) return
        if (after < Infinity) this.#sleeping--
        clock.cancel(timer)
        queueMicrotask(() => subject.settle(known))
        reject(run.signal.reason)
      })
    })
  }

  /** The signal of a run that took too long aborts, once there is a result. Of one that is stopped, nobody says so. */
  #aborted (subject: Subject, run: Known): void {
    const { id, stopped } = subject
    figures.late++
    this.#claim('answered', run.result !== undefined || stopped, `${id} is told to stop before there is a result`)
    this.#claim('oneAtATime', !run.settled, `${id} is told to stop a run that is over`)
    if (run.lateAt === undefined) subject.late(run)
    if (subject.outstanding.length < 3 || subject.toldStuck || stopped) return
    figures.stuck++
    subject.toldStuck = true
    this.#note(this.#due, `being stuck of ${id}`)
  }

  /** The engine says what a run came to. */
  #finished (subject: Subject, result: Result): void {
    const { id, plan, runs, outcome, cause } = subject
    const run = runs.at(-1)!
    const now = this.#clock.now()
    this.#claim('toldOnce', !subject.stopped, `${id} tells of a run after it was stopped`)
    this.#claim('toldOnce', run.result === undefined, `${id} tells of one run twice`)
    this.#claim('honest', run.gave(result), `${id} came to ${result.reason ?? result.outcome}, expected ${run.comesTo}`)
    const took = result.durationMs!
    const longest = plan.timeout + this.#clock.blocked - run.blockedBefore
    this.#claim('answered', took === now - run.startedAt && took <= longest, `${id} took ${took} ms, and may ${longest}`)
    this.#claim('answered', took >= plan.timeout || result.reason !== 'timeout', `${id} timed out after ${took} ms`)
    run.result = result
    if (result.reason === 'timeout') subject.late(run)

    const to = result.outcome === 'fail' && !plan.critical ? 'warn' : result.outcome
    const is = `${run.comesTo} ${result.error === undefined ? '' : run.error?.message}`
    if (to !== outcome) this.#note(this.#due, `${plan.probe}/${plan.name}`, turn(outcome, to, now, now - subject.changedAt))
    else if (to !== 'pass' && is !== cause.is && now - cause.at >= 60_000) this.#note(this.#due, `another cause of ${id}`)
    else return
    if (to !== outcome) subject.changedAt = now
    subject.outcome = to
    subject.cause = { is, at: now }
  }

  /** What a probe answers whatever its checks say, as a status. */
  #settledWithoutChecks (probe: string, kind: Ask['kind']): number | undefined {
    const { state } = this.#lifecycle
    if (probe === 'startup' && kind !== 'one' && this.#latched) return 200
    if (state === 'starting' && probe !== 'live') return 503
    if (state !== 'serving' && probe === 'ready') return 503
    if (probe === 'live' && (state === 'starting' || state === 'closed')) return 200
    if (state === 'closed') return 503
    return undefined
  }

  #answered (ask: Ask, { problem, checks }: Outcome): void {
    const { probe, subjects, kind, at, from } = ask
    const asked = `${probe}, asked at ${at},`
    this.#asks.delete(ask)
    this.#claim('answered', this.#clock.now() <= this.#deadline(ask), `${asked} was to be answered until ${this.#deadline(ask)}`)
    this.#claim('fresh', checks.length === subjects.length, `${asked} answers with ${checks.length} checks, expected ${subjects.length}`)
    subjects.forEach(({ id, plan }, i) => {
      const run = from[i]
      const [toldOf, result] = checks[i] ?? []
      if (result === undefined) return
      this.#claim('fresh', toldOf === plan, `${asked} tells of another check than ${id}`)
      this.#claim('fresh', run === undefined ? result.reason === 'unchecked' : run.gave(result),
        `${asked} tells ${result.reason ?? result.outcome} of ${result.startedAt} for ${id}, expected ${run?.comesTo} of ${run?.startedAt}`)
    })

    const counting = from.filter((_run, i) => kind === 'one' || subjects[i]!.plan.critical).map(run => run?.comesTo ?? 'unchecked')
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
      for (const subject of subjects) subject.stop()
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
    for (const { id, plan, runs, inBackground, stopped, dueFrom, touched } of this.#byPlan.values()) {
      if (inBackground) timers++
      if (runs.at(-1)?.over === false) running++
      if (!calm) continue
      this.#claim('answered', stopped || runs.every(({ over, result }) => !over || result !== undefined), `${id} has a run without a result`)
      const since = Math.max(dueFrom, touched.at)
      const longest = plan.interval! + clock.blocked - touched.blocked
      this.#claim('fresh', !inBackground || now - since < longest, `${id} should have run within ${longest} ms of ${since}`)
    }
    // Runs that were started together share a timer.
    const shared = clock.timers - timers
    this.#claim('clean', shared <= running && (shared > 0 || running === 0), `there are ${shared} timers for ${running} runs`)
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

const FIRST_DATE = new FakeTime().date()

function turn (from: string, to: string, at: number, lastedMs: number): string {
  return `${from} → ${to} at ${at} after ${lastedMs}`
}

const { numRuns, seed } = trials(1000)
// A counterexample takes a while to be made small: rather one that is not as small as can be than none.
const enough = 30_000 + numRuns * 20
t.setTimeout(2 * enough)

t.test('the engine keeps its promises, whatever happens in whatever order', { timeout: 2 * enough }, async t => {
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
  }), { numRuns, seed, interruptAfterTimeLimit: enough, markInterruptAsFailure: true })

  t.comment(`seed ${seed}: ${Object.entries(figures).map(([what, count]) => `${count} ${what}`).join(', ')}`)
  for (const [what, count] of Object.entries(figures)) t.ok(count > 0, `there were ${what}`)
})
