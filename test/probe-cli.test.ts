import { spawn } from 'node:child_process'
import dns, { type LookupAddress } from 'node:dns'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer as createHttpsServer } from 'node:https'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import t, { type Test } from 'tap'
import { FakeTime } from './helpers/time.js'
import { command, listen, raw, web } from './probe-cli/command.js'

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
const { version } = require('../package.json') as { version: string }

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

t.test('a healthy service is worth no word', async t => {
  const { port } = await answering(t, 200, { status: 200, title: 'OK' })
  t.strictSame(await command([port]), { code: 0, stdout: '', stderr: '' })
})

t.test('what is sent is a GET by HTTP/1.1 with four headers', async t => {
  const { port, heads } = await raw(t, socket => socket.end(OK))
  t.equal((await command([port])).code, 0)
  t.strictSame(heads, [
    `GET /healthz/ready HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n` +
    `User-Agent: healthz-probe/${version}\r\nAccept: */*\r\nConnection: close\r\n\r\n`
  ])
})

t.test('the target', async t => {
  const { port, requests } = await web(t, (_request, response) => response.end())
  for (const [target, asked] of [
    [`${port}`, '/healthz/ready'],
    [`${port}/healthz/live?verbose`, '/healthz/live?verbose'],
    [`${port}//elsewhere/`, '//elsewhere/'],
    [`http://127.0.0.1:${port}`, '/'],
    [`HTTP://127.0.0.1:${port}/livez#here`, '/livez']
  ] as const) {
    await t.test(`can be \`${target.replace(String(port), '8080')}\``, async t => {
      t.equal((await command([target])).code, 0)
      t.equal(requests.pop(), `127.0.0.1:${port} ${asked}`)
    })
  }

  t.test('can be a name', async t => {
    t.equal((await command([`http://localhost:${port}/livez`])).code, 0)
    t.equal(requests.pop(), `localhost:${port} /livez`)
  })

  t.test('can be a Unix socket, with a path or without', async t => {
    const folder = await mkdtemp(join(tmpdir(), 'healthz-probe-'))
    t.teardown(() => rm(folder, { recursive: true }))
    const socket = join(folder, 'app.sock')
    const { heads } = await raw(t, (socket, head) => socket.end(head.includes('/old')
      ? 'HTTP/1.1 302 Found\r\nLocation: /new\r\nContent-Length: 0\r\n\r\n'
      : head.includes('/down') ? 'HTTP/1.1 503 Down\r\nContent-Length: 0\r\n\r\n' : OK), socket)
    t.equal((await command([socket])).code, 0)
    t.equal((await command([`${socket}:/old`])).code, 0)
    t.strictSame(heads.map(head => head.split('\r\n').slice(0, 2).join(' ')), [
      'GET /healthz/ready HTTP/1.1 Host: localhost', 'GET /old HTTP/1.1 Host: localhost', 'GET /new HTTP/1.1 Host: localhost'
    ])
    t.strictSame(await command([`${socket}:/down`]), { code: 1, stdout: '', stderr: `healthz-probe: ${socket}:/down: 503 Down\n` })
    t.match(await command([`${folder}/none.sock`]), { code: 1, stderr: `${folder}/none.sock:/healthz/ready: connect ENOENT` })
    t.match(await command(['./none.sock']), { code: 1, stderr: 'healthz-probe: ./none.sock:/healthz/ready: connect ENOENT ./none.sock' })
  })
})

