import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { USAGE } from '../../../lib/probe-cli/arguments.js'
import { spawnNode } from '../../helpers/service.js'
import { command, raw, web } from './command.js'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const { version } = require('../../../package.json') as { version: string }

/** A service whose probe answers so. */
const answering = (t: Test, status: number, body: unknown) => web(t, (_request, response) => {
  response.writeHead(status).end(typeof body === 'string' ? body : JSON.stringify(body))
})

/** A clock on which the pauses between two tries take no time, and nothing times out. */
function impatient () {
  let now = 0
  const pauses: number[] = []
  return {
    pauses,
    now: () => now,
    date: () => now,
    start (callback: () => void, ms: number) {
      if (ms === 1000) return
      pauses.push(ms)
      now += ms
      setImmediate(callback)
    },
    cancel () {}
  }
}

t.test('a healthy service prints nothing', async t => {
  const { port } = await answering(t, 200, { status: 200, title: 'OK' })
  t.strictSame(await command([port]), { code: 0, stdout: '', stderr: '' })
})

t.test('the request is a GET by HTTP/1.1 with four headers', async t => {
  const { port, heads } = await raw(t, socket => socket.end(OK))
  t.equal((await command([port])).code, 0)
  t.strictSame(heads, [
    `GET /healthz/ready HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n` +
    `User-Agent: healthz-probe/${version}\r\nAccept: */*\r\nConnection: close\r\n\r\n`
  ])
})

t.test('wrong usage prints one line without control characters', async t => {
  t.strictSame(await command(['--wait', 'a\r\nb\x1b[2J', '80']), {
    code: 2,
    stdout: '',
    stderr: 'healthz-probe: Expected `--wait` to be a time from 1ms to 1440m, such as 500ms, 1s or 2m, got `a b\\u001b[2J`\n' +
      'Try `healthz-probe --help`.\n'
  })
})

t.test('--help prints the help, and --version the version', async t => {
  t.strictSame(await command(['--help', 'whatever']), { code: 0, stdout: USAGE, stderr: '' })
  t.strictSame(await command(['--version']), { code: 0, stdout: `${version}\n`, stderr: '' })
})

t.test('a failure prints one line, unless --quiet omits it', async t => {
  const { port } = await answering(t, 503, { status: 503, title: 'two\n lines, \x1b[31mred' })
  t.strictSame(await command([port]), {
    code: 1,
    stdout: '',
    stderr: `healthz-probe: http://127.0.0.1:${port}/healthz/ready: 503 Service Unavailable: two lines, \\u001b[31mred\n`
  })
  t.strictSame(await command(['--quiet', port]), { code: 1, stdout: '', stderr: '' })
  t.strictSame(await command(['./none.sock']), {
    code: 1, stdout: '', stderr: 'healthz-probe: ./none.sock:/healthz/ready: connect ENOENT ./none.sock\n'
  })
})

t.test('--verbose prints words and --json an object, beside the line', async t => {
  const url = 'http://127.0.0.1:1/'
  const stderr = `healthz-probe: ${url}: connect ECONNREFUSED 127.0.0.1:1\n`
  t.strictSame(await command(['--verbose', url]), { code: 1, stdout: `${url}: connect ECONNREFUSED 127.0.0.1:1 (0 ms)\n`, stderr })
  for (const options of [['--json'], ['--json', '--verbose']]) {
    const { stdout, ...rest } = await command([...options, url])
    t.strictSame(rest, { code: 1, stderr })
    t.match(JSON.parse(stdout), { url, healthy: false, error: 'connect ECONNREFUSED 127.0.0.1:1', tries: 1, durationMs: 0 })
  }
})

t.test('a redirect to another host is a success, with a warning', async t => {
  const { port } = await web(t, (_request, response) => response.writeHead(302, { Location: 'http://elsewhere.example/' }).end())
  t.strictSame(await command([`${port}/`]), {
    code: 0,
    stdout: '',
    stderr: `healthz-probe: http://127.0.0.1:${port}/: 302 Found: not followed to http://elsewhere.example/, counts as healthy\n`
  })
})

