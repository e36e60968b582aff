// Preload this module to give every separate port a thread. It uses the plugin in `dist/`, where the thread's file is.
const { join } = require('node:path')

const root = join(__dirname, '../..')
const healthz = require('../../dist/lib/index.js')

function withThread (app, { listen, ...options }) {
  return healthz(app, listen === undefined ? options : { ...options, listen: { thread: true, ...listen } })
}

Object.defineProperties(withThread, Object.getOwnPropertyDescriptors(healthz))
withThread.default = withThread.healthz = withThread
const shipped = require.cache[require.resolve('../../dist/lib/index.js')]
shipped.exports = withThread
require.cache[join(root, 'lib/index.ts')] = shipped
