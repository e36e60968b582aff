// What blocks event loops in practice, each in its own process: how soon the probers are answered, and what the person on
// call reads. The last comment of the run is the table.
import t from 'tap'
import { type BlockLine, probe, startBlocking } from '../helpers/blocking.js'

interface Kind {
  readonly title: string
  /** Body of the function `culprit`, which runs after `prepare`. */
  readonly code: string
  readonly prepare?: string
  readonly args?: readonly string[]
  /** Where its stack is taken: in its JavaScript at once, when native code returns, or only its caller is left then. */
  readonly stack: 'at once' | 'on return' | 'caller on return'
}

const KINDS: readonly Kind[] = [
  { title: 'busy loop', stack: 'at once', code: 'for (const end = performance.now() + 4000; performance.now() < end;);' },
  {
    title: 'regular expression that backtracks',
    stack: 'at once',
    // A new one each time: Node compiles one that is used again.
    prepare: `
      let length = 18
      const match = () => new RegExp('^(a+)+' + length + '$').test('a'.repeat(length))
      for (let ms = 0; ms < 2000; length++) { const at = performance.now(); match(); ms = performance.now() - at }`,
    code: 'match()'
  },
  {
    title: '`JSON.parse` of 200 MB',
    stack: 'caller on return',
    args: ['--max-old-space-size=8192'],
    prepare: 'const json = "[" + \'{"a":[1,2,3],"b":"text"},\'.repeat(8e6) + "1]"',
    code: 'return JSON.parse(json).length'
  },
  {
    title: '`zlib.gzipSync` of 150 MB',
    stack: 'at once',
    prepare: 'const bytes = require("node:crypto").randomBytes(15e7)',
    code: 'require("node:zlib").gzipSync(bytes)'
  },
  { title: '`crypto.pbkdf2Sync`', stack: 'on return', code: 'require("node:crypto").pbkdf2Sync("a", "b", 8e6, 64, "sha512")' },
  {
    title: '`crypto.scryptSync`',
    stack: 'on return',
    code: 'require("node:crypto").scryptSync("a", "b", 64, { N: 2 ** 20, r: 8, p: 1, maxmem: 2 ** 32 })'
  },
  {
    title: '`fs.readFileSync` of a FIFO',
    stack: 'on return',
    prepare: `
      const { execFileSync, spawn } = require('node:child_process')
      const fifo = file + '-fifo'
      execFileSync('mkfifo', [fifo])`,
    code: `
      spawn('sh', ['-c', 'sleep 4; echo a > ' + fifo])
      require('node:fs').readFileSync(fifo)`
  },
  { title: '`execSync("sleep 4")`', stack: 'on return', code: 'require("node:child_process").execSync("sleep 4")' },
  { title: '`Atomics.wait`', stack: 'at once', code: 'Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 4000)' },
  {
    title: 'garbage collections near the limit of the heap',
    stack: 'at once',
    args: ['--max-old-space-size=150'],
    prepare: `
      const piece = () => new Array(1000).fill(0).map(() => ({}))
      const kept = []
      while (process.memoryUsage().heapUsed < 110e6) kept.push(piece())`,
    code: 'for (const end = performance.now() + 4000; performance.now() < end;) kept[Math.floor(Math.random() * kept.length)] = piece()'
  }
]

const rows: string[] = []
const cell = (ms: number) => `${(ms / 1000).toFixed(1)} s`

for (const { title, code, prepare = '', args, stack } of KINDS) {
  t.test(title, { timeout: 120_000 }, async t => {
    const service = startBlocking(t, {
      args: args ?? [],
      setup: `${prepare};
        function culprit () { ${code} }
        app.get('/culprit', async () => { say('blocking'); const at = performance.now(); culprit(); say('over', { ms: performance.now() - at }) })
        app.get('/', async () => 'serves')`
    })
    const port = await service.probes()
    const app = await service.app()
    t.equal(await probe(port, 'ready'), '200 OK')
    const blocked = fetch(`http://127.0.0.1:${app}/culprit`)
    await service.line('blocking')
    const at = performance.now()
    const answers = await Promise.all([probe(port, 'live'), probe(port, 'ready')])
    const answeredMs = performance.now() - at
    t.match(answers, ['200 OK', /^503 event loop blocked for/])
    const writtenAt = service.complaint(/event loop blocked.*\n/).then(() => performance.now() - at)
    t.equal((await blocked).status, 200, 'it goes on')
    t.equal(await (await fetch(`http://127.0.0.1:${app}/`)).text(), 'serves')
    const logged = await service.line(/^event loop blocked/) as unknown as BlockLine
    const { ms } = await service.line('over') as unknown as { ms: number }
    t.equal(await probe(port, 'ready'), '200 OK')
    service.kill('SIGTERM')
    t.equal((await service.exit).code, 0)
    const [line] = await service.written()
    t.ok(answeredMs < ms, 'the probers were answered while it was blocked')
    const frames = (logged.stack ?? '').split('\n').map(frame => frame.trim().replace(/^at /, '').replace(/ \((?!stack).*/, ''))
    const named = frames.includes('culprit')
    t.equal(line!.stack !== undefined, stack === 'at once', 'the stack is on stderr')
    if (stack === 'caller on return') t.match(logged.stack, /native code[^]*eval/)
    else t.ok(named, 'the function that blocks is named')
    rows.push(`| ${title} | ${cell(ms)} | ${cell(answeredMs)} | ${cell(await writtenAt)} | ${stack} | \`${line!.msg}\` | \`${frames.slice(0, named ? frames.indexOf('culprit') + 1 : 3).join(' ← ')}\` |`)
  })
}

t.teardown(() => {
  t.comment(['| what blocks | how long | probes answered after | line on stderr after | stack taken | the line | its stack |',
    '|---|---|---|---|---|---|---|', ...rows].join('\n'))
})
