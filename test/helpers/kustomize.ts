/** Renders the manifests of `examples/` with the kustomize in `kubectl`. */
import { execFileSync, spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { project } from './package.js'

export interface Manifest {
  apiVersion: string
  kind: string
  metadata: { name: string, [field: string]: unknown }
  spec: any
}

const { stdout } = spawnSync('kubectl', ['version', '--client', '--output=json'], { encoding: 'utf8' })
/** The reason to skip rendering. Debian's kubectl has a kustomize without components, and doesn't report its version. */
export const lacksKubectl = stdout?.includes('kustomizeVersion') !== true && 'rendering the manifests needs kubectl 1.24 or newer'

/** @param name a directory of `examples/` */
export function render (name: 'kubernetes' | 'openshift', { ownPort = false, monitoring = false } = {}): Manifest[] {
  const copy = mkdtempSync(join(tmpdir(), 'fastify-healthz-manifests-'))
  try {
    for (const folder of ['kubernetes', 'openshift', 'monitoring']) cpSync(join(project, 'examples', folder), join(copy, folder), { recursive: true })
    const wanted = [...ownPort ? ['own-port'] : [], ...monitoring ? ['monitoring'] : []]
    if (wanted.length > 0) {
      const file = join(copy, name, 'kustomization.yaml')
      const lines = new RegExp(`^# (?=components:| {2}- .*\\b(?:${wanted.join('|')})$)`, 'gm')
      writeFileSync(file, readFileSync(file, 'utf8').replaceAll(lines, ''))
    }
    return parseManifests(execFileSync('kubectl', ['kustomize', join(copy, name)], { encoding: 'utf8' }))
  } finally {
    rmSync(copy, { recursive: true })
  }
}

/** The documents of a file in `examples/`. */
export function readManifests (file: string): Manifest[] {
  return parseManifests(readFileSync(join(project, 'examples', file), 'utf8'))
}

function parseManifests (text: string): Manifest[] {
  const documents = parseAllDocuments(text)
  const [problem] = documents.flatMap(document => [...document.errors, ...document.warnings])
  if (problem !== undefined) throw problem
  return documents.map(document => document.toJS())
}
