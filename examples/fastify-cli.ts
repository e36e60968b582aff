// An app for fastify-cli, which closes the app on a signal. The app therefore drains in `preClose`, and Fastify must not
// reject requests during the drain (`return503OnClosing`). Run it with
//
//   npm run build && npx fastify start --options --log-level info --close-grace-delay 15000 dist/examples/fastify-cli.js
//
// It listens on port 3000. Stop it with `kill` and the `pid` in its log lines: it drains for 5 s (DRAIN_MS), closes, and
// exits with code 0. fastify-cli kills the process after `--close-grace-delay`, which defaults to 500 ms. The drain must
// also be shorter than Fastify's `pluginTimeout`.
import type { FastifyInstance } from 'fastify'
import healthz from 'fastify-healthz'

export const options = { return503OnClosing: false }

export default async function app (fastify: FastifyInstance) {
  await fastify.register(healthz, { noLog: true })

  fastify.addHook('preClose', () => fastify.healthz.drain(Number(process.env.DRAIN_MS ?? 5000)))

  fastify.get('/', async () => 'served\n')
}
