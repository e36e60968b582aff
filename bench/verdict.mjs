// Whether a target is met. A claim is only what goes beyond the A/A control.

export function atMost (limit, { median, high }) {
  if (high <= limit) return 'met'
  return median <= limit ? 'met, within the noise' : 'not met'
}

/** Less than the other, by more than the same server is less than itself. */
export function less ({ high, median }, control) {
  if (high < Math.min(1, control.low)) return 'met'
  return median < 1 ? 'within the noise' : 'not met'
}

/** No more than the other, but for what the same server differs from itself. */
export function noMore ({ median, low }, control) {
  const limit = Math.max(1, control.high)
  if (median <= limit) return 'met'
  return low <= limit ? 'within the noise' : 'not met'
}
