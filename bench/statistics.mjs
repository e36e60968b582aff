const RESAMPLES = 2000

/** Seeded random numbers from 0 to 1 (mulberry32). */
export function randomOf (seed) {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0
    let mixed = Math.imul(seed ^ (seed >>> 15), 1 | seed)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

/** Shuffles the values, so that no server always runs after the same one. */
export function shuffled (values, random) {
  const left = [...values]
  return values.map(() => left.splice(Math.floor(random() * left.length), 1)[0])
}

export function quantile (values, share) {
  const sorted = [...values].sort((a, b) => a - b)
  const place = (sorted.length - 1) * share
  const below = sorted[Math.floor(place)]
  return below + (sorted[Math.ceil(place)] - below) * (place - Math.floor(place))
}

export function median (values) {
  return quantile(values, 0.5)
}

/** The median and its 95 % bootstrap interval. */
export function estimate (values) {
  const random = randomOf(values.length)
  const medians = Array.from({ length: RESAMPLES }, () => median(values.map(() => values[Math.floor(random() * values.length)])))
  return { median: median(values), low: quantile(medians, 0.025), high: quantile(medians, 0.975) }
}

/** The ratio of `values` to `references`, per round: both sides were measured within the same minute. */
export function ratio (values, references) {
  return estimate(values.map((value, round) => value / references[round]))
}
