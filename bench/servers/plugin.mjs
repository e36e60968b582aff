import { createRequire } from 'node:module'

// The plugin as it was packed and installed here, unless a run names another copy.
export const file = process.env.BENCH_PLUGIN ?? 'fastify-healthz'
export const { healthz, HealthError } = createRequire(import.meta.url)(file)
