import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir, totalmem } from 'node:os'
import { join } from 'node:path'
import { getHeapStatistics } from 'node:v8'
import t from 'tap'
import { heapUsed, rss } from '../../../lib/checks/index.js'
import { readyWith } from '../../helpers/ready.js'
import { startService } from '../../helpers/service.js'

const MIB = 2 ** 20

t.test('a limit that could not be meant is refused', async t => {
  for (const check of [heapUsed, rss]) {
    for (const max of [0, 1, 90, '90%', undefined]) {
      t.throws(() => check({ max } as any), { message: RegExp(`^Expected \`${check.name}\\(\\)\\.max\` to be a fraction between 0 and 1, or `) })
    }
  }
})

t.test('what is used is compared, in bytes or as a fraction of what there may be', async t => {
  const { app } = await readyWith(t, {
    heap: heapUsed({ max: 2 ** 40 }),
    heapBytes: heapUsed({ max: MIB }),
    heapShare: heapUsed({ max: 0.99 }),
    heapSmallShare: heapUsed({ max: 0.0001 }),
    rss: rss({ max: 2 ** 40 }),
    rssBytes: rss({ max: MIB }),
    rssShare: rss({ max: 0.99 }),
    rssSmallShare: rss({ max: 0.000_001 })
  })
  const { checks } = await app.healthz.run('ready')
  const data = { used: Number, limit: getHeapStatistics().heap_size_limit }
  t.match(checks, {
    heap: { status: 'pass', data },
    heapBytes: { status: 'fail', title: /^\d+ MiB of heap used, at most 1 allowed$/, data },
    heapShare: { status: 'pass' },
    heapSmallShare: { status: 'fail', title: /^\d+ MiB of heap used, at most \d allowed$/ },
    rss: { status: 'pass', data: { used: Number, limit: Number } },
    rssBytes: { status: 'fail', title: /^\d+ MiB of memory used, at most 1 allowed$/ },
    rssShare: { status: 'pass' },
    rssSmallShare: { status: 'fail', title: /^\d+ MiB of memory used, at most 0 allowed$/ }
  })
})

const SERVICE = `
  const { heapUsed, rss } = require('./dist/lib/checks/index.js')
  require('node:v8').setFlagsFromString('--expose-gc')
  const gc = require('node:vm').runInNewContext('gc')
  gc()
  const { heapUsed: heap, rss: all } = process.memoryUsage()
  const app = Fastify()
  await app.register(healthz, { live: {
    heap: heapUsed({ max: heap + 60 * 2 ** 20 }), rss: rss({ max: all + 300 * 2 ** 20 })
  } })
  await app.ready()
  let kept = []
  const ask = async msg => { say(msg, { title: (await app.healthz.run('live')).title }) }
  await ask('before')
  while (kept.length < 1000) kept.push(new Array(16 * 1024).fill(kept.length))
  await ask('heap full')
  kept = []
  gc()
  await ask('heap free')
  kept = Buffer.alloc(500 * 2 ** 20, 1)
  await ask('memory full')
  kept = undefined
  gc()
  await new Promise(resolve => setImmediate(resolve))
  gc()
  await ask('memory free')
`

t.test('a fraction is one of the limit that there is', async t => {
  const { constrainedMemory } = process
  t.teardown(() => { process.constrainedMemory = constrainedMemory })
  const { app, ask } = await readyWith(t, { memory: rss({ max: 0.5 }) })
  const limit = () => app.healthz.snapshot().ready!.checks.memory!.data!.limit
  process.constrainedMemory = () => MIB
  t.match(await ask(), /^memory: \d+ MiB of memory used, at most 0 allowed$/)
  t.equal(limit(), MIB)
  process.constrainedMemory = () => 0
  t.equal(await ask(), 'OK')
  t.equal(limit(), totalmem())
})

t.test('a process that fills its heap, or memory beside it, fails its probe, and recovers once it is free', async t => {
  const { code, lines, stderr } = await startService(t, SERVICE).exit
  t.equal(code, 0, stderr)
  t.match(lines, [
    { msg: 'before', title: 'OK' },
    { msg: 'heap full', title: /^heap: \d+ MiB of heap used, at most \d+ allowed$/ },
    { msg: 'heap free', title: 'OK' },
    { msg: 'memory full', title: /^rss: \d+ MiB of memory used, at most \d+ allowed$/ },
    { msg: 'memory free', title: 'OK' }
  ])
})

/** It sees files of the test where the kernel's are. Which of them are read depends on the cgroups that the machine has. */
const CONTAINED = `
  const { mkdirSync, writeFileSync } = require('node:fs')
  const { rss } = require('./dist/lib/checks/index.js')
  const limit = (max, v2 = String(max), v1 = v2) => {
    mkdirSync('/sys/fs/cgroup/memory', { recursive: true })
    for (const file of ['memory.max', 'memory.high']) writeFileSync('/sys/fs/cgroup/' + file, v2)
    for (const file of ['limit', 'soft_limit']) writeFileSync('/sys/fs/cgroup/memory/memory.' + file + '_in_bytes', v1)
  }
  const check = rss({ max: 0.01 })
  const run = () => { try { check({}); console.log('OK') } catch (error) { console.log(error.message) } }
  run()
  limit(500 * 2 ** 20)
  run()
  limit(900 * 2 ** 20)
  run()
  limit(2 ** 60)
  run()
  limit(NaN, 'max', '9223372036854771712')
  run()
`

t.test('a fraction is one of the limit of the container, or of the machine without one', async t => {
  if (spawnSync('unshare', ['-rmC', 'true']).status !== 0) {
    t.pass('needs unshare -rmC', { skip: 'needs unshare -rmC' })
    return
  }
  const dir = mkdtempSync(join(tmpdir(), 'healthz-'))
  t.teardown(() => rmSync(dir, { recursive: true }))
  const script = 'mount --bind "$0" /sys/fs/cgroup && exec "$@"'
  const node = ['env', '-u', 'NODE_OPTIONS', process.execPath, '--eval', CONTAINED]
  const { stdout, stderr } = spawnSync('unshare', ['-rmC', 'sh', '-c', script, dir, ...node], { encoding: 'utf8' })
  const machine = Math.floor(totalmem() * 0.01 / MIB)
  const allowed = stdout.trim().split('\n').map(title => title === 'OK' ? machine : Number(/^\d+ MiB of memory used, at most (\d+) allowed$/.exec(title)?.[1]))
  t.same(allowed, [machine, 5, 9, machine, machine], stderr)
})
