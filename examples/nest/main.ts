// NestJS on Fastify with a simulated database that can be stopped and started. Run it with
//
//   npm run build && node dist/examples/nest/main.js
//
// and call
//
//   curl -i localhost:8080/healthz/ready
//   curl -X POST localhost:8080/api/v1/database/down
//   curl -i localhost:8080/healthz/ready
//
// The second probe responds with 503, and Nest's logger writes the cause once. Stop it with `kill` and the pid in its log
// lines: `ready` fails, requests are served for 5 s, then Nest calls its hooks, and the process exits with code 0.
import { Controller, Get, Inject, Injectable, Logger, Module, type OnModuleDestroy, Post, VersioningType } from '@nestjs/common'
import { HealthError } from 'fastify-healthz'
import { createApp, HealthCheck } from './healthz.js'

@Injectable()
class Database implements OnModuleDestroy {
  up = true

  async query (): Promise<string> {
    if (!this.up) throw new Error('connect ECONNREFUSED 127.0.0.1:5432')
    return new Date().toISOString()
  }

  @HealthCheck('ready', 'database')
  async check (): Promise<void> {
    try {
      await this.query()
    } catch (cause) {
      throw new HealthError("Can't connect", { cause })
    }
  }

  onModuleDestroy () {
    this.up = false
    Logger.log('closed', 'Database')
  }
}

@Controller({ version: '1' })
class AppController {
  constructor (@Inject(Database) private readonly database: Database) {}

  @Get('time')
  time () {
    return this.database.query()
  }

  @Post('database/down')
  down () {
    this.database.up = false
  }

  @Post('database/up')
  up () {
    this.database.up = true
  }
}

@Module({ controllers: [AppController], providers: [Database] })
class AppModule {}

async function main () {
  // The default delay outside a terminal. In a terminal the default is 0.
  const app = await createApp(AppModule, { noLog: true, shutdown: { delay: 5000 } })
  app.setGlobalPrefix('api')
  app.enableVersioning({ type: VersioningType.URI })
  await app.listen(Number(process.env.PORT ?? 8080), '0.0.0.0')
}

main()
