import Fastify from 'fastify'
import t from 'tap'
import { Context } from '../lib/context.js'
import { Run } from '../lib/run.js'
import { systemTime } from '../lib/time.js'
import { Turn } from '../lib/turn.js'
import { capture } from './helpers/log.js'

t.test('what a check is called with makes its logger and its signal when they are read', async t => {
  const { lines, logger } = capture()
  const app = Fastify({ logger })
  const run = new Run(new Turn(systemTime))
  const context = new Context(app, 'ready', 'database', 800, run)
  t.strictSame([context.app, context.probe, context.check, context.timeout], [app, 'ready', 'database', 800])
  t.equal(context.log, context.log)
  context.log.info('x')
  t.match(lines, [{ probe: 'ready', check: 'database', msg: 'x' }])
  t.equal(context.signal, run.signal)
  context.awaiting = 'answer'
  t.strictSame([context.awaiting, run.awaiting], ['answer', 'answer'])
})
