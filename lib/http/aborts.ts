import type { ServerResponse } from 'node:http'
import type { Lifecycle } from '../engine/lifecycle.js'
import type { Probe } from '../engine/probe.js'
import type { Events } from '../telemetry/events.js'
import type { Time } from '../clock.js'

/** In ms, the shortest `timeoutSeconds` of the kubelet: a prober that is answered within it has no reason to hang up. */
const SHORTEST_TIMEOUT = 1000

/** Reports probers that hang up before they are answered, usually because their timeout is below that of a check. */
export class Aborts {
  /**
   * By probe, the longest that a prober has waited in vain since the outage began. An answer that takes as long doesn't
   * end the outage: a load balancer with a longer timeout may get each of its answers, and the kubelet none.
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

  /** A prober is answered, which may end an outage. */
  answered (probe: Probe, afterMs = 0): void {
    if (afterMs < (this.#outages.get(probe) ?? 0)) this.#outages.delete(probe)
  }

  #aborted (probe: Probe, waitedMs: number): void {
    // From the drain on clients may leave, and connections are closed.
    if (!['starting', 'serving'].includes(this.lifecycle.state)) return
    const longest = this.#outages.get(probe)
    this.#outages.set(probe, Math.max(waitedMs, longest ?? SHORTEST_TIMEOUT))
    this.events.probeAborted({ probe: probe.name, waitedMs, checks: probe.awaited }, longest === undefined)
  }
}
