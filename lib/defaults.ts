import { isatty } from 'node:tty'

/** Time in which endpoint removal typically propagates, with a margin, in ms. */
export const DRAIN_MS = 5000

/** The default of `shutdown.timeout`, in ms. */
export const CLOSE_MS = 10_000

/**
 * The default delay of a drain, in ms: 0 under a watcher or in a terminal, where no endpoint has to be removed.
 * @param interactive whether stdin is a terminal
 */
export function defaultDelay (env = process.env, interactive = isatty(0)): number {
  // A container may have a terminal, but pods always drain.
  if (env.KUBERNETES_SERVICE_HOST !== undefined) return DRAIN_MS
  // `node --watch` sets the variable in the process that it restarts. Other watchers are only detected by their terminal.
  return interactive || env.WATCH_REPORT_DEPENDENCIES !== undefined ? 0 : DRAIN_MS
}