t.test('wrong usage', async t => {
  const time = (option: string, got: string) => `Expected \`${option}\` to be a time from 1ms to 1440m, such as 500ms, 1s or 2m, got \`${got}\``
  const target = (got: string) =>
    `Expected a URL (http://127.0.0.1:8080/healthz/ready), a PORT (8080) or a SOCKET (/run/app.sock), got \`${got}\``
  const header = (got: string) => `Expected \`--header\` to be a name and a value, such as 'Host: example.com', got \`${got}\``
  const mistakes: Record<string, { args: string[], message: string }> = {
    'no target': { args: [], message: 'Expected one URL, PORT or SOCKET, got none' },
    'two targets': { args: ['80', '81'], message: 'Expected one URL, PORT or SOCKET, got `80` and `81`' },
    'an empty target': { args: [''], message: target('') },
    'a host without a scheme': { args: ['localhost:8080'], message: target('localhost:8080') },
    'another scheme': { args: ['ftp://localhost'], message: target('ftp://localhost') },
    'a port that there isn\'t': { args: ['65536'], message: target('65536') },
    'a password': {
      args: ['http://me:secret@localhost/'],
      message: "Expected a URL without a user and a password: give them by `--header 'Authorization: …'`"
    },
    'an unknown option': {
      args: ['--retries=3', '80'],
      message: 'Unknown option `--retries`: expected one of --timeout, --wait, --header, --tls-verify, --verbose, --json, --quiet, --help, --version'
    },
    'a value for a switch': { args: ['--json=no', '80'], message: 'Expected `--json` to have no value, got `no`' },
    'no value': { args: ['80', '--timeout'], message: 'Expected `--timeout` to have a value, got none' },
    'a time without a unit': { args: ['--timeout', '5', '80'], message: time('--timeout', '5') },
    'a negative time': { args: ['--timeout=-1s', '80'], message: time('--timeout', '-1s') },
    'no time': { args: ['--wait', '0s', '80'], message: time('--wait', '0s') },
    'more than a day': { args: ['--wait', '1441m', '80'], message: time('--wait', '1441m') },
    'a header without a colon': { args: ['--header', 'Accept', '80'], message: header('Accept') },
    'a header whose name isn\'t ASCII': { args: ['--header', 'Größe: 1', '80'], message: header('Größe: 1') },
    'a header of two lines': { args: ['--header', 'a: b\r\nc: d', '80'], message: header('a: b c: d') },
    'control characters': { args: ['\x1b[2J'], message: target('\\u001b[2J') }
  }
  for (const [name, { args, message }] of Object.entries(mistakes)) {
    t.test(`is ${name}`, async t => {
      t.strictSame(await command(args), { code: 2, stdout: '', stderr: `healthz-probe: ${message}\nTry \`healthz-probe --help\`.\n` })
    })
  }
})

t.test('--help tells every option, and --version the version', async t => {
  const { code, stdout } = await command(['--help', 'whatever'])
  const { stderr } = await command(['--nothing'])
  t.equal(code, 0)
  const options = stderr.match(/--[a-z-]+(?=,|\n)/g)!
  t.equal(options.length, 9)
  t.strictSame(stdout.match(/(?<=^ {2})--[a-z-]+/gm), options)
  t.ok(stdout.split('\n').every(line => line.length <= 100))
  t.strictSame(await command(['--version']), { code: 0, stdout: `${version}\n`, stderr: '' })
})

t.test('--header', async t => {
  const { port, heads } = await raw(t, socket => socket.end(OK))
  const fields = async (...headers: string[]) => {
    await command([...headers.flatMap(header => ['--header', header]), port])
    return heads.pop()!.trim().split('\r\n').slice(1)
  }
  t.strictSame(await fields('X-Key: a b ', 'x-key:c', 'Empty:', 'Latin: é'), [
    `Host: 127.0.0.1:${port}`, `User-Agent: healthz-probe/${version}`, 'Accept: */*', 'Connection: close',
    'X-Key: a b', 'x-key: c', 'Empty: ', 'Latin: é'
  ], 'is added')
  t.strictSame(await fields('host: app.example', 'user-agent: me', 'Accept: text/plain'),
    ['Host: app.example', 'Connection: close', 'user-agent: me', 'Accept: text/plain'], 'replaces')
  t.strictSame(await fields('Host:', 'User-Agent:', 'Accept:'), [`Host: 127.0.0.1:${port}`, 'Connection: close'], 'leaves out')
})