t.test('--wait', async t => {
  t.test('tries again until the service is healthy', async t => {
    const { port, requests } = await web(t, (_request, response) => response.writeHead(requests.length < 4 ? 503 : 200).end())
    const time = impatient()
    const { code, stdout, stderr } = await command(['--wait', '30s', '--json', port], { time })
    t.strictSame([code, stderr, time.pauses], [0, '', [500, 500, 500]])
    t.match(JSON.parse(stdout), { healthy: true, tries: 4, durationMs: 1500 })
  })

  t.test('starts its last attempt at the end of the wait, and reports that one', async t => {
    const { port, requests } = await web(t, (_request, response) =>
      response.writeHead(503).end(JSON.stringify({ title: `no ${requests.length}` })))
    const time = impatient()
    t.strictSame(await command(['--wait', '1.2s', port], { time }), {
      code: 1,
      stdout: '',
      stderr: `healthz-probe: http://127.0.0.1:${port}/healthz/ready: 503 Service Unavailable: no 4 (attempt 4, after 1.2 s)\n`
    })
    t.strictSame(time.pauses, [500, 500, 200])
  })

  t.test('shows its progress on a terminal, in a line that is removed at the end', async t => {
    const { port, requests } = await web(t, (_request, response) => response.writeHead(requests.length < 3 ? 503 : 200).end())
    const terminal = { isTTY: true, columns: 42 }
    const { code, stderr } = await command(['--wait', '30s', port], { time: impatient(), terminal })
    t.equal(code, 0)
    t.strictSame(stderr.split('\r\x1b[K'), ['', ...[0, 0.5].map(waited => `healthz-probe: ${waited} s of 30 s: http://127.0.0.1`.slice(0, 41)), ''])
  })

  t.test('shows no progress with --quiet, and assumes 80 columns', async t => {
    const url = 'http://127.0.0.1:1/'
    const terminal = { isTTY: true }
    t.strictSame(await command(['--quiet', '--wait', '1s', url], { time: impatient(), terminal }), { code: 1, stdout: '', stderr: '' })
    const { stderr } = await command(['--wait', '1ms', url], { time: impatient(), terminal })
    t.strictSame(stderr.split('\r\x1b[K')[1], 'healthz-probe: 0 s of 0 s: http://127.0.0.1:1/: connect ECONNREFUSED 127.0.0.1:1'.slice(0, 79))
  })
})

t.test('as a program', async t => {
  /** With tap's loader, so that coverage counts the lines that only a program runs. */
  const startSource = (args: Array<string | number>) =>
    spawn(process.execPath, [...process.execArgv, join(__dirname, '../../../lib/probe-cli/main.ts'), ...args.map(String)])
  const start = (args: Array<string | number>, env = {}) =>
    spawnNode(['dist/lib/probe-cli/main.js', ...args.map(String)], env)
  const end = async (child: ReturnType<typeof start>) => {
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
    return { code, stdout, stderr }
  }
  const { port } = await answering(t, 200, { title: 'OK' })

  t.test('it exits with 0, 1 or 2', async t => {
    const ends = await Promise.all([start([port]), start(['http://127.0.0.1:1/']), startSource([])].map(end))
    t.strictSame(ends.map(({ code }) => code), [0, 1, 2])
    t.strictSame(ends.map(({ stdout, stderr }) => stdout + stderr.split('\n')[0]), [
      '',
      'healthz-probe: http://127.0.0.1:1/: connect ECONNREFUSED 127.0.0.1:1',
      'healthz-probe: Expected one URL, PORT or SOCKET, got none'
    ])
  })

  t.test('it ignores proxies in the environment', async t => {
    const proxy = 'http://127.0.0.1:1'
    const { code } = await end(start([port], { HTTP_PROXY: proxy, http_proxy: proxy, ALL_PROXY: proxy, NODE_USE_ENV_PROXY: '1' }))
    t.equal(code, 0)
  })

  t.test('it ignores a lenient HTTP parser in NODE_OPTIONS', async t => {
    const { port } = await raw(t, socket => socket.end('HTTP/1.1 200 OK\r\nA: b\x01\r\nContent-Length: 0\r\n\r\n'))
    const { code, stderr } = await end(start(['--timeout', '1m', port], { NODE_OPTIONS: '--insecure-http-parser' }))
    t.equal(code, 1)
    t.match(stderr, /: invalid HTTP response: /)
  })

  t.test('it times out on the real clock', async t => {
    const { port } = await raw(t, () => {})
    const { code, stderr } = await end(start(['--timeout', '50ms', port]))
    t.equal(code, 1)
    t.match(stderr, /: (?:connection|response) timed out after 50 ms\n$/)
  })

  t.test('its exit code does not depend on whether its output is read', async t => {
    const { port } = await raw(t, socket => {
      child.stdout.destroy()
      socket.end(`HTTP/1.1 200 OK\r\n\r\n${'x'.repeat(10240)}`)
    })
    const child = startSource(['--timeout', '1m', '--json', '--verbose', port])
    const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')])
    t.strictSame([code, stderr], [0, ''])
  })
})
