import { once } from 'node:events'
import { createServer } from 'node:http'
import terminus from '@godaddy/terminus'

/** No plugin of Fastify's: it wraps a server of `node:http`. */
export async function start () {
  const server = createServer((_request, response) => { response.end('Hello, World!') })
  terminus.createTerminus(server, { healthChecks: { '/healthcheck': () => Promise.resolve() } })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return { port: server.address().port, path: '/healthcheck' }
}
