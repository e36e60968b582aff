import type { ServerResponse } from 'node:http'
import type { Lifecycle } from '../engine/lifecycle.js'
import type { Probe } from '../engine/probe.js'
import type { Events } from '../telemetry/events.js'
import type { Time } from '../clock.js'

/** The shortest `timeoutSeconds` of the kubelet, in ms: a prober that gets a response within it has no reason to hang up. */
const SHORTEST_TIMEOUT = 1000

/** Reports probers that hang up before the response, usually because their timeout is below that of a check. */
export class Aborts {
  /**
   * By probe, the longest wait of a prober that hung up during the outage. A response that takes as long doesn't end the
   * outage: a load balancer with a longer timeout may get all its responses, and the kubelet none.
   */
  readonly #outages = new Map<Probe, number>()

  constructor (
    private readonly lifecycle: Pick<Lifecycle, 'state'>,
    private readonly events: Pick<Events, 'probeAborted'>,
    private readonly time: Time
  ) {}

  /**
   * Watches the connection of a request that waits for its probe.
   * @returns a function to be called before the response is sent
   */
  watch (probe: Probe, response: ServerResponse): () => void {
    const startedAt = this.time.now()
    let aborted = false
    const closed = () => {
      // A hook of the app may have responded meanwhile, or the watchdog.
      if (response.writableEnded || (response.req.socket as { answered?: boolean }).answered) return
      aborted = true
      this.#aborted(probe, this.time.now() - startedAt)
    }
    response.once('close', closed)
    return () => {
      response.off('close', closed)
      if (!aborted) this.answered(probe, this.time.now() - startedAt)
    }
  }

  /** A prober got its response, which may end an outage. */
  answered (probe: Probe, afterMs = 0): void {
    if (afterMs < (this.#outages.get(probe) ?? 0)) this.#outages.delete(probe)
  }

  #aborted (probe: Probe, waitedMs: number): void {
    // During a drain clients may disconnect, and connections are closed.
    if (!['starting', 'serving'].includes(this.lifecycle.state)) return
    const longest = this.#outages.get(probe)
    this.#outages.set(probe, Math.max(waitedMs, longest ?? SHORTEST_TIMEOUT))
    this.events.probeAborted({ probe: probe.name, waitedMs, checks: probe.awaited }, longest === undefined)
  }
}
