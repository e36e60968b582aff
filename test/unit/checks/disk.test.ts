import { mkdtempSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import t from 'tap'
import { diskFree } from '../../../lib/checks/index.js'
import { readyWith } from '../../helpers/ready.js'

const dir = mkdtempSync(join(tmpdir(), 'healthz-'))
t.teardown(() => rmSync(dir, { recursive: true }))

t.test('an invalid path or limit is an error', async t => {
  for (const path of ['', 5, null, undefined]) {
    t.throws(() => diskFree({ path, min: 0.1 } as any), { message: /^Expected `diskFree\(\)\.path` to be a path, got / })
  }
  for (const min of [0, 1, 10, '1 GB', undefined]) {
    t.throws(() => diskFree({ path: dir, min } as any), { message: /^Expected `diskFree\(\)\.min` to be a fraction between 0 and 1, or / })
  }
})

t.test('the space that is free for unprivileged processes is compared, in bytes or as a fraction', async t => {
  const { bavail, bsize, blocks } = statfsSync(dir)
  const fraction = bavail / blocks
  const { app } = await readyWith(t, {
    enough: diskFree({ path: dir, min: 2 ** 20 }),
    share: diskFree({ path: dir, min: fraction * 0.9 }),
    more: diskFree({ path: dir, min: bavail * bsize + 2 ** 30 }),
    moreShare: diskFree({ path: dir, min: Math.min(fraction * 1.1, fraction + (1 - fraction) * 0.9) })
  })
  const { checks } = await app.healthz.run('ready')
  const title = /^(\d+) MiB of disk free, at least (\d+) required$/
  const data = { free: Number, total: blocks * bsize }
  t.match(checks, {
    enough: { status: 'pass', data },
    share: { status: 'pass', data },
    more: { status: 'fail', title, data },
    moreShare: { status: 'fail', title }
  })
  for (const name of ['more', 'moreShare']) {
    const [, free, required] = title.exec(checks[name]!.title!)!
    t.ok(Number(free) < Number(required))
    t.equal(Math.floor(checks[name]!.data!.free as number / 2 ** 20), Number(free))
  }
})

t.test('the title for a missing path does not contain the path', async t => {
  const path = join(dir, 'secret')
  writeFileSync(path, '')
  const { app, lines } = await readyWith(t, {
    file: diskFree({ path, min: 2 ** 20 }),
    away: diskFree({ path: join(dir, 'away'), min: 2 ** 20 }),
    below: diskFree({ path: join(path, 'below'), min: 2 ** 20 })
  })
  const { title } = await app.healthz.run('ready')
  t.equal(title, 'away: path not found; below: path not found')
  const causeOf = (name: string) => { const { err } = lines.find(({ check }) => check === name)!; return err.code ?? err.message }
  t.match([causeOf('away'), causeOf('below')], [/ENOENT/, /ENOTDIR/], 'the log has the cause')
})
