// The service of `service.ts` with Nest: with the recipe, or with @nestjs/terminus as in its documentation. Its provider
// closes in `onModuleDestroy`, as in Nest's recipe for Prisma.
import { setTimeout as sleep } from 'node:timers/promises'
import { Controller, Get, Inject, Injectable, Module, type OnModuleDestroy, Query, ServiceUnavailableException } from '@nestjs/common'
import { NestFactory } from '@nestjs/core'
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify'
import { HealthCheck as TerminusCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { createApp, HealthCheck } from '../../../examples/nest/healthz.js'
import type { ServiceSettings } from './fleet.js'

const { shutdown, terminus } = JSON.parse(process.argv[2]!) as ServiceSettings
const write = (fields: object, msg: string) => console.log(JSON.stringify({ ...fields, time: Date.now(), msg }))
const logger = { fatal: write, error: write, warn: write, info: write, debug: write }
const PADDING = 'x'.repeat(4096)

@Injectable()
class Database implements OnModuleDestroy {
  #closed = false

  @HealthCheck('ready', 'database')
  query () {
    if (this.#closed) throw new ServiceUnavailableException('the pool is closed')
  }

  onModuleDestroy () {
    this.#closed = true
  }
}

@Controller()
class AppController {
  constructor (@Inject(Database) private readonly database: Database) {}

  @Get('work')
  async work (@Query('ms') ms: string) {
    await sleep(Number(ms))
    this.database.query()
    return { padding: PADDING }
  }
}

@Controller('healthz')
class HealthController {
  constructor (
    @Inject(HealthCheckService) private readonly health: HealthCheckService,
    @Inject(Database) private readonly database: Database
  ) {}

  @Get('live')
  live () {
    return {}
  }

  @Get('startup')
  startup () {
    return {}
  }

  @Get('ready')
  @TerminusCheck()
  ready () {
    return this.health.check([async () => {
      this.database.query()
      return { database: { status: 'up' } }
    }])
  }
}

@Module({ controllers: [AppController], providers: [Database] })
class RecipeModule {}

@Module({
  imports: [TerminusModule.forRoot({ logger: false, gracefulShutdownTimeoutMs: terminus ?? 0 })],
  controllers: [AppController, HealthController],
  providers: [Database]
})
class TerminusAppModule {}

async function main () {
  const app = terminus === undefined
    ? await createApp(RecipeModule, { logger, noLog: true, shutdown: typeof shutdown === 'object' ? shutdown : {} }, { logger: false })
    : await NestFactory.create<NestFastifyApplication>(TerminusAppModule, new FastifyAdapter(), { logger: false })
  app.enableShutdownHooks()
  const fastify = app.getHttpAdapter().getInstance() as FastifyInstance
  fastify.addHook('onSend', async (_request: FastifyRequest, reply: FastifyReply) => { reply.header('x-process', process.pid) })
  await app.listen(0, '127.0.0.1')
  const { port } = fastify.server.address() as { port: number }
  write({}, `Server listening at http://127.0.0.1:${port}`)
}

main()
