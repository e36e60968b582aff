import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, readdir, realpath, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve, sep } from 'node:path'

/** The directory of the project. */
export const project = resolve(__dirname, '../..')

/** The package as published. */
export interface Package {
  /** A directory outside the project where the package is installed. */
  readonly user: string
  /** The directory of the unpacked package. */
  readonly root: string
  /** The path of the tarball. */
  readonly tarball: string
  /** The files in the tarball, sorted. */
  readonly files: string[]
  readonly manifest: {
    readonly exports: object
    readonly scripts: Record<string, string>
    readonly dependencies: Record<string, string>
    readonly peerDependencies: Record<string, string>
  }
  remove (): Promise<void>
}

/**
 * Packs the package and installs it in a separate directory outside the project. Only the dependencies in its
 * `package.json` and the packages in `besides` can be resolved from there. They are symlinks, so that no registry is needed.
 *
 * `dist/` must have been built. It can't be rebuilt here, since other suites are running it.
 */
export async function pack (...besides: string[]): Promise<Package> {
  // The compiler and Node.js report real paths, and the directory for temporary files may be a symlink.
  const user = await realpath(await mkdtemp(join(tmpdir(), 'fastify-healthz-')))
  const root = join(user, 'node_modules/fastify-healthz')
  const [packed] = await Promise.all([
    run('npm', ['pack', '--ignore-scripts', '--pack-destination', user], project),
    mkdir(root, { recursive: true })
  ])
  const name = (await readdir(user)).find(name => name.endsWith('.tgz'))
  if (name === undefined) throw new Error(`npm pack made no tarball: ${packed.stderr}`)
  const tarball = join(user, name)
  await run('tar', ['-xzf', tarball, '-C', root, '--strip-components=1'], user)

  const manifest = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'))
  const needed = [...Object.keys(manifest.dependencies), ...Object.keys(manifest.peerDependencies), ...besides]
  await Promise.all(needed.map(name => link(user, name)))
  return {
    user,
    root,
    tarball,
    files: await filesIn(root),
    manifest,
    remove: () => rm(user, { recursive: true, force: true })
  }
}

/** Links one of the project's packages into the `node_modules` of a directory, optionally with another name. */
export async function link (folder: string, name: string, as = name): Promise<void> {
  const path = join(folder, 'node_modules', as)
  await mkdir(dirname(path), { recursive: true })
  await symlink(join(project, 'node_modules', name), path, 'junction')
}

/** The files in a directory and its subdirectories, as sorted paths with `/`. */
export async function filesIn (folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter(entry => entry.isFile())
    .map(entry => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort()
}

/**
 * Runs a program. Never rejects, since the result may be awaited long after the exit.
 *
 * tap adds its loaders to every child process with `NODE_OPTIONS`, even if `env` is set. With them, Node.js loads CommonJS
 * differently and exposes other named exports, so the command `env` removes them.
 */
export function run (file: string, args: string[], cwd: string): Promise<{ code: unknown, stdout: string, stderr: string }> {
  return new Promise(resolve => {
    execFile('env', ['-u', 'NODE_OPTIONS', file, ...args], { cwd, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, stdout, stderr })
    })
  })
}
