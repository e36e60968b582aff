import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readFile, readdir, realpath, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve, sep } from 'node:path'

/** The folder of the project. */
export const project = resolve(__dirname, '../..')

/** The package as a user gets it. */
export interface Package {
  /** A folder outside the project where the package is installed. */
  readonly user: string
  /** The package below it, unpacked. */
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
 * Packs the package and installs it in a folder of its own, outside the project, so that nothing but what its
 * `package.json` asks for can be found from there, but for what the user has `besides`. All that is linked, so that no
 * registry is needed.
 *
 * `dist/` must have been built: other suites run what is in it, so it can't be built anew here.
 */
export async function pack (...besides: string[]): Promise<Package> {
  // The compiler and Node tell of real paths, and the folder for temporary files may be a link.
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

/** Installs one of the project's packages in a folder, perhaps under another name. */
export async function link (folder: string, name: string, as = name): Promise<void> {
  const path = join(folder, 'node_modules', as)
  await mkdir(dirname(path), { recursive: true })
  await symlink(join(project, 'node_modules', name), path, 'junction')
}

/** The files below a folder, as sorted paths with `/`. */
export async function filesIn (folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  return entries.filter(entry => entry.isFile())
    .map(entry => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort()
}

/**
 * Runs a program, and never rejects: a run may be started long before somebody looks at its end.
 *
 * tap puts loaders of its own into every child process by `NODE_OPTIONS`, even into one with an `env` of its own. With
 * them Node reads CommonJS by another way, on which other names can be imported: so `env` takes them out again.
 */
export function run (file: string, args: string[], cwd: string): Promise<{ code: unknown, stdout: string, stderr: string }> {
  return new Promise(resolve => {
    execFile('env', ['-u', 'NODE_OPTIONS', file, ...args], { cwd, maxBuffer: 2 ** 26 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : error.code, stdout, stderr })
    })
  })
}
