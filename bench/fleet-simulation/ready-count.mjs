/** Counts ready pods, for kubelets with a given `failureThreshold` of the readiness probe. */
export class ReadyCount {
  #clock
  #pods
  #count = 0
  #watchedAt = 0
  #mostUnready = 0
  /** By share of the pods: the time since when that many have been ready. */
  #marks

  constructor (clock, pods, failureThreshold) {
    this.#clock = clock
    this.#pods = pods
    this.failureThreshold = failureThreshold
    this.#marks = [0.5, 0.99].map(share => ({ share, pods: Math.ceil(share * pods), since: 0 }))
  }

  change (by) {
    const before = this.#count
    this.#count += by
    this.#mostUnready = Math.max(this.#mostUnready, this.#pods - this.#count)
    for (const mark of this.#marks) {
      if (before < mark.pods && this.#count >= mark.pods) mark.since = this.#clock.now()
    }
  }

  /** Resets `mostUnready` and the start time of `secondsUntil()`. */
  watch () {
    this.#watchedAt = this.#clock.now()
    this.#mostUnready = this.#pods - this.#count
  }

  /** The maximum number of pods that were unready at the same time. */
  get mostUnready () {
    return this.#mostUnready
  }

  /** Seconds until this share of the pods was ready and stayed ready. `Infinity` if it isn't ready. */
  secondsUntil (share) {
    const mark = this.#marks.find(mark => mark.share === share)
    return this.#count < mark.pods ? Infinity : Math.max(0, mark.since - this.#watchedAt) / 1000
  }
}
