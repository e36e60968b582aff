import { once } from 'node:events'
import { createServer } from 'node:http'
import terminus from '@godaddy/terminus'

/** Not a Fastify plugin: it wraps a `node:http` server. */
export async function start () {
  const server = createServer((_request, response) => { response.end('Hello, World!') })
  terminus.createTerminus(server, { healthChecks: { '/healthcheck': () => Promise.resolve() } })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return { port: server.address().port, path: '/healthcheck' }
}
