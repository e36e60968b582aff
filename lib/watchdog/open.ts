import type { Server } from 'node:http'
import type { Watchdog, WatchdogObserver, WatchdogSettings } from './watchdog.js'

/**
 * Starts the watchdog, which is loaded only here.
 * @returns nothing where there are no worker threads or no inspector, or the thread's file is missing, as in a bundle
 * @throws why the port can't be listened on
 */
export async function openWatchdog (
  server: Server, settings: WatchdogSettings, observer: WatchdogObserver & { unavailable (error: unknown): void }
): Promise<Watchdog | undefined> {
  let watchdog
  try {
    const { Watchdog } = require('./watchdog.js') as typeof import('./watchdog.js')
    watchdog = await Watchdog.start(server, settings, observer)
  } catch (error) {
    observer.unavailable(error)
    return undefined
  }
  if (watchdog.failure !== undefined) throw watchdog.failure
  return watchdog
}
