import type { Socket } from 'node:net'
import t from 'tap'
import { Arrivals } from '../../../lib/shutdown/arrivals.js'
import { FakeTime } from '../../helpers/time.js'

let port = 1000
const connection = (bytesRead = 100) => ({ remoteAddress: '10.0.0.1', remotePort: ++port, bytesRead }) as Socket

t.test('connections of the last second count', async t => {
  const time = new FakeTime()
  const arrivals = new Arrivals(() => time.now())
  t.equal(arrivals.count, 0)
  arrivals.add(connection())
  await time.advance(500)
  arrivals.add(connection())
  t.equal(arrivals.count, 2)
  await time.advance(499)
  t.equal(arrivals.count, 2)
  await time.advance(1)
  t.equal(arrivals.count, 1)
  await time.advance(500)
  t.equal(arrivals.count, 0)
  arrivals.add(connection())
  t.equal(arrivals.count, 1)
})

t.test('those of probers, and those without a byte, don\'t', async t => {
  const arrivals = new Arrivals(() => 0)
  const [client, prober] = [connection(), connection()]
  for (const each of [client, prober, connection(0)]) arrivals.add(each)
  t.equal(arrivals.count, 2)
  arrivals.ignore({ ...prober } as Socket)
  t.equal(arrivals.count, 1, 'a request over TLS has a socket of its own for the same connection')
  arrivals.ignore({ ...client, remoteAddress: '10.0.0.2' } as Socket)
  t.equal(arrivals.count, 1)
})
