/** The project's own rules for manifests: that their numbers fit each other, the plugin's, and the service that they run. */
import { readOptions } from '../../lib/options.js'
import type { Manifest } from './kustomize.js'

export interface Probe {
  httpGet: { path: string, port: string }
  periodSeconds: number
  timeoutSeconds: number
  failureThreshold: number
  successThreshold?: number
}

export interface Env { readonly [name: string]: string | undefined }

/** Asks the service, run with that environment, on a port of the container. Resolves with the status, or 0 for no answer. */
export type Ask = (env: Env, port: number, path: string) => Promise<number>

/** What the plugin does by itself, in s. */
const settings = readOptions({ shutdown: true })
export const CHECK_TIMEOUT = settings.timeout / 1000
export const CLOSE_TIMEOUT = settings.shutdown!.timeout / 1000
export const DRAIN_DELAY = settings.shutdown!.delay / 1000
export const SIGNALS: readonly string[] = settings.shutdown!.signals

/** For a busy node, which may be late to do what is due. */
const ROOM = 10
/** How long the news of a pod's end may take; OpenShift's router reloads every 5 s at the least. */
const NEWS = 5
const ROUTER_NEWS = 2 * 5
/** Kubernetes' `progressDeadlineSeconds`, and `timeoutSeconds` of OpenShift's rollouts. */
const ROLLOUT = 600

export const budget = ({ periodSeconds, failureThreshold }: Probe) => periodSeconds * failureThreshold

export const workloadOf = (objects: Manifest[]) => objects.find(({ spec }) => spec.template !== undefined)!

export function probesOf (workload: Manifest): Array<[string, Probe]> {
  const { startupProbe, livenessProbe, readinessProbe } = workload.spec.template.spec.containers[0]
  return Object.entries({ startupProbe, livenessProbe, readinessProbe })
}

/** How long the pod drains, in s. */
export const drainOf = (workload: Manifest) => Number(envOf(workload).DRAIN_MS ?? DRAIN_DELAY * 1000) / 1000

function envOf (workload: Manifest): Env {
  const { env = [] } = workload.spec.template.spec.containers[0]
  return Object.fromEntries(env.map(({ name, value }: { name: string, value: string }) => [name, value]))
}

/** What is wrong with manifests that are applied together, one workload among them. */
export async function findings (objects: Manifest[], ask: Ask): Promise<string[]> {
  const found: string[] = []
  const must = (holds: boolean, finding: string) => { if (!holds) found.push(finding) }
  const kind = (name: string) => objects.find(object => object.kind === name)

  const workload = workloadOf(objects)
  const { metadata: { labels }, spec: pod } = workload.spec.template
  const [container] = pod.containers
  const selects = (selector: object) => {
    return Object.entries(selector).length > 0 && Object.entries(selector).every(([name, value]) => labels[name] === value)
  }
  const numberOf = (port: string) => container.ports.find(({ name }: { name: string }) => name === port)?.containerPort
  const env = envOf(workload)
  const probes = probesOf(workload)
  const onOpenShift = objects.some(({ apiVersion }) => apiVersion.includes('openshift'))

  for (const [name, probe] of probes) {
    const { path, port } = probe.httpGet
    const number = numberOf(port)
    const expected = name.replace('Probe', '').replace('liveness', 'live').replace('readiness', 'ready')
    must(number !== undefined, `${name}: the container has no port ${port}`)
    must(path.endsWith(`/${expected}`), `${name}: ${path} is another probe's`)
    if (number !== undefined) {
      const status = await ask(env, number, path)
      must(status === 200, `${name}: the service answers ${status} to ${path} on ${port}`)
    }
    must(probe.timeoutSeconds > CHECK_TIMEOUT, `${name}: hangs up before a check has timed out`)
    must(probe.timeoutSeconds <= probe.periodSeconds, `${name}: is not over when the next one is due`)
    must(name === 'readinessProbe' || (probe.successThreshold ?? 1) === 1, `${name}: successThreshold must be 1`)
  }

  const [startup, liveness, readiness] = probes.map(([, probe]) => budget(probe)) as [number, number, number]
  must(readiness < liveness, 'an unwell pod is restarted before it is out of the traffic')
  must(startup > liveness, 'a pod has less time to start than a running one to come back')
  const { strategy, progressDeadlineSeconds } = workload.spec
  const rolling = strategy.rollingUpdate ?? strategy.rollingParams
  const deadline = progressDeadlineSeconds ?? rolling.timeoutSeconds ?? ROLLOUT
  must(deadline > startup, 'a rollout is given up while a pod may still start')
  must(rolling.maxUnavailable === 0 && rolling.maxSurge >= 1, 'a rollout takes an old pod before a new one is ready')
  must(workload.spec.replicas >= 2, 'one pod alone is an outage whenever it moves')

  const preStop = container.lifecycle?.preStop?.sleep?.seconds ?? 0
  const drain = drainOf(workload)
  const inAll = preStop + drain + CLOSE_TIMEOUT
  must(preStop + drain >= (onOpenShift ? ROUTER_NEWS : NEWS), 'the drain is over before the news of it has spread')
  const grace = pod.terminationGracePeriodSeconds ?? 30
  must(grace >= inAll + ROOM, `the pod is killed within the ${inAll} s that its end may take`)

  const { selector } = workload.spec
  must(selects(selector.matchLabels ?? selector), `${workload.kind}: doesn't select its pods`)
  const service = kind('Service')
  must(service !== undefined && selects(service.spec.selector), "Service: doesn't select the pods")
  for (const { targetPort } of service?.spec.ports ?? []) {
    must(numberOf(targetPort) === Number(env.PORT ?? 8080), `Service: ${targetPort} is not the port of the service`)
  }
  const pdb = kind('PodDisruptionBudget')
  must(pdb !== undefined && selects(pdb.spec.selector.matchLabels), "PodDisruptionBudget: doesn't select the pods")
  const { maxUnavailable, minAvailable } = pdb?.spec ?? {}
  const disrupted = maxUnavailable ?? workload.spec.replicas - minAvailable
  const some = disrupted >= 1 && disrupted < workload.spec.replicas
  must(some, 'PodDisruptionBudget: must allow some pods to go, and not all of them')
  const route = kind('Route')
  if (route !== undefined) {
    must(route.spec.to.name === service?.metadata.name, 'Route: there is no such Service')
    const { targetPort } = route.spec.port
    must(service?.spec.ports.some(({ name }: { name: string }) => name === targetPort), 'Route: the Service has no such port')
  }

  const { runAsNonRoot, runAsUser } = pod.securityContext ?? {}
  must(runAsNonRoot === true, 'the pod may run as root')
  must(onOpenShift ? runAsUser === undefined : runAsUser > 0, 'the user is a number, and on OpenShift the cluster\'s to choose')
  const { allowPrivilegeEscalation, readOnlyRootFilesystem, capabilities } = container.securityContext ?? {}
  const confined = allowPrivilegeEscalation === false && readOnlyRootFilesystem === true && capabilities?.drop?.[0] === 'ALL'
  must(confined, 'the container has privileges')
  const { requests, limits } = container.resources ?? {}
  must(requests?.cpu && requests.memory && limits?.memory, 'the pod has no sizes')
  must(limits?.cpu === undefined, 'a throttled process answers its probes late')
  must(/^registry\.example\.com\/.+:\d/.test(container.image), 'the image is no placeholder with a version')
  return found
}
