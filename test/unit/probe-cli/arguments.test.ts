import t from 'tap'
import { OPTIONS, type Plan, readArguments, USAGE } from '../../../lib/probe-cli/arguments.js'

const DEFAULTS = { 'User-Agent': 'us/1', Accept: '*/*', Connection: 'close' }
const read = (...args: string[]) => readArguments(args, DEFAULTS) as Plan

t.test('by default there is one attempt of 1 s, with the default headers', async t => {
  const { target, ...rest } = read('8080')
  t.strictSame(rest, {
    timeout: 1000,
    wait: 0,
    host: undefined,
    headers: Object.entries(DEFAULTS),
    verify: false,
    verbose: false,
    json: false,
    quiet: false
  })
})

t.test('the target', async t => {
  const targets: Array<[text: string, origin: string, path: string, name?: string, socket?: string]> = [
    ['8080', 'http://127.0.0.1:8080', '/healthz/ready'],
    ['8080/healthz/live?verbose', 'http://127.0.0.1:8080', '/healthz/live?verbose'],
    ['8080//elsewhere/', 'http://127.0.0.1:8080', '//elsewhere/'],
    ['http://127.0.0.1:8080', 'http://127.0.0.1:8080', '/'],
    ['HTTP://localhost/livez#here', 'http://localhost', '/livez'],
    ['https://[::1]:8443/livez', 'https://[::1]:8443', '/livez'],
    ['/run/app.sock', 'http://localhost', '/healthz/ready', '/run/app.sock:/healthz/ready', '/run/app.sock'],
    ['./app.sock:/livez?verbose', 'http://localhost', '/livez?verbose', './app.sock:/livez?verbose', './app.sock'],
    ['../a:b.sock', 'http://localhost', '/healthz/ready', '../a:b.sock:/healthz/ready', '../a:b.sock'],
    ['/run/app.sock:/a:/b', 'http://localhost', '/a:/b', '/run/app.sock:/a:/b', '/run/app.sock']
  ]
  for (const [text, origin, path, name = origin + path, socket] of targets) {
    t.test(`can be \`${text}\``, async t => {
      const { target } = read(text)
      t.strictSame([target.url.origin, target.url.pathname + target.url.search], [origin, path])
      t.strictSame([target.name, target.socket], [name, socket])
    })
  }
})

t.test('options may precede or follow the target, with the value after = or as the next argument', async t => {
  const expected = { timeout: 2000, wait: 60_000, quiet: true }
  t.match(read('--timeout', '2s', '--wait=1m', '--quiet', '8080'), expected)
  t.match(read('8080', '--quiet', '--wait', '1m', '--timeout=2s'), expected)
  t.match(read('--header=A: b=c', '--header', 'd: e', '--', '8080').headers.slice(3), [['A', 'b=c'], ['d', 'e']])
})

t.test('each switch is independent', async t => {
  const names = ['verify', 'verbose', 'json', 'quiet'] as const
  for (const name of names) {
    const plan = read(name === 'verify' ? '--tls-verify' : `--${name}`, '8080')
    t.strictSame(names.filter(name => plan[name]), [name])
  }
})

t.test('a time is from 1 ms to a day, and the last one counts', async t => {
  const refusal = (option: string, got: string) => `Expected \`${option}\` to be a time from 1ms to 1440m, such as 500ms, 1s or 2m, got \`${got}\``
  for (const name of ['timeout', 'wait'] as const) {
    for (const [text, ms] of [['1ms', 1], ['1.5ms', 1.5], ['0.25s', 250], ['30s', 30_000], ['1440m', 86_400_000]] as const) {
      t.equal(read(`--${name}=${text}`, '8080')[name], ms)
    }
    for (const wrong of ['5', '', '-1s', '+1s', '0s', '0.9ms', '.5s', '1e3s', ' 1s', '1S', '1h', '1441m', '86400001ms']) {
      t.throws(() => read(`--${name}=${wrong}`, '8080'), { message: refusal(`--${name}`, wrong) })
    }
    t.equal(read(`--${name}=1s`, '8080', `--${name}=3s`)[name], 3000)
  }
})

