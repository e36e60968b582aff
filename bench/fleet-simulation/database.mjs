/** Shorter than the timeout of a check, in ms. */
const SOON = 500
const REFUSED = new Error('connect ECONNREFUSED')

/**
 * The database that all pods share. It processes queries sequentially, `capacity` per second, so it slows down when more
 * arrive. A query that it has accepted is finished even if its client has given up.
 */
export class Database {
  #clock
  #counts = []
  #msPerQuery
  #busyUntil = 0
  #state = 'up'
  /** Queries that arrived while it hung. */
  #waiting = new Set()

  /**
   * @param capacity queries per second
   * @param latency the time for the network and for one query, in ms
   */
  constructor (clock, { capacity, latency }) {
    this.#clock = clock
    this.#msPerQuery = 1000 / capacity
    this.latency = latency
  }

  /**
   * @param client `alive` until its process exits
   * @param run its `signal` cancels the query: the connection closes, and the database drops a query that arrived while it
   * hung
   */
  query (client, run) {
    this.#count()
    return new Promise((resolve, reject) => {
      const query = { client, resolve }
      if (this.#state === 'refuses') return this.#clock.start(() => reject(REFUSED), this.latency)
      if (this.#state === 'hangs') this.#waiting.add(query)
      // Creating the signal is the most expensive part of this simulation, so it is skipped for queries that finish soon.
      else if (this.#serve(query) < SOON) return
      run?.signal.addEventListener('abort', () => {
        this.#waiting.delete(query)
        reject(run.signal.reason)
      })
    })
  }

  /** @param state `refuses` or `hangs` */
  fail (state) {
    this.#state = state
  }

  /** Ends the outage and processes the waiting queries. Returns their number. */
  recover () {
    const waiting = [...this.#waiting].filter(({ client }) => client.alive)
    this.#waiting.clear()
    this.#state = 'up'
    for (const query of waiting) this.#serve(query)
    return waiting.length
  }

  /** The number of queries that arrived in each second between `from` and `to`, in ms. */
  countsIn (from, to) {
    return Array.from({ length: Math.round((to - from) / 1000) }, (_, i) => this.#counts[Math.round(from / 1000) + i] ?? 0)
  }

  /** Processes a query. Returns how long that takes, in ms. */
  #serve ({ resolve }) {
    const now = this.#clock.now()
    this.#busyUntil = Math.max(now, this.#busyUntil) + this.#msPerQuery
    const ms = this.#busyUntil - now + this.latency
    this.#clock.start(resolve, ms)
    return ms
  }

  #count () {
    const second = Math.floor(this.#clock.now() / 1000)
    this.#counts[second] = (this.#counts[second] ?? 0) + 1
  }
}
