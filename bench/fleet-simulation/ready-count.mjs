/** How many pods are ready where the kubelets have this `failureThreshold` for readiness. */
export class ReadyCount {
  #clock
  #pods
  #count = 0
  #watchedAt = 0
  #mostUnready = 0
  /** Since when so many pods have been ready. */
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

  /** What is asked from here on counts from now. */
  watch () {
    this.#watchedAt = this.#clock.now()
    this.#mostUnready = this.#pods - this.#count
  }

  /** How many pods were unready at once. */
  get mostUnready () {
    return this.#mostUnready
  }

  /** After how many seconds this share of the pods was ready and stayed so; `Infinity` if it isn't. */
  secondsUntil (share) {
    const mark = this.#marks.find(mark => mark.share === share)
    return this.#count < mark.pods ? Infinity : Math.max(0, mark.since - this.#watchedAt) / 1000
  }
}
