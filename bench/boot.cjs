// Measures the time to load Fastify, and then to load and register a plugin, in ms: `node boot.cjs healthz`.
const plugins = {
  none () {},
  empty: app => app.register(require('fastify-plugin')((_app, _options, done) => { done() }, { fastify: '5.x' })),
  // The minimum cost of any plugin with three routes in a child scope.
  routes: app => app.register(require('fastify-plugin')(async app => {
    app.register(async scope => {
      for (const name of ['live', 'ready', 'startup']) scope.get(`/healthz/${name}`, async () => ({ status: 200, title: 'OK' }))
    })
  }, { fastify: '5.x' })),
  port: app => app.register(require(process.env.BENCH_PLUGIN ?? 'fastify-healthz'), { listen: { port: 0 } }),
  thread: app => app.register(require(process.env.BENCH_PLUGIN ?? 'fastify-healthz'), { listen: { port: 0, thread: true } }),
  healthz: app => app.register(require(process.env.BENCH_PLUGIN ?? 'fastify-healthz')),
  'under-pressure': app => app.register(require('@fastify/under-pressure'), { exposeStatusRoute: true })
}

const begin = performance.now()
const Fastify = require('fastify')
const loaded = performance.now()
const app = Fastify()
app.get('/', async () => ({ hello: 'world' }))
const made = performance.now()
plugins[process.argv[2]](app)
app.ready(error => {
  if (error) throw error
  console.log(JSON.stringify({ fastify: loaded - begin, plugin: performance.now() - made }))
})
