/** Serves an app on a free port. Its probe is at `path`. */
export async function listen (app, path) {
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { port: app.server.address().port, path }
}
