import { createServer } from 'node:http'
import t from 'tap'

const SETTINGS = {
  port: 0, host: undefined, timeout: 300, maxBlocked: 10_000, stack: true, alive: []
} as const

t.test('a watchdog that cannot be had is reported, and a port that cannot be listened on is an error', async t => {
  let come: () => unknown
  const { openWatchdog } = t.mockRequire<typeof import('../../../lib/watchdog/open.js')>('../../../lib/watchdog/open.js', {
    '../../../lib/watchdog/watchdog.js': { Watchdog: { start: async () => come() } }
  })
  const unavailable: unknown[] = []
  const open = () => openWatchdog(createServer(), SETTINGS, () => ({
    loopBlocked () {}, threadDied () {}, threadUnavailable: error => { unavailable.push(error) }
  }))
  const watchdog = {}
  come = () => watchdog
  t.equal(await open(), watchdog)

  const errors = [new Error('no inspector'), 'no thread']
  for (const error of errors) {
    come = () => { throw error }
    t.equal(await open(), undefined)
  }
  t.strictSame(unavailable, errors)

  const taken = new Error('EADDRINUSE')
  come = () => ({ failure: taken })
  await t.rejects(open(), taken)
  t.equal(unavailable.length, 2)
})
