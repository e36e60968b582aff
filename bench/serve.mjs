// A server in a process of its own: `node serve.mjs '{"server":"bare","options":{}}'`. It tells its port, its path and,
// when asked, its heap after a forced collection, and ends with the process that started it.
const { server, options } = JSON.parse(process.argv[2])
const { start } = await import(`./servers/${server}.mjs`)

process.on('disconnect', () => process.exit())
process.on('message', async () => {
  // What waits for a turn of the event loop, or for a finalizer, is let go of first.
  for (let turn = 0; turn < 5; turn++) {
    await new Promise(resolve => setImmediate(resolve))
    globalThis.gc()
  }
  process.send({ heap: process.memoryUsage().heapUsed })
})
process.send(await start(options))
