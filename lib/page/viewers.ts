import type { ServerResponse } from 'node:http'
import type { ServerHttp2Stream } from 'node:http2'

const MAX_VIEWERS = 20
/** At most one update in this time, in ms. */
const UPDATE_MS = 1000
/** In ms. Below the time after which the separate port ends connections on which nothing comes and goes. */
const HEARTBEAT_MS = 2000
/** After which an update is due although nothing has changed but the time, in ms. */
const PASSES_MS = 10_000

/** Those who look at the page, and get its updates as server-sent events. */
export class Viewers {
  /** With the version that each of them has. */
  readonly #responses = new Map<ServerResponse, number>()
  #version = 0
  #timer: NodeJS.Timeout | undefined
  #ended = false

  /**
   * @param render renders what changes; called once for all viewers
   * @param drain ends them, so that none of them holds the close
   */
  constructor (private readonly render: () => string, drain: AbortSignal) {
    if (drain.aborted) this.#ended = true
    drain.addEventListener('abort', () => this.end())
  }

  get full (): boolean {
    return this.#ended || this.#responses.size >= MAX_VIEWERS
  }

  /** Sends updates from now on, the first of them at once. */
  add (response: ServerResponse): void {
    // It has hung up while `details` was awaited.
    if (response.destroyed || http2StreamOf(response)?.destroyed) return
    response.writeHead(200, {
      'content-type': 'text/event-stream', 'cache-control': 'no-store', 'x-accel-buffering': 'no', 'x-content-type-options': 'nosniff'
    })
    this.#responses.set(response, this.#version)
    response.on('close', () => {
      this.#responses.delete(response)
      if (this.#responses.size === 0) this.#stop()
    })
    response.write(message(JSON.stringify(this.render())))
    let ms = 0
    this.#timer ??= setInterval(() => {
      ms += UPDATE_MS
      if (ms % PASSES_MS === 0) this.update()
      this.#send(ms % HEARTBEAT_MS === 0)
    }, UPDATE_MS).unref()
  }

  /** Something has changed. */
  update (): void {
    this.#version++
  }

  end (): void {
    this.#ended = true
    this.#stop()
    for (const response of this.#responses.keys()) {
      // A stream of HTTP/2 whose client doesn't read would never end.
      if (response.writableLength > 0) http2StreamOf(response)?.destroy()
      response.end()
    }
  }

  #stop (): void {
    clearInterval(this.#timer)
    this.#timer = undefined
  }

  /** One that doesn't read gets what it has missed once it does. */
  #send (heartbeat: boolean): void {
    let update: string | undefined
    for (const [response, version] of this.#responses) {
      if (response.writableLength > 0) continue
      if (version !== this.#version) {
        response.write(update ??= message(JSON.stringify(this.render())))
        this.#responses.set(response, this.#version)
      } else if (heartbeat) {
        response.write(message(''))
      }
    }
  }
}

const http2StreamOf = (response: ServerResponse) => (response as { stream?: ServerHttp2Stream }).stream

const message = (data: string) => `data: ${data}\n\n`
