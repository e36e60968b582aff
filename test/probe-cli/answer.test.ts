import t from 'tap'
import { readAnswer } from '../../lib/probe-cli/answer.js'

const read = (text: string, ended = false) => readAnswer(Buffer.from(text, 'latin1'), ended)
const plain = (status: number, statusText: string, body: string) => ({ status, statusText, location: undefined, body })

/** Answers that are complete with their last byte. */
const complete: Record<string, { sent: string, answer: object }> = {
  'with a length': { sent: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok', answer: plain(200, '200 OK', 'ok') },
  'with a length of 0': { sent: 'HTTP/1.0 503 Not now\r\ncontent-length:0\r\n\r\n', answer: plain(503, '503 Not now', '') },
  'without a reason': { sent: 'HTTP/1.1 404\r\nContent-Length: 0\r\n\r\n', answer: plain(404, '404', '') },
  'with an empty reason': { sent: 'HTTP/1.1 404 \r\nContent-Length: 0\r\n\r\n', answer: plain(404, '404', '') },
  'without a body': { sent: 'HTTP/1.1 204 No Content\r\n\r\n', answer: plain(204, '204 No Content', '') },
  'that isn\'t modified': { sent: 'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n', answer: plain(304, '304 Not Modified', '') },
  'that switches protocols': { sent: 'HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n', answer: plain(101, '101 Switching', '') },
  'after others on the way': {
    sent: 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
    answer: plain(200, '200 OK', 'ok')
  },
  'with a location': {
    sent: 'HTTP/1.1 302 Found\r\nlocation:  /gr\xc3\xbcn \r\nLocation: /second\r\nContent-Length: 0\r\n\r\n',
    answer: { ...plain(302, '302 Found', ''), location: '/grün' }
  },
  'in UTF-8': { sent: 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n\xc3\xbc', answer: plain(200, '200 OK', 'ü') }
}

/** Chunked ones are complete with the empty line after the last chunk. */
const chunked: Record<string, { sent: string, answer: object }> = {
  'in chunks': {
    sent: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n2\r\nab\r\nA;ext="\xe9"\r\n0123456789\r\n00\r\nA: trailer\r\n\r\n',
    answer: plain(200, '200 OK', 'ab0123456789')
  },
  'in chunks with a capital, and none of them': {
    sent: 'HTTP/1.1 503 X\r\ntransfer-encoding: Chunked\r\n\r\n0 \r\n\r\n', answer: plain(503, '503 X', '')
  }
}

for (const [name, { sent, answer }] of Object.entries({ ...complete, ...chunked })) {
  t.test(`an answer ${name} is there with its last byte, and broken off before that`, async t => {
    for (let length = 0; length < sent.length; length++) {
      if (read(sent.slice(0, length)) !== undefined) t.fail(`there after ${length} bytes of ${sent.length}`)
      const message = length === 0 ? 'the connection was closed without an answer' : 'the answer broke off'
      t.throws(() => read(sent.slice(0, length), true), { message })
    }
    for (const more of ['', 'more', '\r\n\r\n']) t.strictSame(read(sent + more), answer)
    t.strictSame(read(sent, true), answer)
  })
}

t.test('without a length, an answer is there when the connection is closed', async t => {
  const sent = 'HTTP/1.1 200 OK\r\nA: b\r\n\r\nuntil the end'
  t.equal(read(sent), undefined)
  t.strictSame(read(sent, true), plain(200, '200 OK', 'until the end'))
})

t.test('a body is read as far as 10 KiB, however it is sent', async t => {
  const x = 'x'.repeat(10240)
  const full = plain(200, '200 OK', x)
  t.strictSame(read(`HTTP/1.1 200 OK\r\n\r\n${x}`), full)
  t.strictSame(read(`HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n${x}yz`), full)
  t.strictSame(read(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFFFF\r\n${x}`), full)
  t.strictSame(read(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${'1\r\nx\r\n'.repeat(10240)}`), full)
  t.equal(read(`HTTP/1.1 200 OK\r\n\r\n${x.slice(1)}`), undefined)
})

t.test('what is no answer is refused, as soon as that can be seen', async t => {
  const refused = (sent: string, message: string) => t.throws(() => read(sent), { message }, sent.slice(0, 40))
  refused('-ERR unknown command\r\n', 'the answer is not HTTP/1.1')
  refused('\x15\x03\x01', 'the answer is not HTTP/1.1')
  refused('HTTP/2', 'the answer is not HTTP/1.1')
  refused('HTTP/1.1 ok\r\n\r\n', 'the answer has no status')
  refused('HTTP/1.1 099 X\r\n\r\n', 'the answer has no status')
  refused('HTTP/1.1 2000 OK\r\n\r\n', 'the answer has no status')
  refused('HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n', 'the answer has a Content-Length that is no number')
  refused('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nmany\r\n', 'the answer has a chunk without a size')
  refused('HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n', 'the answer has a chunk without a size')
  refused(`HTTP/1.1 200 OK\r\nA: ${'b'.repeat(128 * 1024)}`, 'the answer has no end within 128 KiB')
  refused('HTTP/1.1 100 Continue\r\n\r\n'.repeat(6000), 'the answer has no end within 128 KiB')
})
