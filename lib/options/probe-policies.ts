import type { ProbePolicy } from '../engine/lifecycle.js'

const CUSTOM: ProbePolicy = {
  whileStarting: 'fail', whileDraining: 'check', whileClosing: 'fail', whileBlocked: 'fail', permanent: false
}

const BUILT_IN: ReadonlyMap<string, ProbePolicy> = new Map([
  // A container mustn't be restarted because it starts or closes.
  ['live', { ...CUSTOM, whileStarting: 'pass', whileClosing: 'pass', whileBlocked: 'pass' }],
  // The endpoint is removed while requests are still served.
  ['ready', { ...CUSTOM, whileDraining: 'fail' }],
  // The kubelet doesn't call it again after its first pass.
  ['startup', { ...CUSTOM, permanent: true }]
])

/** Returns the policy of a probe by its name. */
export function policyOf (probe: string): ProbePolicy {
  return BUILT_IN.get(probe) ?? CUSTOM
}
