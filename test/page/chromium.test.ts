/**
 * The status page in a real browser. HEALTHZ_SCREENSHOTS=1 takes those in `docs/`.
 */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import axe from 'axe-core'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { needsPostgres, ownPostgres } from '../helpers/own-server.js'
import { project } from '../helpers/package.js'
import { startService } from '../helpers/service.js'
import { hasAll } from '../helpers/services.js'

const EXECUTABLE = '/usr/bin/chromium'
const SHOTS = process.env.HEALTHZ_SCREENSHOTS === '1'

/** Where the page is served: options of healthz, the prefix of its scope, and where it is found. */
const PLACES = {
  'the separate port with a thread': { options: "listen: { port: 0, host: '127.0.0.1', thread: true },", prefix: '', separate: true },
  'the separate port': { options: "listen: { port: 0, host: '127.0.0.1' },", prefix: '', separate: true },
  "the app's port below a prefix": { options: '', prefix: '/api/v1', separate: false },
  "the app's port alongside the separate one": { options: "listen: { port: 0, host: '127.0.0.1', alongside: true },", prefix: '', separate: false }
} as const
type Place = keyof typeof PLACES

const service = ({ options, prefix, separate }: typeof PLACES[Place]) => `
  let database = 'pass'
  const answers = {
    pass () {},
    fail () { throw new healthz.HealthError("Can't connect", { cause: new Error('hunter2') }) }
  }
  let scope
  const app = Fastify({ logger: { stream, level: 'warn' } })
  app.register(async app => {
    app.register(healthz, {
      details: true, noLog: true, shutdown: { delay: 60_000 }, ${options}
      live: { loop: context => { context.data = { p99: 12.4 } } },
      ready: {
        database: { check: context => { context.data = { total: 10, idle: 4, waiting: 0 }; answers[database]() }, interval: 200 },
        cache: { check: () => { throw new healthz.HealthError('no answer within 500 ms') }, critical: false, interval: 200 },
        queue: () => {}
      }
    })
    app.register(require('./dist/lib/page/index.js'), { name: 'orders 1.4.2' })
    app.get('/database/:to', async ({ params }) => { database = params.to; return database })
    app.get('/drain', async () => { app.healthz.drain(60_000); return 'draining' })
    scope = app
  }, { prefix: '${prefix}' })
  await app.listen({ port: 0, host: '127.0.0.1' })
  for (const probe of ['live', 'ready', 'startup']) await scope.healthz.run(probe)
  const origin = port => 'http://127.0.0.1:' + port
  say('serves', { app: origin(app.server.address().port) + '${prefix}', page: ${separate} ? origin(scope.healthz.address.port) : undefined })
`

async function start (t: Test, place: Place = 'the separate port with a thread') {
  const started = startService(t, service(PLACES[place]))
  const { app, page = app } = await started.line('serves') as unknown as { app: string, page?: string }
  return { ...started, url: `${page}/statusz`, probes: `${page}/healthz`, get: (path: string) => fetch(`${app}${path}`) }
}

/** Starts a program that says where its page is. */
async function startProgram (t: Test, program: string) {
  const started = startService(t, program)
  const { url } = await started.line('page') as unknown as { url: string }
  return { ...started, url }
}

/** Opens the page, and fails the test for whatever the browser complains about. */
async function open (t: Test, browser: Browser, url: string, options: BrowserContextOptions = {}, expected = /^$/): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options })
  t.teardown(() => context.close())
  const page = await context.newPage()
  if (options.javaScriptEnabled !== false) {
    await page.addInitScript("addEventListener('securitypolicyviolation', ({ violatedDirective }) => console.error('CSP: ' + violatedDirective))")
  }
  page.on('console', message => { if (message.type() !== 'info' && !expected.test(message.text())) t.fail(`console: ${message.text()}`) })
  page.on('pageerror', error => t.fail(`error: ${error.message}`))
  page.on('request', request => { if (!request.url().startsWith(new URL(url).origin) && !request.url().startsWith('data:')) t.fail(`requests ${request.url()}`) })
  await page.goto(url, { waitUntil: 'domcontentloaded' })
  return page
}

const shows = (page: Page, text: string) => page.getByText(text).first().waitFor({ timeout: 30_000 })

async function violations (page: Page): Promise<unknown[]> {
  // By the debugger, which the policy doesn't apply to.
  await page.evaluate(axe.source)
  return page.evaluate('axe.run().then(({ violations }) => violations.map(({ id, nodes }) => [id, nodes.map(({ html }) => html)]))')
}

