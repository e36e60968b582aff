import { createRequire } from 'node:module'

// The plugin as it was packed and installed here, unless a run names another copy.
export const file = process.env.BENCH_PLUGIN ?? 'fastify-healthz'
const require = createRequire(import.meta.url)
export const { healthz, HealthError } = require(file)
/** The status page, which the plugin doesn't load. */
export const page = () => require(file.replace(/index\.js$/, 'page/index.js').replace(/healthz$/, 'healthz/page'))
