// Whether a target is met. A difference counts only if it exceeds that of the A/A control.

export function atMost (limit, { median, high }) {
  if (high <= limit) return 'met'
  return median <= limit ? 'met, within the noise' : 'not met'
}

/** Met if it is less than the reference by more than the A/A control differs. */
export function less ({ high, median }, control) {
  if (high < Math.min(1, control.low)) return 'met'
  return median < 1 ? 'within the noise' : 'not met'
}

/** Met if it is no more than the reference, apart from the difference of the A/A control. */
export function noMore ({ median, low }, control) {
  const limit = Math.max(1, control.high)
  if (median <= limit) return 'met'
  return low <= limit ? 'within the noise' : 'not met'
}
