import type { CheckRun } from '../../types/healthz.js'

/**
 * Calls the function of a check for one run, and returns what it returned.
 * @param finished resolves when the run has ended or timed out; never, if it is aborted because the check is stopped
 */
export type RunWrapper = (call: () => unknown, probe: string, check: string, finished: () => Promise<CheckRun>) => unknown

/**
 * The property of `app.healthz` with the wrapper of all its runs. Copies of this package share it: the number changes with
 * the signature.
 */
export const RUN_WRAPPER: unique symbol = Symbol.for('fastify-healthz:run-wrapper:1')
