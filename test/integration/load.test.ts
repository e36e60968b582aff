// What the engine costs when many ask, and what it leaves behind: over real sockets, and in a process of its own.
import { once } from 'node:events'
import { connect } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import Fastify from 'fastify'
import t from 'tap'
import healthz from '../../lib/index.js'
import { listen } from '../helpers/raw.js'
import { spawnNode } from '../helpers/service.js'

t.test('10,000 probes at once are one run of a check, and every answer is right', async t => {
  const CONNECTIONS = 1000
  const REQUESTS = 10
  let runs = 0
  let waiting = 0
  let arrived = () => {}
  const all = new Promise<void>(resolve => { arrived = resolve })
  const app = Fastify()
  t.teardown(() => app.close())
  app.addHook('onRequest', async () => { if (++waiting === CONNECTIONS * REQUESTS) arrived() })
  app.register(healthz, {
    // It goes on until every probe has arrived and for 200 ms more, so that they are sure to be there at once.
    ready: async () => {
      runs++
      await all
      await setTimeout(200)
    },
    timeout: 60_000
  })
  const port = await listen(app)
  const get = 'GET /healthz/ready HTTP/1.1\r\nHost: localhost\r\n'
  const answers = await Promise.all(Array.from({ length: CONNECTIONS }, async () => {
    const socket = connect(port, '127.0.0.1').setEncoding('latin1')
    let answer = ''
    socket.on('data', chunk => { answer += chunk })
    socket.write(`${get}\r\n`.repeat(REQUESTS - 1) + `${get}Connection: close\r\n\r\n`)
    await once(socket, 'close')
    return answer
  }))
  t.equal(runs, 1)
  const count = (text: string) => answers.reduce((sum, answer) => sum + answer.split(text).length - 1, 0)
  t.equal(count('HTTP/1.1 200 OK\r\n'), CONNECTIONS * REQUESTS)
  t.equal(count('{"status":200,"title":"OK"}'), CONNECTIONS * REQUESTS)
})

t.test('after 10,000 runs that timed out a process has no timer and no listener left, and ends by itself', async t => {
  const program = `
    const { CheckRunner } = require('./dist/lib/engine/check.js')
    const { getEventListeners } = require('node:events')
    const { systemTime } = require('./dist/lib/clock.js')
    process.on('unhandledRejection', error => { console.log('unhandled', error); process.exitCode = 1 })
    const observer = { finished () {}, changed () {}, failing () {}, recovered () {}, causeChanged () {}, overran () {}, stuck () {}, tolerated () {}, dataDropped () {} }
    const signals = []
    const plan = { probe: 'ready', name: 'a', timeout: 1, critical: true, maxAge: 0 }
    async function outlast (runs) {
      let reject
      const check = new CheckRunner(plan, run => {
        signals.push(run.signal)
        return new Promise((_resolve, _reject) => { reject = _reject })
      }, observer, systemTime)
      let timedOut = 0
      for (let i = 0; i < runs; i++) {
        const result = await check.run()
        if (result.reason === 'timeout') timedOut++
        reject(new Error('late'))
        await null
      }
      return timedOut
    }
    Promise.all(Array.from({ length: 100 }, () => outlast(100))).then(timedOut => {
      console.log(JSON.stringify({
        timedOut: timedOut.reduce((sum, n) => sum + n),
        timers: process.getActiveResourcesInfo().filter(name => name === 'Timeout').length,
        aborted: signals.filter(signal => signal.aborted).length,
        listeners: signals.filter(signal => getEventListeners(signal, 'abort').length > 0).length
      }))
    })`
  const child = spawnNode(['--eval', program])
  child.stderr.pipe(process.stderr)
  let output = ''
  child.stdout.setEncoding('utf8').on('data', chunk => { output += chunk })
  const [code] = await once(child, 'close')
  t.equal(code, 0)
  t.strictSame(JSON.parse(output), { timedOut: 10_000, timers: 0, aborted: 10_000, listeners: 0 })
})
