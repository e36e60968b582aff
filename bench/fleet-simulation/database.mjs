/** No run times out within this, in ms. */
const SOON = 500
const REFUSED = new Error('connect ECONNREFUSED')

/**
 * The database that all pods share. It works on one query after the other, `capacity` in a second, so it slows down when
 * more arrive. One that it has begun to work on is finished, also when nobody waits for it any more.
 */
export class Database {
  #clock
  #counts = []
  #msPerQuery
  #busyUntil = 0
  #state = 'up'
  /** What arrived while it hung. */
  #waiting = new Set()

  /**
   * @param capacity queries a second
   * @param latency the time on the network and for one query, in ms
   */
  constructor (clock, { capacity, latency }) {
    this.#clock = clock
    this.#msPerQuery = 1000 / capacity
    this.latency = latency
  }

  /**
   * @param client `alive` until its process exits
   * @param run its `signal` gives the query up: the connection closes, and the database drops a query that waits
   */
  query (client, run) {
    this.#count()
    return new Promise((resolve, reject) => {
      const query = { client, resolve }
      if (this.#state === 'refuses') return this.#clock.start(() => reject(REFUSED), this.latency)
      if (this.#state === 'hangs') this.#waiting.add(query)
      // A signal is what costs most in this simulation, so it isn't read for a query that is answered soon.
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

  /** It is back, and works on what has waited. Returns how many queries that are. */
  recover () {
    const waiting = [...this.#waiting].filter(({ client }) => client.alive)
    this.#waiting.clear()
    this.#state = 'up'
    for (const query of waiting) this.#serve(query)
    return waiting.length
  }

  /** How many queries arrived in each second from `from` until `to`, in ms. */
  countsIn (from, to) {
    return Array.from({ length: Math.round((to - from) / 1000) }, (_, i) => this.#counts[Math.round(from / 1000) + i] ?? 0)
  }

  /** Returns how long it takes, in ms. */
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
