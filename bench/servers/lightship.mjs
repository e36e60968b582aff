import { createLightship } from 'lightship'

/** No plugin of Fastify's: it starts a server of its own, beside the app's, and never has a logger there. */
export async function start () {
  const lightship = await createLightship()
  lightship.signalReady()
  return { port: lightship.server.address().port, path: '/live' }
}