t.test('the line of a failure', async t => {
  const line = async (status: number, body: unknown) => {
    const { port } = await answering(t, status, body)
    const { code, stdout, stderr } = await command([port])
    t.strictSame([code, stdout], [1, ''])
    return stderr.replace(String(port), '8080')
  }
  const url = 'healthz-probe: http://127.0.0.1:8080/healthz/ready:'
  t.equal(await line(503, { status: 503, title: 'database: timed out' }), `${url} 503 Service Unavailable: database: timed out\n`)
  t.equal(await line(404, 'Not found, sorry'), `${url} 404 Not Found\n`, 'has no words from what is no problem')
  t.equal(await line(500, { title: 5 }), `${url} 500 Internal Server Error\n`)
  t.equal(await line(500, '"title"'), `${url} 500 Internal Server Error\n`)
  t.equal(await line(503, { title: 'two\n lines, \x1b[31mred\x9b\x7f \u202eand\u2028back \u{e0041}' }),
    `${url} 503 Service Unavailable: two lines, \\u001b[31mred\\u009b\\u007f \\u202eand back \\udb40\\udc41\n`, 'moves no cursor')

  t.test('tells why nothing answered', async t => {
    const { port } = await answering(t, 200, '')
    t.match(await command([`https://127.0.0.1:${port}`]), { code: 1, stderr: /^healthz-probe: https:[^ ]+: .*(?:SSL|TLS|ssl|hang up)/ })
    t.match(await command(['http://127.0.0.1:1/']), { code: 1, stderr: 'healthz-probe: http://127.0.0.1:1/: connect ECONNREFUSED 127.0.0.1:1\n' })
    t.intercept(dns, 'lookup', {
      // Names of more than one address, which this machine may have none of.
      value: (_name: string, _options: object, done: (error: null, addresses: LookupAddress[]) => void) =>
        done(null, [{ address: '127.0.0.1', family: 4 }, { address: '127.0.0.2', family: 4 }])
    })
    t.match(await command(['http://app.example:1/']), {
      code: 1, stderr: 'healthz-probe: http://app.example:1/: connect ECONNREFUSED 127.0.0.1:1; connect ECONNREFUSED 127.0.0.2:1\n'
    })
  })

  t.test('is left out by --quiet', async t => {
    t.strictSame(await command(['--quiet', 'http://127.0.0.1:1/']), { code: 1, stdout: '', stderr: '' })
  })
})

t.test('--verbose prints the body, and the checks that fail', async t => {
  const verbose = async (status: number, body: unknown) => {
    const { port } = await answering(t, status, body)
    const { stdout } = await command(['--verbose', port])
    return stdout.replace(String(port), '8080').split('\n')
  }
  const head = 'http://127.0.0.1:8080/healthz/ready:'
  const checks = {
    database: { status: 'fail', title: 'timed out', durationMs: 800, checkedAt: '2026-01-01T00:00:00.000Z' },
    disk: { status: 'pass', durationMs: 1, checkedAt: '2026-01-01T00:00:00.000Z' },
    cache: { status: 'warn', title: 'failed', durationMs: 1, checkedAt: '2026-01-01T00:00:00.000Z' }
  }
  const problem = { status: 503, title: 'database: timed out', checks }
  t.strictSame(await verbose(503, problem), [
    `${head} 503 Service Unavailable (0 ms)`,
    ...JSON.stringify(problem, null, 2).split('\n'),
    'fail database: timed out',
    'warn cache: failed',
    ''
  ])
  t.strictSame(await verbose(200, 'All is well.\n\x07Really.\n'), [`${head} 200 OK (0 ms)`, 'All is well.', '\\u0007Really.', ''])
  const odd = '{"checks":{"a":{"status":"warn","title":{"toString":1}},"b":{"status":["fail"]}}}'
  t.match(await verbose(200, odd), [`${head} 200 OK (0 ms)`, '{'])
  for (const deep of ['['.repeat(2000) + ']'.repeat(2000), '['.repeat(5000) + ']'.repeat(5000)]) {
    t.strictSame(await verbose(200, deep), [`${head} 200 OK (0 ms)`, deep, ''])
  }
  t.strictSame(await verbose(200, ''), [`${head} 200 OK (0 ms)`, ''])
  t.strictSame(await verbose(200, { checks: { a: null, b: 'fail' } }), [
    `${head} 200 OK (0 ms)`, ...JSON.stringify({ checks: { a: null, b: 'fail' } }, null, 2).split('\n'), ''
  ], 'checks of another kind are none')
  t.strictSame(await command(['--verbose', 'http://127.0.0.1:1/']), {
    code: 1,
    stdout: 'http://127.0.0.1:1/: connect ECONNREFUSED 127.0.0.1:1 (0 ms)\n',
    stderr: 'healthz-probe: http://127.0.0.1:1/: connect ECONNREFUSED 127.0.0.1:1\n'
  })
})

