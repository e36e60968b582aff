/** `kustomize build` for what the examples use of it. What it doesn't know it refuses. */
import { readFileSync, statSync } from 'node:fs'
import { join, relative, resolve } from 'node:path'
import { parse, parseAllDocuments } from 'yaml'

export interface Manifest {
  apiVersion: string
  kind: string
  metadata: { name: string, [field: string]: unknown }
  spec: any
  [field: string]: unknown
}

interface Kustomization {
  kind: 'Kustomization' | 'Component'
  resources: string[]
  components: string[]
  patches: Array<{ target: { kind: string, name: string }, patch: string }>
  images: Array<{ name: string, newTag: string }>
}

type Operation = { op: string, path: string, value?: unknown }

const FIELDS = ['apiVersion', 'kind', 'resources', 'components', 'patches', 'images']

/** The documents of a YAML file, without an error or a warning. */
export function readManifests (file: string): Manifest[] {
  const documents = parseAllDocuments(readFileSync(file, 'utf8'))
  const [problem] = documents.flatMap(document => [...document.errors, ...document.warnings])
  if (problem !== undefined) throw problem
  return documents.map(document => document.toJS())
}

/** @param besides components, as if the kustomization listed them */
export function build (folder: string, besides: string[] = []): Manifest[] {
  return accumulate(resolve(folder), 'Kustomization', [], [], besides)
}

function accumulate (
  root: string, kind: Kustomization['kind'], objects: Manifest[], visited: readonly string[], besides: string[] = []
): Manifest[] {
  // api/internal/loader/fileloader.go of kustomize, errIfArgEqualOrHigher.
  const cycle = visited.find(folder => !relative(root, folder).startsWith('..'))
  if (cycle !== undefined) throw new Error(`cycle detected: candidate root '${root}' contains visited root '${cycle}'`)
  const read: Partial<Kustomization> = parse(readFileSync(join(root, 'kustomization.yaml'), 'utf8'))
  const unknown = Object.keys(read).filter(field => !FIELDS.includes(field))
  if (unknown.length > 0) throw new Error(`kustomization.yaml has ${unknown}`)
  if (read.kind !== kind) throw new Error(`${root} is a ${read.kind}, not a ${kind}`)
  const { resources = [], components = [], patches = [], images = [] } = read

  let all = [...objects]
  for (const resource of resources) {
    const path = join(root, resource)
    all.push(...statSync(path).isDirectory() ? accumulate(path, 'Kustomization', [], [...visited, root]) : readManifests(path))
  }
  for (const component of [...components, ...besides]) {
    all = accumulate(join(root, component), 'Component', all, [...visited, root])
  }
  for (const { target, patch } of patches) {
    const found = all.filter(({ kind, metadata }) => kind === target.kind && metadata.name === target.name)
    if (found.length === 0) throw new Error(`no ${target.kind} ${target.name} to be patched`)
    for (const object of found) for (const operation of parse(patch) as Operation[]) apply(operation, object)
  }
  for (const { name, newTag } of images) {
    const containers = all.flatMap(({ spec }) => spec.template?.spec.containers ?? [])
      .filter(({ image }) => image.split(':')[0] === name)
    if (containers.length === 0) throw new Error(`no image ${name} to be tagged`)
    for (const container of containers) container.image = `${name}:${newTag}`
  }
  return all
}

/** One operation of a JSON patch, RFC 6902. */
function apply ({ op, path, value }: Operation, object: Manifest): void {
  const names = path.split('/').slice(1).map(name => name.replaceAll('~1', '/').replaceAll('~0', '~'))
  const last = names.pop()!
  const parent = names.reduce<any>((value, name) => value?.[name], object)
  const exists = parent !== undefined && Object.hasOwn(parent, last)
  if (op === 'add' && parent !== undefined) {
    if (!Array.isArray(parent)) parent[last] = value
    else parent.splice(last === '-' ? parent.length : Number(last), 0, value)
  } else if (op === 'replace' && exists) {
    parent[last] = value
  } else if (op !== 'test' || !exists || parent[last] !== value) {
    throw new Error(`can't ${op} ${path}`)
  }
}
