// The ready-made checks.
import { expect, test } from 'tstyche'
import type { Check, Checks } from '../lib/index.js'
import { heartbeat, type Heartbeat, type HeartbeatOptions } from '../lib/checks/index.js'

test('a heartbeat is a check that beats', () => {
  const worker = heartbeat({ max: 60_000 })
  expect(worker).type.toBe<Heartbeat>()
  expect<Heartbeat>().type.toBeAssignableTo<Check>()
  expect<Heartbeat>().type.toBeAssignableTo<Check & { beat (): void }>()
  expect<Checks>().type.toBeAssignableFrom<Heartbeat>()
  expect<Checks>().type.toBeAssignableFrom<{ worker: Heartbeat }>()
  const { beat } = worker
  expect(beat).type.toBe<() => void>()
  expect(beat(5)).type.toRaiseError('Expected 0 arguments, but got 1')
  expect(() => { worker.beat = () => {} }).type.toRaiseError("Cannot assign to 'beat' because it is a read-only property")
})

test('the options of a heartbeat', () => {
  const options: HeartbeatOptions = { max: 1 }
  expect(heartbeat).type.toBeCallableWith(options)
  expect(heartbeat()).type.toRaiseError('Expected 1 arguments, but got 0')
  expect(heartbeat({})).type.toRaiseError("Property 'max' is missing")
  expect(heartbeat({ max: '60s' })).type.toRaiseError("Type 'string' is not assignable to type 'number'")
  expect(heartbeat({ max: 1, mox: 1 })).type.toRaiseError("'mox' does not exist in type 'HeartbeatOptions'")
})