async function suite (t: Test): Promise<void> {
  const browser = await chromium.launch({ executablePath: EXECUTABLE, args: ['--no-sandbox'] })
  t.teardown(() => browser.close())

  for (const place of Object.keys(PLACES) as Place[]) {
    await t.test(`on ${place} it follows a check, without a reload`, async t => {
      const service = await start(t, place)
      const page = await open(t, browser, service.url)
      await shows(page, 'Live')
      await page.evaluate('window.kept = true')
      await service.get('/database/fail')
      await shows(page, "Can't connect")
      t.match(await page.locator('.check').first().innerText(), /database.*✕ fail/s, 'the worst is on top')
      t.match(await page.locator('.log li').first().innerText(), /✕ fail/)
      await fetch(`${service.probes}/ready`)
      await page.locator('h2.fail').waitFor({ timeout: 30_000 })
      t.notMatch(await page.content(), 'hunter2')
      await service.get('/database/pass')
      await page.locator('.check.fail').waitFor({ state: 'detached', timeout: 30_000 })
      t.equal(await page.evaluate('window.kept'), true)
      t.strictSame(await violations(page), [])
    })
  }

  await t.test('it has no violation of axe-core, and no width is scrolled, in either scheme', async t => {
    const service = await start(t)
    await service.get('/database/fail')
    for (const colorScheme of ['light', 'dark'] as const) {
      for (const width of [320, 768, 1440]) {
        const page = await open(t, browser, service.url, { colorScheme, viewport: { width, height: 900 }, reducedMotion: 'reduce' })
        await shows(page, "Can't connect")
        t.equal(await page.evaluate('document.documentElement.scrollWidth'), width)
        t.strictSame(await violations(page), [], `${colorScheme}, ${width} px`)
      }
    }
  })

  await t.test('it follows a real PostgreSQL that is stopped and started', async t => {
    if (!needsPostgres(t)) return
    const server = await ownPostgres(t)
    const { url } = await startProgram(t, `
      const pg = require('pg')
      const { postgres } = require('./dist/lib/checks/index.js')
      const pool = new pg.Pool({ host: '127.0.0.1', port: ${server.port}, user: 'postgres' })
      pool.on('error', () => {})
      const app = Fastify({ logger: { stream, level: 'fatal' } })
      app.register(healthz, { details: true, ready: { postgres: { check: postgres(pool), interval: 300 } } })
      app.register(require('./dist/lib/page/index.js'))
      say('page', { url: await app.listen({ port: 0, host: '127.0.0.1' }) + '/statusz' })`)
    const page = await open(t, browser, url)
    await page.locator('.check.pass').waitFor({ timeout: 30_000 })
    t.match(await page.locator('.check').innerText(), /total\s+1/)
    await server.stop()
    await page.locator('.check.fail').waitFor({ timeout: 30_000 })
    t.match(await page.locator('.log li').first().innerText(), /ready\/postgres\s+✕ fail/)
    await server.start()
    await page.locator('.check.pass').waitFor({ timeout: 30_000 })
    t.match(await page.locator('.log li').first().innerText(), /✓ pass\s+after \d+ s of fail/, 'how long the outage was')
  })

  await t.test('it is there while the app starts and while it closes', async t => {
    const service = await startProgram(t, `
      const app = Fastify({ logger: { stream, level: 'fatal' }, pluginTimeout: 0 })
      app.register(healthz, { details: true, ready: { database: () => {} }, listen: { port: 0, host: '127.0.0.1' }, shutdown: { delay: 0 } })
      app.register(require('./dist/lib/page/index.js'))
      app.register(async () => {
        say('page', { url: 'http://127.0.0.1:' + app.healthz.address.port + '/statusz' })
        setInterval(() => {}, 1000)
        await new Promise(resolve => process.once('SIGUSR2', () => resolve()))
      })
      app.addHook('preClose', () => new Promise(resolve => process.once('SIGUSR2', () => resolve())))
      await app.listen({ port: 0, host: '127.0.0.1' })`)
    const page = await open(t, browser, service.url)
    await page.locator('header', { hasText: 'starting' }).waitFor({ timeout: 30_000 })
    t.match(await page.locator('header').innerText(), /\? unknown/)
    t.strictSame(await violations(page), [])
    service.kill('SIGUSR2')
    await page.locator('header', { hasText: 'serving' }).waitFor({ timeout: 30_000 })
    service.kill('SIGTERM')
    await page.locator('header', { hasText: 'closing' }).waitFor({ timeout: 30_000 })
    t.match(await page.locator('header').innerText(), /\? unknown/)
    t.strictSame(await violations(page), [])
    service.kill('SIGUSR2')
    t.match(await service.exit, { code: 0 })
  })

  await t.test('it shows forty checks on six probes, long names and texts, markup and both directions of text, at every width', async t => {
    const { url } = await startProgram(t, `
      const titles = [
        'x'.repeat(10_000), 'word '.repeat(2000), '<script>alert(1)</script><b>bold</b>', '&amp;', 'אין תשובה ממסד הנתונים (10.0.0.1:5432)', 'لا يوجد رد', '💔'.repeat(100)
      ]
      const check = i => context => {
        context.data = { ['<i>' + i]: '<img src=x onerror=alert(1)>', total: 10 }
        if (i % 5 === 0) throw new healthz.HealthError(titles[i / 5 % titles.length])
      }
      const probes = {}
      for (let i = 0; i < 40; i++) (probes['probe-' + i % 6] ??= {})[('check-' + i + '-').padEnd(63, 'n')] = check(i)
      const app = Fastify({ logger: { stream, level: 'fatal' } })
      app.register(healthz, { details: true, live: false, ready: false, startup: false, probes })
      app.register(require('./dist/lib/page/index.js'), { name: '<h1>orders</h1>' })
      const url = await app.listen({ port: 0, host: '127.0.0.1' }) + '/statusz'
      for (const name of Object.keys(probes)) await app.healthz.run(name)
      say('page', { url })`)
    t.ok(Buffer.byteLength(await fetch(url).then(response => response.text())) < 40 * 1024)
    for (const width of [320, 768, 1440]) {
      const page = await open(t, browser, url, { viewport: { width, height: 900 } })
      t.equal(await page.evaluate('document.documentElement.scrollWidth'), width)
      t.equal(await page.locator('.check').count(), 40, 'all of them')
      t.equal(await page.locator('main :is(img, script, i)').count(), 0, 'no markup is interpreted')
      t.strictSame(await violations(page), [], `${width} px`)
    }
  })

  await t.test('behind a proxy that buffers it refreshes itself', async t => {
    const service = await start(t)
    const proxy = createServer(({ url = '' }, response) => {
      fetch(new URL(url, service.url)).then(async answer => {
        const body = await answer.arrayBuffer()
        response.writeHead(answer.status, Object.fromEntries(answer.headers)).end(Buffer.from(body))
      }).catch(() => response.destroy())
    }).listen(0, '127.0.0.1')
    t.teardown(() => {
      proxy.closeAllConnections()
      proxy.close()
    })
    await once(proxy, 'listening')
    const page = await open(t, browser, `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/statusz`)
    await page.evaluate('window.kept = true')
    await service.get('/database/fail')
    await shows(page, "Can't connect")
    t.equal(await page.evaluate('window.kept'), true)
    t.equal(await page.locator('#live').innerText(), 'Refreshes every 5 s')
  })

  await t.test('an update moves neither the keyboard nor what is scrolled to, and nothing is animated', async t => {
    const service = await start(t)
    const page = await open(t, browser, service.url, { viewport: { width: 320, height: 400 }, reducedMotion: 'reduce' })
    await shows(page, 'Live')
    const scrolled = async () => Number(await page.evaluate('scrollY'))
    await page.keyboard.press('PageDown')
    // The browser scrolls smoothly, or at once.
    let before = 0
    for (let now = -1; before === 0 || now !== before; now = await scrolled()) {
      before = now
      await page.waitForTimeout(100)
    }
    await service.get('/database/fail')
    await page.locator('.check.fail').waitFor({ state: 'attached', timeout: 30_000 })
    t.equal(await scrolled(), before)
    t.equal(await page.evaluate('document.getAnimations().length'), 0)
    await page.keyboard.press('End')
    while (!await page.evaluate('innerHeight + scrollY >= document.documentElement.scrollHeight - 1')) await page.waitForTimeout(50)
    t.equal(await page.locator(':is(a, button, input, [tabindex])').count(), 0, 'there is nothing to operate')
  })

  await t.test('it is printed whole, dark on light', async t => {
    const service = await start(t)
    const page = await open(t, browser, service.url, { colorScheme: 'dark' })
    await shows(page, 'Live')
    await page.emulateMedia({ media: 'print' })
    // The width of A4.
    await page.setViewportSize({ width: 794, height: 1123 })
    t.equal(await page.evaluate('document.documentElement.scrollWidth'), 794)
    t.strictSame(await page.evaluate("['color', 'backgroundColor'].map(name => getComputedStyle(document.body)[name])"), ['rgb(31, 35, 40)', 'rgb(255, 255, 255)'])
    t.equal(await page.locator('.check:visible').count(), 4)
    t.match((await page.pdf({ format: 'A4' })).subarray(0, 5).toString(), '%PDF-')
  })

  await t.test('without scripts it is complete, and refreshes itself', async t => {
    const service = await start(t)
    const page = await open(t, browser, service.url, { javaScriptEnabled: false })
    t.match(await page.locator('main').innerText(), /database.*✓ pass/s)
    await service.get('/database/fail')
    await page.locator('.check.fail').waitFor({ timeout: 30_000 })
    t.pass('refreshed')
  })

  await t.test('while the app drains it says so, and goes on by refreshing', async t => {
    const service = await start(t)
    const page = await open(t, browser, service.url)
    await shows(page, 'Live')
    await service.get('/drain')
    await shows(page, 'draining')
    await shows(page, 'Refreshes every 5 s')
    t.strictSame(await violations(page), [])
  })

  await t.test('when the service is gone it keeps what it last saw, and says so', async t => {
    const service = await start(t)
    const page = await open(t, browser, service.url, {}, /ERR_|Failed to load resource/)
    await shows(page, 'Live')
    const opened = Date.now()
    await new Promise(resolve => setTimeout(resolve, 3000))
    service.kill('SIGKILL')
    await shows(page, 'No answer since')
    const [, time] = /since (\S+)Z/.exec(await page.locator('#live').innerText())!
    t.ok(Date.parse(`${new Date(opened).toISOString().slice(0, 11)}${time}Z`) > opened + 500, 'since the last update, not since the page was opened')
    t.match(await page.locator('main').innerText(), /database/)
  })
}

