// The kubelet's defaults, in ms.
export const PERIOD = 10_000
const TIMEOUT = 1000
export const FAILURE_THRESHOLD = 3
/** The first restart of a container is immediate. The next ones are delayed, by twice as much each time. */
const BACK_OFF = 10_000
const MAX_BACK_OFF = 300_000

/** A pod with one container, and the kubelet that probes and restarts it. */
export class Pod {
  #clock
  #boot
  #fleet
  #client
  /** The container, once it listens. It isn't probed before that, as with a startup probe. */
  #container
  #restarts = 0
  #liveFailures = 0
  #readiness

  /**
   * @param boot starts a container: calls the first callback with it once it listens, or the second one when it exits
   * @param fleet the counters of all pods
   */
  constructor (clock, boot, fleet) {
    this.#clock = clock
    this.#boot = boot
    this.#fleet = fleet
    this.#readiness = fleet.ready.map(count => ({ count, failures: 0, ready: false }))
    this.#start()
  }

  /** Starts probing `live` or `ready` after a fraction of a period, `phase` (0 to 1). */
  probe (name, phase) {
    const onResult = passed => name === 'live' ? this.#onLive(passed) : this.#onReady(passed)
    const tick = () => {
      this.#clock.start(tick, PERIOD)
      const container = this.#container
      if (container === undefined) return
      const answer = container.probe(name)
      if (typeof answer === 'boolean') return onResult(answer)
      let waits = true
      const settle = passed => {
        if (!waits) return
        waits = false
        this.#clock.cancel(timeout)
        if (container === this.#container) onResult(passed)
      }
      const timeout = this.#clock.start(() => settle(false), TIMEOUT)
      answer.then(settle)
    }
    this.#clock.start(tick, phase * PERIOD)
  }

  #onLive (passed) {
    this.#liveFailures = passed ? 0 : this.#liveFailures + 1
    if (this.#liveFailures === FAILURE_THRESHOLD) this.#restart()
  }

  #onReady (passed) {
    for (const readiness of this.#readiness) {
      readiness.failures = passed ? 0 : readiness.failures + 1
      if (passed || readiness.failures === readiness.count.failureThreshold) setReady(readiness, passed)
    }
  }

  #start () {
    this.#client = { alive: true }
    this.#boot(this.#client, container => { this.#container = container }, () => this.#restart())
  }

  #restart () {
    this.#client.alive = false
    this.#container?.stop()
    this.#container = undefined
    this.#liveFailures = 0
    for (const readiness of this.#readiness) setReady(readiness, false)
    this.#fleet.restarts++
    const delay = this.#restarts === 0 ? 0 : Math.min(MAX_BACK_OFF, BACK_OFF * 2 ** (this.#restarts - 1))
    this.#restarts++
    this.#clock.start(() => this.#start(), delay)
  }
}

function setReady (readiness, ready) {
  if (readiness.ready === ready) return
  readiness.ready = ready
  readiness.failures = 0
  readiness.count.change(ready ? 1 : -1)
}
