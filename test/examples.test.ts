import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { startExample } from './helpers/example.js'
import { messages } from './helpers/log.js'

const read = (name: string) => readFileSync(join(__dirname, '../examples', name), 'utf8')

/** What the header of `basic.ts` tells a newcomer to type. */
const tour = [...read('basic.ts').matchAll(/^\/\/ +curl (?:-i|-X (\w+)) localhost:8080(\/\S+)$/gm)]
  .map(([, method = 'GET', path]) => ({ method, path: path! }))

/** The title of the 503, by program. */
const programs = {
  basic: "Can't connect to the database",
  specifiers: "Can't connect to the database",
  contributed: "database: Can't connect"
}

for (const [name, title] of Object.entries(programs)) {
  t.test(`${name}: the commands of the tour show a 503, one line with its cause, and the recovery`, async t => {
    const example = await startExample(name)
    t.teardown(example.stop)
    const listening = example.log.length
    const ask = async ({ method, path }: typeof tour[number]) => {
      const answer = await fetch(example.url + path, { method })
      return { status: answer.status, body: await answer.text() }
    }

    const answers = []
    for (const command of tour) {
      answers.push(await ask(command))
      // Asked again while it fails, it has nothing new to say.
      if (answers.at(-1)!.status === 503) answers.push(await ask(command))
    }
    // A line of it comes after all others that there may be.
    await ask({ method: 'POST', path: '/database/up' })
    const isDone = ({ msg }: { msg: string }) => msg === 'request completed'
    await example.logged(isDone, 5)

    const ok = { status: 200, body: '{"status":200,"title":"OK"}' }
    const away = { status: 503, body: JSON.stringify({ status: 503, title }) }
    const switched = (state: string) => ({ status: 200, body: `The database is ${state}\n` })
    t.strictSame(answers, [ok, ok, switched('down'), away, away, switched('up'), ok])

    const lines = example.log.slice(listening).filter(({ msg }) => !msg.startsWith('Server listening at'))
    const [failing, recovered] = lines.filter(({ msg }) => msg.startsWith('ready'))
    t.strictSame(messages(lines), [
      'incoming request', 'request completed', // down
      failing?.msg, 'request completed', 'request completed', // 503 twice
      'incoming request', 'request completed', // up
      recovered?.msg,
      'incoming request', 'request completed' // up once more
    ])
    t.match(failing, {
      level: 40, probe: 'ready', msg: "Can't connect", err: { type: 'HealthError', stack: 'connect ECONNREFUSED' }
    })
    t.match(recovered, { level: 30, probe: 'ready', msg: /recovered after \d/, lastedMs: Number })
    t.match(lines.filter(line => isDone(line) && line.probe), [{ res: { statusCode: 503 } }, { res: { statusCode: 503 } }])
  })
}
