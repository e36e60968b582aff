import { once } from 'node:events'
import { createServer } from 'node:http'
import { body, headers } from './answer.mjs'

/** With Fastify's `keepAliveTimeout`, since the `keep-alive` header of a response contains it. */
export async function start () {
  const server = createServer({ keepAliveTimeout: 72_000 }, (_request, response) => {
    response.writeHead(200, { ...headers, 'content-length': body.length })
    response.end(body)
  })
  await once(server.listen(0, '127.0.0.1'), 'listening')
  return { port: server.address().port, path: '/' }
}
