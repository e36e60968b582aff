import type { Problem } from '../types/wire.js'
import type { CheckRunner, Result } from './check.js'
import { verdict } from './verdict.js'

/** A probe and its checks by name, in the order of registration. */
export class Probe {
  constructor (
    readonly name: string,
    readonly path: string,
    private readonly checks: ReadonlyMap<string, CheckRunner>
  ) {}

  /** Runs all checks side by side. Never throws and never rejects; synchronous where all checks are. */
  run (): Problem | Promise<Problem> {
    const results: Array<Result | Promise<Result>> = []
    let pending = false
    for (const check of this.checks.values()) {
      const result = check.run()
      pending ||= result instanceof Promise
      results.push(result)
    }
    return pending ? Promise.all(results).then(settled => this.judge(settled)) : this.judge(results as Result[])
  }

  private judge (results: readonly Result[]): Problem {
    return verdict(this.name, [...this.checks.keys()].map((check, i) => [check, results[i]!] as const))
  }
}