t.test('--json prints one line of JSON', async t => {
  const json = async (...args: Array<string | number>) => {
    const { stdout } = await command(['--json', ...args])
    t.match(stdout, /^\S.*\n$/)
    return JSON.parse(stdout)
  }
  const well = await answering(t, 200, { status: 200, title: 'OK' })
  const common = { url: `http://127.0.0.1:${well.port}/healthz/ready`, error: null, warning: null, tries: 1, durationMs: 0 }
  t.strictSame(await json(well.port), { ...common, healthy: true, status: 200, title: 'OK' })

  const ill = await answering(t, 503, { title: 'two  spaces \x9b' })
  t.strictSame(await json('--verbose', ill.port), {
    ...common,
    url: `http://127.0.0.1:${ill.port}/healthz/ready`,
    healthy: false,
    status: 503,
    title: 'two  spaces \x9b',
    error: '503 Service Unavailable: two  spaces \x9b',
    body: JSON.stringify({ title: 'two  spaces \x9b' })
  })
  t.notMatch((await command(['--json', ill.port])).stdout, '\x9b')

  const url = 'http://127.0.0.1:1/'
  const refused = { ...common, url, healthy: false, status: null, title: null, error: 'connect ECONNREFUSED 127.0.0.1:1' }
  t.strictSame(await json(url), refused)
  t.strictSame(await json('--verbose', url), { ...refused, body: null })

  const away = await web(t, (_request, response) => response.writeHead(302, { Location: 'http://elsewhere.example/' }).end())
  t.strictSame(await json(away.port), {
    ...common,
    url: `http://127.0.0.1:${away.port}/healthz/ready`,
    healthy: true,
    status: 302,
    title: null,
    warning: '302 Found: not followed to http://elsewhere.example/, taken for healthy'
  })
})

t.test('a redirect to another host is a success, with a warning', async t => {
  const { port } = await web(t, (_request, response) => response.writeHead(302, { Location: 'http://elsewhere.example/' }).end())
  t.strictSame(await command([`${port}/`]), {
    code: 0,
    stdout: '',
    stderr: `healthz-probe: http://127.0.0.1:${port}/: 302 Found: not followed to http://elsewhere.example/, taken for healthy\n`
  })
  const other = await answering(t, 304, '')
  t.match(await command([other.port]), { code: 0, stderr: ': 304 Not Modified: not followed, taken for healthy\n' })
})

t.test('TLS', async t => {
  const file = (name: string) => readFile(join(__dirname, 'fixtures/tls', name))
  const names: unknown[] = []
  const server = createHttpsServer({
    key: await file('key.pem'),
    cert: await file('cert.pem'),
    SNICallback (name, done) { names.push(name); done(null) }
  }, (request, response) => response.end(request.headers.host))
  const port = await listen(t, server)

  t.test('is not verified', async t => {
    t.match(await command(['--verbose', `https://127.0.0.1:${port}/`]), { code: 0, stdout: `200 OK (0 ms)\n127.0.0.1:${port}\n` })
  })

  t.test('is verified with --tls-verify', async t => {
    t.match(await command(['--tls-verify', `https://127.0.0.1:${port}/`]), { code: 1, stderr: /: self[- ]signed certificate/ })
  })

  t.test('asks for the certificate of the URL\'s host, whatever Host says', async t => {
    names.length = 0
    t.equal((await command(['--header', 'Host: app.example', `https://localhost:${port}/`])).code, 0)
    t.strictSame(names, ['localhost'])
  })

  t.test('can be where a redirect leads to', async t => {
    const plain = await web(t, (_request, response) => response.writeHead(301, { Location: `https://127.0.0.1:${port}/` }).end())
    t.match(await command(['--verbose', plain.port]), { code: 0, stdout: `127.0.0.1:${port}\n` })
  })

  t.test('has a port of its own', async t => {
    const connections = t.capture(Socket.prototype, 'connect', function (this: Socket) { return this.destroy(new Error('seen')) })
    t.match(await command(['https://[::1]/']), { code: 1, stderr: ': seen\n' })
    t.match(await command(['http://[::1]/']), { code: 1, stderr: ': seen\n' })
    t.match(connections().map(({ args }) => [args].flat(2)[0]), [{ host: '::1', port: 443 }, { host: '::1', port: 80 }])
  })
})

