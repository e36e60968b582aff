/**
 * The status page in a real browser. HEALTHZ_SCREENSHOTS=1 takes those in `docs/`.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import axe from 'axe-core'
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core'
import t, { type Test } from 'tap'
import { project } from '../helpers/package.js'
import { startService } from '../helpers/service.js'
import { hasAll } from '../helpers/services.js'

const EXECUTABLE = '/usr/bin/chromium'
const SHOTS = process.env.HEALTHZ_SCREENSHOTS === '1'

const SERVICE = `
  let database = 'pass'
  const answers = {
    pass () {},
    fail () { throw new healthz.HealthError("Can't connect", { cause: new Error('hunter2') }) }
  }
  const app = Fastify({ logger: { stream, level: 'warn' } })
  app.register(healthz, {
    details: true, noLog: true, shutdown: { delay: 60_000 },
    listen: { port: 0, host: '127.0.0.1', thread: true },
    live: { loop: context => { context.data = { p99: 12.4 } } },
    ready: {
      database: { check: context => { context.data = { total: 10, idle: 4, waiting: 0 }; answers[database]() }, interval: 200 },
      cache: { check: () => { throw new healthz.HealthError('<img src=x onerror=alert(1)> is no answer') }, critical: false, interval: 200 },
      queue: () => {}
    }
  })
  app.register(require('./dist/lib/page/index.js'), { name: 'orders' })
  app.get('/database/:to', async ({ params }) => { database = params.to; return database })
  app.get('/drain', async () => { app.healthz.drain(60_000); return 'draining' })
  await app.listen({ port: 0, host: '127.0.0.1' })
  for (const probe of ['live', 'ready', 'startup']) await app.healthz.run(probe)
  const { port } = app.server.address()
  say('serves', { port, page: app.healthz.address?.port ?? port })
`

async function start (t: Test) {
  const service = startService(t, SERVICE)
  const { port, page } = await service.line('serves') as unknown as { port: number, page: number }
  return { ...service, url: `http://127.0.0.1:${page}/statusz`, get: (path: string) => fetch(`http://127.0.0.1:${port}${path}`) }
}

/** Opens the page, and fails the test for whatever the browser complains about. */
async function open (t: Test, browser: Browser, url: string, options: BrowserContextOptions = {}, expected = /^$/): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ...options })
  t.teardown(() => context.close())
  const page = await context.newPage()
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

  await t.test('it follows a database that goes down and comes back, without a reload', async t => {
    const service = await start(t)
    const page = await open(t, browser, service.url)
    await shows(page, 'Live')
    await page.evaluate('window.kept = true')
    await service.get('/database/fail')
    await shows(page, "Can't connect")
    t.match(await page.locator('.check').first().innerText(), /database.*✕ fail/s, 'the worst is on top')
    t.match(await page.locator('.log li').first().innerText(), /✕ fail/)
    await fetch(new URL('/healthz/ready', service.url))
    await page.locator('h2.fail').waitFor({ timeout: 30_000 })
    if (SHOTS) {
      await page.emulateMedia({ colorScheme: 'light' })
      await page.screenshot({ path: join(project, 'docs/page-light.png'), fullPage: true })
      await page.emulateMedia({ colorScheme: 'dark' })
      await page.screenshot({ path: join(project, 'docs/page-dark.png'), fullPage: true })
    }
    t.notMatch(await page.content(), 'hunter2')
    await service.get('/database/pass')
    await page.locator('.check.fail').waitFor({ state: 'detached', timeout: 30_000 })
    t.equal(await page.evaluate('window.kept'), true)
    t.strictSame(await violations(page), [])
  })

  await t.test('it has no violation of axe-core, and no width is scrolled, in either scheme', async t => {
    const service = await start(t)
    await service.get('/database/fail')
    for (const colorScheme of ['light', 'dark'] as const) {
      for (const width of [320, 768, 1440]) {
        const page = await open(t, browser, service.url, { colorScheme, viewport: { width, height: 900 }, reducedMotion: 'reduce' })
        await shows(page, "Can't connect")
        t.equal(await page.evaluate('document.documentElement.scrollWidth'), width)
        t.strictSame(await violations(page), [], `${colorScheme}, ${width} px`)
        if (SHOTS && width === 320 && colorScheme === 'light') await page.screenshot({ path: join(project, 'docs/page-phone.png'), fullPage: true })
      }
    }
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

const missing = existsSync(EXECUTABLE) ? [] : ["Debian's package chromium"]
if (hasAll(t, missing)) t.test('in Chromium', { timeout: 280_000 }, suite)
