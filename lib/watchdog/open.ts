import type { Server } from 'node:http'
import type { ThreadObserver } from '../telemetry/events.js'
import type { Watchdog, WatchdogSettings } from './watchdog.js'

/**
 * Starts the watchdog, which is loaded only here.
 * @param observer returns that of the app that owns the port at the time
 * @returns nothing where there are no worker threads or no inspector, or the thread's file is missing, as in a bundle
 * @throws why the port can't be listened on
 */
export async function openWatchdog (
  server: Server, settings: WatchdogSettings, observer: () => ThreadObserver
): Promise<Watchdog | undefined> {
  let watchdog
  try {
    const { Watchdog } = require('./watchdog.js') as typeof import('./watchdog.js')
    watchdog = await Watchdog.start(server, settings, observer)
  } catch (error) {
    observer().threadUnavailable(error)
    return undefined
  }
  if (watchdog.failure !== undefined) throw watchdog.failure
  return watchdog
}