t.test('the timeout', async t => {
  const stalled = async (part: string) => {
    const time = new FakeTime()
    const { port } = await raw(t, async socket => {
      socket.write(part)
      await time.advance(249)
      await new Promise(resolve => socket.write(' ', resolve))
      await time.advance(1)
    })
    const { code, stderr } = await command(['--timeout', '0.25s', port], { time })
    t.equal(time.timers, 0)
    return [code, stderr.replace(String(port), '8080')]
  }
  const line = 'healthz-probe: http://127.0.0.1:8080/healthz/ready: no complete answer within 250 ms\n'
  t.strictSame(await stalled('HTTP/1.1 200 OK\r\n'), [1, line], 'covers the head')
  t.strictSame(await stalled('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n'), [1, line], 'covers the body')

  t.test('covers the connection', async t => {
    const time = { now: () => 0, date: () => 0, start: queueMicrotask, cancel () {} }
    const { port } = await raw(t, () => {})
    t.match(await command(['--timeout', '1m', port], { time }), { code: 1, stderr: ': no connection within 60000 ms\n' })
  })

  t.test('covers all redirects together', async t => {
    const time = new FakeTime()
    const { port, requests } = await web(t, async (_request, response) => {
      await time.advance(300)
      response.writeHead(302, { Location: '/next' }).end()
    })
    t.match(await command([port], { time }), { code: 1, stderr: ': no complete answer within 1000 ms\n' })
    t.equal(requests.length, 4)
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

  t.test('begins its last try in the end, and tells of that', async t => {
    const { port, requests } = await web(t, (_request, response) =>
      response.writeHead(503).end(JSON.stringify({ title: `no ${requests.length}` })))
    const time = impatient()
    t.strictSame(await command(['--wait', '1.2s', port], { time }), {
      code: 1,
      stdout: '',
      stderr: `healthz-probe: http://127.0.0.1:${port}/healthz/ready: 503 Service Unavailable: no 4 (try 4, after 1.2 s)\n`
    })
    t.strictSame(time.pauses, [500, 500, 200])
  })

  t.test('shows on a terminal how it goes, in a line that is gone in the end', async t => {
    const { port, requests } = await web(t, (_request, response) => response.writeHead(requests.length < 3 ? 503 : 200).end())
    const terminal = { isTTY: true, columns: 42 }
    const { code, stderr } = await command(['--wait', '30s', port], { time: impatient(), terminal })
    t.equal(code, 0)
    t.strictSame(stderr.split('\r\x1b[K'), ['', ...[0, 0.5].map(waited => `healthz-probe: ${waited} s of 30 s: http://127.0.0.1`.slice(0, 41)), ''])
  })

  t.test('shows nothing on a terminal with --quiet, and takes 80 columns for granted', async t => {
    const url = 'http://127.0.0.1:1/'
    const terminal = { isTTY: true }
    t.strictSame(await command(['--quiet', '--wait', '1s', url], { time: impatient(), terminal }), { code: 1, stdout: '', stderr: '' })
    const { stderr } = await command(['--wait', '1ms', url], { time: impatient(), terminal })
    t.strictSame(stderr.split('\r\x1b[K')[1], 'healthz-probe: 0 s of 0 s: http://127.0.0.1:1/: connect ECONNREFUSED 127.0.0.1:1'.slice(0, 79))
  })
})

t.test('as a program', async t => {
  const source = join(__dirname, '../lib/probe-cli.ts')
  const start = (args: Array<string | number>, env = {}) =>
    spawn(process.execPath, [...process.execArgv, source, ...args.map(String)], { env: { ...process.env, ...env } })
  const end = async (child: ReturnType<typeof start>) => {
    const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
    return { code, stdout, stderr }
  }
  const { port } = await answering(t, 200, { title: 'OK' })

  t.test('it exits with 0, 1 or 2', async t => {
    const ends = await Promise.all([[port], ['http://127.0.0.1:1/'], []].map(args => end(start(args))))
    t.strictSame(ends.map(({ code }) => code), [0, 1, 2])
    t.strictSame(ends.map(({ stdout, stderr }) => stdout + stderr.split('\n')[0]), [
      '',
      'healthz-probe: http://127.0.0.1:1/: connect ECONNREFUSED 127.0.0.1:1',
      'healthz-probe: Expected one URL, PORT or SOCKET, got none'
    ])
  })

  t.test('it asks no proxy that the environment names', async t => {
    const proxy = 'http://127.0.0.1:1'
    const { code } = await end(start([port], { HTTP_PROXY: proxy, http_proxy: proxy, ALL_PROXY: proxy, NODE_USE_ENV_PROXY: '1' }))
    t.equal(code, 0)
  })

  t.test('it times out on the real clock', async t => {
    const { port } = await raw(t, () => {})
    const { code, stderr } = await end(start(['--timeout', '50ms', port]))
    t.equal(code, 1)
    t.match(stderr, /: no (?:connection|complete answer) within 50 ms\n$/)
  })

  t.test('it minds no reader that is gone', async t => {
    const { port } = await raw(t, socket => {
      child.stdout.destroy()
      socket.end(`HTTP/1.1 200 OK\r\n\r\n${'x'.repeat(10240)}`)
    })
    const child = start(['--timeout', '1m', '--json', '--verbose', port])
    const [stderr, [code]] = await Promise.all([text(child.stderr), once(child, 'exit')])
    t.strictSame([code, stderr], [0, ''])
  })
})
