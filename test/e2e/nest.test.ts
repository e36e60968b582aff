// A rolling update of NestJS under load: with the recipe, and with @nestjs/terminus. No client tries again.
import t, { type Test } from 'tap'
import { setTimeout as sleep } from 'node:timers/promises'
import { Balancer } from '../helpers/rolling/balancer.js'
import { Fleet, type ServiceSettings } from '../helpers/rolling/fleet.js'
import { type Kind, Load } from '../helpers/rolling/load.js'

/** Of the drain. Endpoint removal takes a third of it. */
const DELAY = 1500

/** No gap is longer than the drain: nothing that fails is HTTP's fault. */
const KINDS: readonly Kind[] = [
  { name: 'keep-alive', clients: 40, keepAlive: true, gapMs: [0, 500], workMs: [0, 300] },
  { name: 'busy', clients: 6, keepAlive: true, gapMs: [0, 0], workMs: [20, 60] },
  { name: 'new connections', clients: 15, keepAlive: false, gapMs: [0, 500], workMs: [0, 300] }
]

async function roll (t: Test, settings: ServiceSettings) {
  const balancer = new Balancer()
  await balancer.listen()
  const fleet = new Fleet({ service: { program: 'nest.ts', ...settings }, balancer, scale: 3, newsMs: DELAY / 3 })
  const load = new Load(balancer.port)
  t.teardown(async () => {
    await load.stop()
    await fleet.stop()
    balancer.close()
  })
  const old = await Promise.all([fleet.start(), fleet.start()])
  load.start(KINDS)
  await sleep(500)
  for (const service of old) await Promise.all([fleet.start(), fleet.end(service)])
  await sleep(500)
  await load.stop()
  const codes: Record<string, number> = {}
  for (const { code } of load.failures) codes[code] = (codes[code] ?? 0) + 1
  t.comment(`requests: ${load.total}; failed: ${load.failures.length} ${JSON.stringify(codes)}`)
  return { failed: load.failures.length, codes, exitCodes: old.map(({ exitCode }) => exitCode) }
}

t.test('with the recipe no request fails', async t => {
  t.strictSame(await roll(t, { shutdown: { delay: DELAY } }), { failed: 0, codes: {}, exitCodes: [0, 0] })
})

t.test('with @nestjs/terminus and enableShutdownHooks requests fail', async t => {
  const { failed, exitCodes } = await roll(t, { terminus: 0 })
  t.ok(failed > 0)
  t.strictSame(exitCodes, ['SIGTERM', 'SIGTERM'])
})

t.test('with gracefulShutdownTimeoutMs requests fail that come after onModuleDestroy', async t => {
  const { codes } = await roll(t, { terminus: DELAY })
  t.ok(codes['status 503']! > 0)
})
