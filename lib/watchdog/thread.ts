// The entry of the watchdog's thread.
import { parentPort, workerData } from 'node:worker_threads'
import { Relay } from './relay.js'

if (parentPort !== null) new Relay(parentPort, workerData).listen()