/** The pictures in `docs/`: a service whose last hour passes in six seconds. */
async function takeScreenshots (t: Test): Promise<void> {
  const browser = await chromium.launch({ executablePath: EXECUTABLE, args: ['--no-sandbox'] })
  t.teardown(() => browser.close())
  const { url } = await startProgram(t, `
    const { now } = Date
    const started = now()
    const ms = () => now() - started
    const minute = () => Math.min(ms() / 100, 60)
    Date.now = () => started + Math.min(ms() * 600, 3_600_000 + ms()) - 3_600_000
    const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))
    const within = (from, to) => minute() >= from && minute() < to
    const app = Fastify({ logger: { stream, level: 'fatal' } })
    app.register(healthz, {
      details: true,
      live: { loop: { check: context => { context.data = { p99: 12.4 } }, interval: 50 } },
      ready: {
        database: { check: async context => {
          context.data = { total: 10, idle: within(50, 61) ? 0 : 4, waiting: within(50, 61) ? 7 : 0 }
          await sleep(4 + 8 * Math.random() + (within(50, 58.5) ? minute() : 0))
          if (within(17, 21) || within(58.5, 61)) throw new healthz.HealthError("Can't connect to the database")
        }, interval: 20 },
        cache: { check: async () => {
          await sleep(1 + Math.random())
          if (within(30, 34) || within(55, 61)) throw new healthz.HealthError('no answer within 500 ms')
        }, critical: false, interval: 20 },
        queue: { check: async context => {
          context.data = { messages: 3 }
          await sleep(2 + 3 * Math.random())
        }, interval: 20 }
      }
    })
    await app.after()
    process.uptime = () => minute() * 60
    const onChange = app.healthz.onChange.bind(app.healthz)
    app.healthz.onChange = listener => onChange(change => listener({ ...change, lastedMs: change.lastedMs * 600 }))
    app.register(require('./dist/lib/page/index.js'), { name: 'orders 1.4.2' })
    const url = await app.listen({ port: 0, host: '127.0.0.1' }) + '/statusz'
    for (let last = 0; last < 60;) {
      await sleep(20)
      last = minute()
      for (const probe of ['live', 'ready', 'startup']) await app.healthz.run(probe)
    }
    say('page', { url })`)
  for (const [name, width, colorScheme] of [['light', 1280, 'light'], ['dark', 1280, 'dark'], ['phone', 320, 'light']] as const) {
    const page = await open(t, browser, url, { colorScheme, viewport: { width, height: 400 } })
    await shows(page, 'Live')
    await page.screenshot({ path: join(project, `docs/page-${name}.png`), fullPage: true })
  }
}

const missing = existsSync(EXECUTABLE) ? [] : ["Debian's package chromium"]
if (SHOTS) t.test('screenshots', takeScreenshots)
else if (hasAll(t, missing)) t.test('in Chromium', { timeout: 280_000 }, suite)
