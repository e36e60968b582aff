import t from 'tap'

t.test('the thread starts a relay with what it is given', async t => {
  const calls: unknown[] = []
  const parentPort = {}
  const workerData = {}
  class Relay {
    constructor (...given: unknown[]) { calls.push(...given) }
    listen () { calls.push('listen') }
  }
  t.mockRequire('../../../lib/watchdog/thread.js', {
    'node:worker_threads': { parentPort, workerData }, '../../../lib/watchdog/relay.js': { Relay }
  })
  t.equal(calls[0], parentPort)
  t.equal(calls[1], workerData)
  t.equal(calls[2], 'listen')
})
