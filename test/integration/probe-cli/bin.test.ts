// The command as its users get it: packed, unpacked and linked by npm.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import t from 'tap'
import { pack, run } from '../../helpers/package.js'
import { web } from './command.js'

const { version } = require('../../../package.json') as { version: string }

const packed = pack()
t.teardown(async () => (await packed).remove())

t.test('npm links the command and makes it executable', async t => {
  const { user } = await packed
  await run('npm', ['rebuild', '--offline', '--ignore-scripts'], user)
  const { port } = await web(t, (request, response) =>
    response.writeHead(request.url === '/healthz/ready' ? 503 : 200).end('{"title":"database: timed out"}'))
  const command = (...args: string[]) => run(join(user, 'node_modules/.bin/healthz-probe'), args, user)
  const url = `http://127.0.0.1:${port}/healthz/ready`

  t.strictSame(await command(`${port}/healthz/live`), { code: 0, stdout: '', stderr: '' })
  t.strictSame(await command(`${port}`), { code: 1, stdout: '', stderr: `healthz-probe: ${url}: 503 Service Unavailable: database: timed out\n` })
  t.match(await command(), { code: 2, stdout: '', stderr: 'healthz-probe: Expected one URL, PORT or SOCKET, got none\n' })
  t.strictSame(await command('--version'), { code: 0, stdout: `${version}\n`, stderr: '' })
  t.match(await run('npx', ['--no-install', 'healthz-probe', '--version'], user), { code: 0, stdout: `${version}\n` })
})

t.test('it loads only its own files and modules of Node, and TLS and its report only if needed', async t => {
  const { user, root } = await packed
  const { port } = await web(t, (_request, response) => response.end())
  await writeFile(join(user, 'loaded.cjs'), `
const before = new Set(process.moduleLoadList)
process.on('exit', () => {
  const builtin = process.moduleLoadList.filter(name => !before.has(name)).map(name => name.replace(/^.* /, ''))
  console.log(JSON.stringify({ builtin, files: Object.keys(require.cache).filter(file => file !== __filename) }))
})`)
  const file = join(root, 'dist/lib/probe-cli/main.js')
  const { code, stdout } = await run(process.execPath, ['--require', './loaded.cjs', file, String(port)], user)
  t.equal(code, 0)
  const { builtin, files } = JSON.parse(stdout) as { builtin: string[], files: string[] }
  t.strictSame(files.sort(), ['clock.js', 'probe-cli/arguments.js', 'probe-cli/attempt.js', 'probe-cli/main.js']
    .map(name => join(root, 'dist/lib', name)))
  t.ok(builtin.includes('http'))
  t.strictSame(builtin.filter(name => /^(?:https|_?tls|crypto|dns)/.test(name)), [])
})
