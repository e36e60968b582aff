import { once } from 'node:events'
import { connect } from 'node:net'
import type { Test } from 'tap'

/** The ports of the services that suites use. */
export const PORTS = { postgres: 5432, mysql: 3306, redis: 6379, amqp: 5672, nats: 4222, mqtt: 1883 } as const

export type Service = keyof typeof PORTS

/**
 * Whether the services are running, for a suite that needs them. If not, the suite is skipped with the missing ones as the
 * reason, or fails with `HEALTHZ_REQUIRE_SERVICES=1`.
 * @example if (await needs(t, 'postgres')) t.test(…)
 */
export async function needs (t: Test, ...services: Service[]): Promise<boolean> {
  const there = await Promise.all(services.map(service => listens(PORTS[service])))
  const missing = services.filter((_, at) => !there[at]).map(service => `${service} on 127.0.0.1:${PORTS[service]}`)
  return hasAll(t, missing)
}

/** Whether nothing is missing. Otherwise skips the test, or fails it with `HEALTHZ_REQUIRE_SERVICES=1`. */
export function hasAll (t: Test, missing: readonly string[]): boolean {
  if (missing.length === 0) return true
  const reason = `needs ${missing.join(' and ')}`
  if (process.env.HEALTHZ_REQUIRE_SERVICES === '1') t.fail(reason)
  else t.pass(reason, { skip: reason })
  return false
}

export async function listens (port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1')
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}
