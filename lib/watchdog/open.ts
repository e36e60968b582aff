import type { Server } from 'node:http'
import type { ThreadObserver } from '../telemetry/events.js'
import type { Watchdog, WatchdogSettings } from './watchdog.js'

/**
 * Starts the watchdog. It is only loaded here.
 * @param observer returns the observer of the app that currently owns the port
 * @returns `undefined` if worker threads or the inspector are unavailable, or the thread's file is missing, as in a bundle
 * @throws the error of `listen`
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