t.test('a header', async t => {
  const given = (...headers: string[]) => {
    const { host, headers: all } = read(...headers.flatMap(header => ['--header', header]), '8080')
    return { host, headers: all.map(field => field.join(': ')) }
  }
  const { 'User-Agent': agent, Accept: accept } = DEFAULTS
  const defaults = [`User-Agent: ${agent}`, `Accept: ${accept}`, 'Connection: close']

  t.test('can be repeated', async t => {
    t.strictSame(given('X-Key: a b ', 'x-key:c', 'Empty:', 'Latin: é'), {
      host: undefined, headers: [...defaults, 'X-Key: a b', 'x-key: c', 'Empty: ', 'Latin: é']
    })
  })

  t.test('replaces the default, and Host that of the target', async t => {
    t.strictSame(given('host: app.example', 'user-agent: me', 'Accept: text/plain'), {
      host: 'app.example', headers: ['Connection: close', 'user-agent: me', 'Accept: text/plain']
    })
  })

  t.test('without a value omits User-Agent and Accept, and keeps Host', async t => {
    t.strictSame(given('Host:', 'User-Agent:', 'accept: '), { host: undefined, headers: ['Connection: close'] })
  })
})

t.test('--help and --version need no target, and --help wins', async t => {
  t.equal(read('--help'), 'help')
  t.equal(read('--version', '8080', '8081', '--help'), 'help')
  t.equal(read('nowhere', '--version'), 'version')
})

t.test('wrong usage', async t => {
  const target = (got: string) =>
    `Expected a URL (http://127.0.0.1:8080/healthz/ready), a PORT (8080) or a SOCKET (/run/app.sock), got \`${got}\``
  const header = (got: string) => `Expected \`--header\` to be a name and a value, such as 'Host: example.com', got \`${got}\``
  const noUser = "Expected a URL without user and password, pass them as `--header 'Authorization: …'`"
  const mistakes: Record<string, { args: string[], message: string | RegExp }> = {
    'no target': { args: [], message: 'Expected one URL, PORT or SOCKET, got none' },
    'two targets': { args: ['80', '81'], message: 'Expected one URL, PORT or SOCKET, got `80` and `81`' },
    'an empty target': { args: [''], message: target('') },
    'a host without a scheme': { args: ['localhost:8080'], message: target('localhost:8080') },
    'another scheme': { args: ['ftp://localhost'], message: target('ftp://localhost') },
    'a port that there isn\'t': { args: ['65536'], message: target('65536') },
    'a user': { args: ['http://me@localhost/'], message: noUser },
    'a password': { args: ['http://:secret@localhost/'], message: noUser },
    'an unknown option': { args: ['--retries=3', '80'], message: /^Unknown option '--retries'/ },
    'an option that is only begun': { args: ['--time', '1s', '80'], message: /^Unknown option '--time'/ },
    'an unknown option beside --help': { args: ['--help', '-v'], message: /^Unknown option '-v'/ },
    'a value for a switch': { args: ['--json=no', '80'], message: /^Option '--json' does not take an argument/ },
    'no value': { args: ['80', '--timeout'], message: /^Option '--timeout <value>' argument missing/ },
    'an option instead of a value': { args: ['--timeout', '--json', '80'], message: /^Option '--timeout' argument is ambiguous/ },
    'a header without a colon': { args: ['--header', 'Accept', '80'], message: header('Accept') },
    'a header without a name': { args: ['--header', ': a', '80'], message: header(': a') },
    'a header whose name isn\'t ASCII': { args: ['--header', 'Größe: 1', '80'], message: header('Größe: 1') },
    'a header whose value isn\'t Latin-1': { args: ['--header', 'a: €', '80'], message: header('a: €') },
    'a header of two lines': { args: ['--header', 'a: b\r\nc: d', '80'], message: header('a: b\r\nc: d') }
  }
  for (const [name, { args, message }] of Object.entries(mistakes)) {
    t.test(`is ${name}`, async t => {
      t.throws(() => read(...args), { message })
    })
  }
})

t.test('the help lists every option, in lines of at most 100 characters', async t => {
  const options = USAGE.match(/(?<=^ {2})--[a-z-]+.*/gm)!.map(line => /^(--[a-z-]+)( [A-Z'])?/.exec(line)!)
  t.strictSame(options.map(([, name]) => name), Object.keys(OPTIONS).map(name => `--${name}`))
  for (const [, name, value] of options) {
    t.equal(OPTIONS[name!.slice(2) as keyof typeof OPTIONS].type, value === undefined ? 'boolean' : 'string', name!)
  }
  t.ok(USAGE.split('\n').every(line => line.length <= 100))
})
