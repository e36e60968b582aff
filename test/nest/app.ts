// An app with all that Nest may put around a route, for `nest.test.ts`. It is compiled for each kind of project, and each
// line that it writes to stdout is JSON, unless Nest's own logger writes it.
import { setTimeout as sleep } from 'node:timers/promises'
import {
  type ArgumentsHost, type CallHandler, type CanActivate, Catch, Controller, type ExceptionFilter, type ExecutionContext, Get,
  HttpException, Inject, Injectable, Module, type NestInterceptor, type OnApplicationShutdown, type OnModuleDestroy, Param, Scope,
  VersioningType
} from '@nestjs/common'
import type { FastifyInstance } from 'fastify'
import { HealthError } from 'fastify-healthz'
import { Logger, LoggerModule } from 'nestjs-pino'
import { pino } from 'pino'
import { tap } from 'rxjs'
import { createApp, HealthCheck } from '../../examples/nest/healthz.js'
import type { AppSettings } from './nest.test.js'

const settings = JSON.parse(process.argv[2]!) as AppSettings
const logger = pino({}, pino.destination({ dest: 1, sync: true }))
const say = (msg: string, rest: object = {}) => logger.info(rest, msg)

@Injectable()
class Config {
  reason = "Can't connect"
}

@Injectable()
class Database implements OnModuleDestroy, OnApplicationShutdown {
  up = true

  constructor (@Inject(Config) private readonly config: Config) {}

  @HealthCheck('ready', 'database')
  check () {
    if (!this.up) throw new HealthError(this.config.reason, { cause: new Error('connect ECONNREFUSED') })
  }

  async onModuleDestroy () {
    this.up = false
    say('onModuleDestroy')
    if (settings.destroyFails) throw new Error('the pool is stuck')
  }

  onApplicationShutdown (signal?: string) {
    say('onApplicationShutdown', { signal })
  }
}

@Injectable({ scope: Scope.REQUEST })
class RequestScoped {
  @HealthCheck('ready', 'request')
  check () {}
}

@Injectable()
class Guard implements CanActivate {
  canActivate (context: ExecutionContext) {
    say('guard', { url: context.switchToHttp().getRequest().url })
    return true
  }
}

@Injectable()
class Interceptor implements NestInterceptor {
  intercept (_context: ExecutionContext, next: CallHandler) {
    return next.handle().pipe(tap(() => say('interceptor')))
  }
}

@Catch()
class Filter implements ExceptionFilter {
  catch (exception: unknown, host: ArgumentsHost) {
    say('filter')
    const status = exception instanceof HttpException ? exception.getStatus() : 500
    host.switchToHttp().getResponse().code(status).send({ filtered: true })
  }
}

@Controller()
class AppController {
  constructor (@Inject(Database) private readonly database: Database) {}

  @Get('work/:ms')
  async work (@Param('ms') ms: string) {
    await sleep(Number(ms))
    return { up: this.database.up }
  }

  @Get('database/:state')
  database_ (@Param('state') state: string) {
    this.database.up = state === 'up'
    return {}
  }
}

@Module({
  imports: settings.pino === false ? [] : [LoggerModule.forRoot({ pinoHttp: { logger }, forRoutes: ['{*splat}'] })],
  controllers: [AppController],
  providers: [
    Config, Database, { provide: 'alias', useExisting: Database }, { provide: 'text', useValue: 'text' },
    { provide: 'nothing', useValue: null },
    ...(settings.slowBoot ? [{ provide: 'slow', useFactory: async () => { say('booting'); await sleep(60_000) } }] : []),
    ...(settings.requestScoped ? [RequestScoped] : [])
  ]
})
class AppModule {}

async function main () {
  const app = await createApp(AppModule, {
    ...(settings.pino === 'shared' && { logger }),
    ...(settings.worker && { listen: { port: 0, host: '127.0.0.1', serving: 'onReady' } }),
    noLog: true,
    shutdown: { delay: settings.delay ?? 0 }
  }, { bufferLogs: settings.pino !== false, abortOnError: false })
  if (settings.pino !== false) app.useLogger(app.get(Logger))
  if (settings.prefix !== false) {
    app.setGlobalPrefix('api')
    app.enableVersioning({ type: VersioningType.URI, defaultVersion: '1' })
  }
  app.use(({ url }: { url: string }, _response: unknown, next: () => void) => {
    say('middleware', { url })
    next()
  })
  app.useGlobalGuards(new Guard())
  app.useGlobalInterceptors(new Interceptor())
  app.useGlobalFilters(new Filter())
  app.enableShutdownHooks()
  const fastify = app.getHttpAdapter().getInstance() as FastifyInstance
  if (settings.worker) {
    await app.init()
    await fastify.ready()
    // Work that keeps the process running.
    setInterval(() => {}, 1000)
    say('listening', fastify.healthz.address!)
  } else {
    await app.listen(0, '127.0.0.1')
    say('listening', fastify.server.address() as object)
  }
}

main()
