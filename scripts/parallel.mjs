// Runs scripts of package.json in parallel: `node scripts/parallel.mjs lint typecheck`.
//
// Prints the output of each script when it exits: all of it if the script failed, otherwise one line. Exits with 1 if any
// script failed.
import { spawn } from 'node:child_process'

const ends = process.argv.slice(2).map(script => new Promise(resolve => {
  const started = Date.now()
  let output = ''
  const child = spawn('npm', ['run', '--silent', script], { stdio: ['ignore', 'pipe', 'pipe'] })
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', chunk => { output += chunk })
  child.on('close', (code, signal) => {
    const seconds = ((Date.now() - started) / 1000).toFixed(1)
    if (code === 0) console.log(`${script}: ok, ${seconds} s`)
    else console.log(`${output}${script}: FAILED with ${code ?? signal}, ${seconds} s`)
    resolve(code)
  })
}))
process.exitCode = (await Promise.all(ends)).every(code => code === 0) ? 0 : 1
