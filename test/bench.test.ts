// A short run of the benchmark, so that it can't rot. Its figures mean nothing, and no target is asked for.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import t from 'tap'
import { project, run } from './helpers/package.js'

const bench = (file: string) => import(pathToFileURL(join(project, 'bench', file)).href)
const skip = process.platform === 'linux' ? false : "the CPU time of a server is read from Linux' /proc"

t.test('measures every row of the table, with what is installed here', { skip }, async t => {
  const document = await readFile(join(project, 'docs/performance.md'), 'utf8')
  const { code, stdout, stderr } = await run(process.execPath, [
    'bench/run.mjs', '--no-install', '--tool', 'probers', '--rounds', '1', '--fleets', '1', '--seconds', '0.01',
    '--warm-up', '10', '--probes', '100'
  ], project)
  t.equal(code, 0, stderr)
  if (process.env.HEALTHZ_REQUIRE_SERVICES === '1') t.notMatch(stdout, /not measured/, 'every peer is installed')
  const lines = stdout.split('\n').filter(line => line.startsWith('| ')).map(line => line.split('|').slice(1, -1).map(cell => cell.trim()))
  const [head, ...rows] = lines
  t.same(head, ['#', 'what was measured', 'figure', 'against', 'its figure', 'ratio (95 %)', 'requests/s', 'target', 'result'])
  t.same([...new Set(rows.map(([number]) => number))], ['1', '2', '3', '4', '5', '6', '7', '8', '9', '10'])
  for (const [number, what, figure, , , , , , result] of rows) {
    // A peer that isn't installed is told of, with the reason; nothing else may be missing.
    if (figure === '') t.match(result, /^not measured: \S+ isn't installed$/, `${number}: ${what}`)
    else t.match(figure, /\d/, `${number}: ${what}`)
  }
  for (const number of ['1', '4', '5', '6', '7', '8', '9']) {
    t.ok(rows.some(([of, , , , , , , target, result]) => of === number && target !== '' && /met/.test(result!)), `${number} is judged`)
  }
  t.equal(await readFile(join(project, 'docs/performance.md'), 'utf8'), document, 'only a whole run is written down')
})

t.test('estimates the median of ratios round by round', async t => {
  const { estimate, ratio, median } = await bench('statistics.mjs')
  t.equal(median([3, 1, 2]), 2)
  t.equal(median([4, 1, 2, 3]), 2.5)
  t.same(ratio([2, 20, 200], [1, 10, 100]), { median: 2, low: 2, high: 2 }, 'a round that is slow for both changes nothing')
  const { low, high, median: middle } = estimate([1, 2, 3, 4, 5, 6, 7, 8, 9])
  t.equal(middle, 5)
  t.ok(low >= 1 && low < 5 && high > 5 && high <= 9)
})

t.test('shuffles anew each time, and repeats it by a seed', async t => {
  const { randomOf, shuffled } = await bench('statistics.mjs')
  const values = Array.from({ length: 20 }, (_, index) => index)
  const orders = (seed: number) => {
    const random = randomOf(seed)
    return [shuffled(values, random), shuffled(values, random)]
  }
  const [one, other] = orders(1)
  t.notSame(one, other)
  t.same([...one].sort((a, b) => a - b), values)
  t.same(orders(1), [one, other])
  t.notSame(orders(2), [one, other])
})

t.test('claims only what goes beyond the control', async t => {
  const { atMost, less, noMore } = await bench('verdict.mjs')
  const control = { median: 1.01, low: 0.98, high: 1.03 }
  t.equal(atMost(1.15, { median: 1.1, low: 1.05, high: 1.14 }), 'met')
  t.equal(atMost(1.15, { median: 1.1, low: 1.05, high: 1.2 }), 'met, within the noise')
  t.equal(atMost(1.15, { median: 1.2, low: 1.1, high: 1.3 }), 'not met')
  t.equal(less({ median: 0.9, low: 0.85, high: 0.97 }, control), 'met')
  t.equal(less({ median: 0.97, low: 0.95, high: 0.99 }, control), 'within the noise')
  t.equal(less({ median: 1.1, low: 0.95, high: 1.2 }, control), 'not met')
  t.equal(noMore({ median: 1.02, low: 1, high: 1.05 }, control), 'met')
  t.equal(noMore({ median: 1.05, low: 1, high: 1.1 }, control), 'within the noise')
  t.equal(noMore({ median: 1.06, low: 1.04, high: 1.08 }, control), 'not met')
  t.equal(noMore({ median: 0.9, low: 0.89, high: 0.97 }, control), 'met', 'less is no difference to complain of')
})

t.test('writes the table between two comments of the document, and nothing else', async t => {
  const { putInto } = await bench('report/document.mjs')
  const folder = await mkdtemp(join(tmpdir(), 'fastify-healthz-bench-'))
  t.teardown(() => rm(folder, { recursive: true }))
  const copy = join(folder, 'performance.md')
  const document = await readFile(join(project, 'docs/performance.md'), 'utf8')
  await writeFile(copy, document)
  putInto(copy, '| first |')
  putInto(copy, '| second |')
  const written = await readFile(copy, 'utf8')
  t.match(written, /-->\n\n\| second \|\n\n<!--/)
  t.notMatch(written, /\| first/)
  putInto(copy, 'x')
  const around = (text: string) => text.replace(/(?<=-->).*(?=<!--)/s, '')
  t.equal(around(await readFile(copy, 'utf8')), around(document))
  await writeFile(copy, 'no place')
  t.throws(() => putInto(copy, 'x'), /No place for the table/)
})

t.test('draws a bar for each server, the cheapest first', async t => {
  const { chart } = await bench('report/chart.mjs')
  const svg: string = chart([
    { name: 'slow <peer> & `co`', ours: false, cpu: [20, 22, 21] },
    { name: 'fastify-healthz', ours: true, cpu: [10, 10, 10] }
  ])
  t.same([...svg.matchAll(/class="name">(.*?)</g)].map(([, name]) => name), ['fastify-healthz', 'slow &lt;peer> &amp; co'])
  t.same([...svg.matchAll(/class="(ours|theirs)"/g)].map(([, whose]) => whose), ['ours', 'theirs'])
  t.match(svg, />10.0<\/text>/)
})
