import { createLightship } from 'lightship'

/** Not a Fastify plugin: it starts a separate server, which has no logger. */
export async function start () {
  const lightship = await createLightship()
  lightship.signalReady()
  return { port: lightship.server.address().port, path: '/live' }
}
