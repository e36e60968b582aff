/** Serves an app on a port that is free. Its probe stands at `path`. */
export async function listen (app, path) {
  await app.listen({ port: 0, host: '127.0.0.1' })
  return { port: app.server.address().port, path }
}
