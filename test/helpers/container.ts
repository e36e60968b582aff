import { project, run } from './package.js'

/** The output of `podman inspect` for a container, limited to the fields that the tests use. */
export interface Inspection {
  readonly State: {
    readonly Status: 'running' | 'exited' | 'stopping'
    readonly ExitCode: number
    readonly StartedAt: string
    readonly FinishedAt: string
    readonly Health: {
      readonly Status: 'starting' | 'healthy' | 'unhealthy'
      readonly FailingStreak: number
      readonly Log: ReadonlyArray<{ readonly ExitCode: number, readonly Output: string }> | null
    }
  }
  readonly Config: {
    readonly User: string
    readonly StopSignal: number
    readonly Healthcheck: {
      readonly Test: readonly string[]
      /** In nanoseconds, like the other durations. */
      readonly StartPeriod: number
      readonly Interval: number
      readonly Timeout: number
      readonly Retries: number
    }
  }
}

/** A running podman container. */
export class Container {
  readonly #name: string

  private constructor (name: string) { this.#name = name }

  /** Starts a container in the network namespace of the caller. `options` are those of `podman run`. */
  static async run (image: string, options: readonly string[]): Promise<Container> {
    return new Container((await podman('run', '--detach', '--network=host', ...options, image)).trim())
  }

  async inspect (): Promise<Inspection> {
    return JSON.parse(await podman('inspect', this.#name))[0]
  }

  /** Runs the HEALTHCHECK once, as systemd or Docker would at every interval. Resolves with podman's new health state. */
  async check (): Promise<Inspection['State']['Health']> {
    await run('podman', ['healthcheck', 'run', this.#name], project)
    return (await this.inspect()).State.Health
  }

  /** Sends the image's stop signal, and SIGKILL after `graceSeconds`. Resolves when the container has exited. */
  async stop (graceSeconds: number): Promise<void> {
    await podman('stop', `--time=${graceSeconds}`, this.#name)
  }

  async remove (): Promise<void> { await podman('rm', '--force', this.#name) }
}

async function podman (...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await run('podman', args, project)
  if (code !== 0) throw new Error(`podman ${args.join(' ')} ended with ${code}: ${stderr}`)
  return stdout
}
