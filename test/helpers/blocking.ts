/** A service in a separate process whose event loop a test can block for any duration. */
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { get, request } from 'node:http'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import type { Test } from 'tap'
import { follow, PRELUDE, spawnNode } from './service.js'

/** A line of the watchdog, on stderr or in the log. */
export interface BlockLine {
  readonly level: number
  readonly time: number
  readonly pid: number
  readonly hostname: string
  readonly blockedMs: number
  readonly stack?: string
  readonly msg: string
}

export interface BlockingOptions {
  /** `listen.thread`, as source. */
  readonly thread?: string
  /** Options of the plugin, as source. */
  readonly options?: string
  /** Runs before the app listens, with `app`, `block()` and `file`. */
  readonly setup?: string
  readonly args?: readonly string[]
}

/** Sends a request. Resolves with the status and the title of the response. */
export async function ask (port: number, path: string, method = 'GET', body = ''): Promise<string> {
  const sent = request({ port, path, method, host: '127.0.0.1', agent: false, headers: { 'content-length': body.length } }).end(body)
  const [response] = await once(sent, 'response')
  const answer = await text(response)
  return answer === '' ? String(response.statusCode) : `${response.statusCode} ${JSON.parse(answer).title}`
}

export const probe = (port: number, name: string) => ask(port, `/healthz/${name}`)

/** Starts the service. `GET /block` blocks the event loop until `release()`. */
export function startBlocking (t: Test, { thread = 'true', options = '', setup = '', args = [] }: BlockingOptions = {}) {
  const file = join(t.testdir(), 'release')
  const service = follow(t, spawnNode([...args, '--eval', `${PRELUDE}
    const { existsSync } = require('node:fs')
    const file = ${JSON.stringify(file)}
    function block () {
      say('blocking')
      while (!existsSync(file)) spin()
      say('released')
    }
    function spin () { for (let i = 0; i < 1e6; i++); }
    const app = Fastify({ logger: { stream } })
    app.register(healthz, {
      listen: { port: 0, host: '127.0.0.1', thread: ${thread} }, shutdown: { delay: 300 }, ready: { database: async () => {} }, noLog: true,
      ${options}
    })
    app.get('/block', async () => { block() })
    ${setup}
    app.listen({ port: 0, host: '127.0.0.1' })
  `]))
  const portOf = async (msg: RegExp) => Number(new URL(msg.exec((await service.line(msg)).msg)![1]!).port)
  return {
    ...service,
    /** Resolves with the port of the probes, once it listens. */
    probes: () => portOf(/Probes listening at (.*)/),
    /** Resolves with the port of the app, once it listens. */
    app: () => portOf(/Server listening at (.*)/),
    /** Blocks the event loop by a request. Resolves when it is blocked, without awaiting the response. */
    async block (): Promise<void> {
      rmSync(file, { force: true })
      service.lines.splice(0, service.lines.length, ...service.lines.filter(({ msg }) => msg !== 'blocking' && msg !== 'released'))
      get({ port: await portOf(/Server listening at (.*)/), path: '/block', host: '127.0.0.1', agent: false }, response => response.resume())
        .on('error', () => {})
      await service.line('blocking')
    },
    release (): void { writeFileSync(file, '') },
    /** Resolves with the lines that the watchdog wrote to stderr, once the process has exited. */
    async written (): Promise<BlockLine[]> {
      const { stderr } = await service.exit
      return stderr.trim().split('\n').filter(line => line !== '').map(line => JSON.parse(line))
    },
    /** The lines about blocks that the app logged. */
    logged: () => service.lines.filter(({ msg }) => /^event loop/.test(msg)) as unknown as BlockLine[]
  }
}
