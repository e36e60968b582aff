/** wrk takes whole seconds only, and autocannon counts once a second. */
export function wholeSeconds (seconds) {
  return Math.max(1, Math.round(seconds))
}
