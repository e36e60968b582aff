// An app that is started by fastify-cli, which closes it on a signal by itself. So the drain stands in `preClose`, and
// Fastify must not refuse requests meanwhile (`return503OnClosing`). Run it with
//
//   npm run build && npx fastify start --options --log-level info --close-grace-delay 15000 dist/examples/fastify-cli.js
//
// which listens on port 3000, and end it with `kill` and the `pid` of its log lines: it drains for 5 s (DRAIN_MS), closes,
// and exits with 0. fastify-cli kills the process after `--close-grace-delay`, half a second unless you set it. The drain
// must be over within Fastify's `pluginTimeout`, too.
import type { FastifyInstance } from 'fastify'
import healthz from 'fastify-healthz'

export const options = { return503OnClosing: false }

export default async function app (fastify: FastifyInstance) {
  await fastify.register(healthz, { noLog: true })

  fastify.addHook('preClose', () => fastify.healthz.drain(Number(process.env.DRAIN_MS ?? 5000)))

  fastify.get('/', async () => 'served\n')
}
