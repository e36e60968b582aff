import { Prober, statusOf } from './prober.mjs'

/** The fallback load generator. It takes more CPU time per request than the server. */
export async function probers (server, { seconds, connections, close }) {
  const begin = performance.now()
  const end = begin + seconds * 1000
  let requests = 0
  let unexpected = 0
  await Promise.all(Array.from({ length: connections }, async () => {
    let prober
    do {
      prober ??= await Prober.open(server, close)
      if (statusOf(await prober.ask()) !== server.status) unexpected++
      requests++
      if (close) {
        prober.close()
        prober = undefined
      }
    } while (performance.now() < end)
    prober?.close()
  }))
  return { requests, seconds: (performance.now() - begin) / 1000, unexpected, errors: 0 }
}
