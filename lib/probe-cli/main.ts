#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { readArguments, USAGE, type Plan } from './arguments.js'
import { attempt, type Result } from './attempt.js'
import type * as Report from './report.js'
import { systemTime, type Time } from '../clock.js'

type Output = Pick<NodeJS.Process, 'stdout' | 'stderr'>

const NAME = 'healthz-probe'
/** Pause between two attempts with `--wait`, in ms. */
const PAUSE = 500

/** Loaded only when there is something to report. */
const report = () => require('./report.js') as typeof Report

/** Runs the command. Resolves to its exit code once all output is written. */
export async function main (args: string[], output: Output, time: Time): Promise<0 | 1 | 2> {
  const version = readVersion()
  let plan: Plan | 'help' | 'version'
  try {
    plan = readArguments(args, { 'User-Agent': `${NAME}/${version}`, Accept: '*/*', Connection: 'close' })
  } catch (error) {
    await write(output.stderr, `${NAME}: ${report().oneLine((error as Error).message)}\nTry \`${NAME} --help\`.\n`)
    return 2
  }
  if (typeof plan === 'string') {
    await write(output.stdout, plan === 'help' ? USAGE : `${version}\n`)
    return 0
  }

  const { result, tries, lastedMs } = await untilHealthy(plan, output, time)
  if (plan.json) await write(output.stdout, report().inJson(plan, result, tries, lastedMs))
  else if (plan.verbose) await write(output.stdout, report().inWords(plan, result))
  if (result.outcome !== 'success' && !plan.quiet) {
    const waited = plan.wait > 0 ? ` (attempt ${tries}, after ${seconds(lastedMs)})` : ''
    await write(output.stderr, report().oneLine(`${NAME}: ${plan.target.name}: ${report().reasonOf(result)}${waited}`) + '\n')
  }
  return result.outcome === 'failure' ? 1 : 0
}

/** The version of the package. Requiring its manifest by the name of the package takes 1.5 ms instead of 0.1 ms, for each probe. */
function readVersion (): string {
  const root = __dirname.replace(/([\\/]dist)?[\\/]lib[\\/]probe-cli$/, '')
  return JSON.parse(readFileSync(`${root}/package.json`, 'utf8')).version
}

async function untilHealthy (plan: Plan, output: Output, time: Time): Promise<{ result: Result, tries: number, lastedMs: number }> {
  const start = time.now()
  const terminal = plan.wait > 0 && !plan.quiet && output.stderr.isTTY
  for (let tries = 1; ; tries++) {
    const result = await attempt(plan, time)
    const lastedMs = time.now() - start
    const left = plan.wait - lastedMs
    // A timer may fire a fraction of a millisecond early.
    if (result.outcome !== 'failure' || left < 1) {
      if (terminal) await write(output.stderr, '\r\x1b[K')
      return { result, tries, lastedMs }
    }
    if (terminal) {
      const progress = `${NAME}: ${seconds(lastedMs)} of ${seconds(plan.wait)}: ${plan.target.name}: ${report().reasonOf(result)}`
      await write(output.stderr, `\r\x1b[K${report().oneLine(progress).slice(0, (output.stderr.columns || 80) - 1)}`)
    }
    await new Promise<void>(resolve => { time.start(resolve, Math.min(PAUSE, left)) })
  }
}

const seconds = (ms: number) => `${Math.round(ms / 100) / 10} s`

const ignore = () => {}

/** The reader may have closed its end. That doesn't change the result. */
function write (stream: NodeJS.WriteStream, text: string): Promise<void> {
  return new Promise(resolve => {
    stream.off('error', ignore).on('error', ignore)
    stream.write(text, () => resolve())
  })
}

if (require.main === module) {
  // A DNS lookup in progress delays the exit and can't be aborted: by default libc retries for 10 s and longer.
  process.env.RES_OPTIONS ??= 'timeout:1 attempts:1'
  main(process.argv.slice(2), process, systemTime).then(code => process.exit(code))
}
