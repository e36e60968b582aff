/**
 * How often a property is tried, and from which seed: HEALTHZ_PROPERTY_RUNS=20000 tries so many examples,
 * HEALTHZ_PROPERTY_SEED=… those of a failure again.
 */
export function trials (runs: number): { numRuns: number, seed: number } {
  const { HEALTHZ_PROPERTY_RUNS = String(runs), HEALTHZ_PROPERTY_SEED = String(Date.now() % 2 ** 31) } = process.env
  return { numRuns: Number(HEALTHZ_PROPERTY_RUNS), seed: Number(HEALTHZ_PROPERTY_SEED) }
}
