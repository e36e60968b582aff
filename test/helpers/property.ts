/**
 * The number of runs and the seed of a property test. HEALTHZ_PROPERTY_RUNS=20000 sets the number of runs. The seed is
 * fixed, except with that variable and in the long suites. HEALTHZ_PROPERTY_SEED=… reproduces a failure.
 */
export function trials (runs: number): { numRuns: number, seed: number } {
  const { HEALTHZ_LONG, HEALTHZ_PROPERTY_RUNS, HEALTHZ_PROPERTY_SEED } = process.env
  const seed = (HEALTHZ_LONG ?? HEALTHZ_PROPERTY_RUNS) === undefined ? 1 : Date.now() % 2 ** 31
  return { numRuns: Number(HEALTHZ_PROPERTY_RUNS ?? runs), seed: Number(HEALTHZ_PROPERTY_SEED ?? seed) }
}
