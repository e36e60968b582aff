import { once } from 'node:events'
import { connect, type AddressInfo } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import Fastify from 'fastify'
import t from 'tap'
import healthz from '../../lib/index.js'

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

t.test('nothing is kept of connections that have closed', async t => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(healthz)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const sockets: Array<WeakRef<object>> = []
  app.server.on('connection', socket => { sockets.push(new WeakRef(socket)) })
  for (let i = 0; i < 10; i++) {
    const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1').resume()
    socket.write('GET /healthz/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n')
    await once(socket, 'close')
  }
  const kept = () => sockets.filter(ref => ref.deref() !== undefined).length
  // Node keeps the last ones for a while.
  for (let tries = 0; tries < 200 && kept() > 2; tries++) {
    await sleep(10)
    gc()
  }
  t.equal(sockets.length, 10)
  t.ok(kept() <= 2, `${kept()} are kept`)
})
