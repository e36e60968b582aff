// A server in a separate process: `node serve.mjs '{"server":"bare","options":{}}'`. It sends its port and its path to its
// parent and, on any message, the size of its heap after a garbage collection. It exits when its parent does.
const { server, options } = JSON.parse(process.argv[2])
const { start } = await import(`./servers/${server}.mjs`)

process.on('disconnect', () => process.exit())
process.on('message', async () => {
  // Several iterations, since some objects are only released by the event loop or by finalizers.
  for (let turn = 0; turn < 5; turn++) {
    await new Promise(resolve => setImmediate(resolve))
    globalThis.gc()
  }
  process.send({ heap: process.memoryUsage().heapUsed })
})
process.send(await start(options))
