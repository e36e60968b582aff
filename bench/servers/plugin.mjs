import { createRequire } from 'node:module'
import { dirname, isAbsolute, join } from 'node:path'

// The plugin as packed and installed here, unless BENCH_PLUGIN is the path of another copy.
export const file = process.env.BENCH_PLUGIN ?? 'fastify-healthz'
const require = createRequire(import.meta.url)
export const { healthz, HealthError } = require(file)
/** Loads the status page, which is a separate entry point. */
export const page = () => require(isAbsolute(file) ? join(dirname(file), 'page') : `${file}/page`)
