import Fastify from 'fastify'
import t from 'tap'
import { Context } from '../../lib/check-context.js'
import { Run } from '../../lib/engine/run.js'
import { capture } from '../helpers/log.js'

t.test('what a check is called with makes its logger and its signal when they are read', async t => {
  const { lines, logger } = capture()
  const app = Fastify({ logger })
  const run = new Run(0, 0)
  const context = new Context(app, { probe: 'ready', name: 'database', timeout: 800, critical: true, maxAge: 0 }, run)
  t.strictSame([context.app, context.probe, context.check, context.timeout], [app, 'ready', 'database', 800])
  t.equal(context.log, context.log)
  context.log.info('x')
  t.match(lines, [{ probe: 'ready', check: 'database', msg: 'x' }])
  t.equal(context.signal, run.signal)
  context.awaiting = 'answer'
  t.strictSame([context.awaiting, run.awaiting], ['answer', 'answer'])
  const data = { free: 0.42 }
  context.data = data
  t.strictSame([context.data, run.data], [data, data])
})
