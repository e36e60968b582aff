// A short run of the benchmark, so that it keeps working. Its figures mean nothing.
import t from 'tap'
import { project, run } from '../helpers/package.js'

const skip = process.platform === 'linux' ? false : "the CPU time of a server is read from Linux' /proc"
/** The other rows start some twenty servers more, and need the peers: `npm ci --prefix bench`. */
const all = process.env.HEALTHZ_LONG === '1'
const rows = all ? ['1', '2', '3', '4', '5', '6', '7', '8', '9', '10', '11', '12', '13'] : ['1', '4', '5', '7', '11', '12', '13']

t.test('measures every row of the table', { skip }, async t => {
  const { code, stdout, stderr } = await run(process.execPath, [
    'bench/run.mjs', '--no-install', '--only', rows.join(), '--tool', 'probers',
    '--rounds', '1', '--fleets', '1', '--seconds', '0.01', '--warm-up', '1', '--probes', '100'
  ], project)
  t.equal(code, 0, code === 0 ? 'succeeds' : stderr)
  const [head = [], ...lines] = stdout.split('\n').filter(line => line.startsWith('| '))
    .map(line => line.split('|').slice(1, -1).map(cell => cell.trim()))
  t.strictSame([head[0], head[2]], ['#', 'figure'])
  t.strictSame([...new Set(lines.map(([row]) => row))], rows)
  t.strictSame(lines.filter(([, , figure]) => !/\d/.test(figure!)), [], 'every row has a figure')
})
