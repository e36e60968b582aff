/** Node.js settles promises between two immediates, so a batch of events takes only one iteration of the event loop. */
const BATCH = 256

/**
 * The clock of the simulation, where time jumps from one event to the next. The engine uses it as its clock. The events are
 * in a binary heap, sorted by time and then by the order in which they were added.
 */
export class Clock {
  #now = 0
  #order = 0
  #heap = []

  /** @param random returns numbers from 0 to 1, for the engine's jitter */
  constructor (random) {
    this.random = random
  }

  now () { return this.#now }
  date () { return this.#now }

  start (callback, ms) {
    const event = { at: this.#now + ms, order: this.#order++, callback }
    this.#push(event)
    return event
  }

  /** Removes the callback. The event stays in the heap until it is due. */
  cancel (event) {
    if (event !== undefined) event.callback = undefined
  }

  /** Calls back after all callbacks that are due now. */
  afterPoll (callback) {
    this.start(callback, 0)
  }

  /** Calls everything due until `end`, in order. Promises that an event settles are settled before the next event. */
  async runUntil (end) {
    const step = () => {
      if (this.#heap[0]?.at <= end) this.#call(this.#pop())
    }
    while (this.#heap[0]?.at <= end) {
      await new Promise(resolve => {
        for (let i = 0; i < BATCH; i++) setImmediate(step)
        setImmediate(resolve)
      })
    }
    this.#now = end
  }

  #call ({ at, callback }) {
    if (callback === undefined) return
    this.#now = at
    callback()
  }

  #push (event) {
    const heap = this.#heap
    let place = heap.length
    while (place > 0) {
      const parent = (place - 1) >> 1
      if (!before(event, heap[parent])) break
      heap[place] = heap[parent]
      place = parent
    }
    heap[place] = event
  }

  #pop () {
    const heap = this.#heap
    const [first] = heap
    const last = heap.pop()
    let place = 0
    for (let child = 1; child < heap.length; child = 2 * place + 1) {
      if (child + 1 < heap.length && before(heap[child + 1], heap[child])) child++
      if (!before(heap[child], last)) break
      heap[place] = heap[child]
      place = child
    }
    if (heap.length > 0) heap[place] = last
    return first
  }
}

function before (one, other) {
  return one.at < other.at || (one.at === other.at && one.order < other.order)
}
