import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const bench = fileURLToPath(new URL('.', import.meta.url))
const project = fileURLToPath(new URL('..', import.meta.url))

/** Installs the peers from the lock file, and the plugin as it would be published. */
export function install () {
  npm(bench, 'ci')
  const folder = mkdtempSync(join(tmpdir(), 'fastify-healthz-bench-'))
  try {
    npm(project, 'pack', '--ignore-scripts', '--pack-destination', folder)
    npm(bench, 'install', '--no-save', '--no-package-lock', '--prefer-offline', join(folder, readdirSync(folder)[0]))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

function npm (cwd, ...args) {
  execFileSync('npm', ['--loglevel', 'error', '--no-audit', ...args], { cwd, stdio: ['ignore', 'ignore', 'inherit'] })
}
