import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { FakeEngine } from './fake-engine.ts'
import { chatText as chatTextWith, chunked as inOneChunk } from './framing-cases.ts'
import type { Gateway } from './harness.ts'
import { meantStatuses, mutations, throwAt } from './malformed.ts'
import { exchangeRaw, openRaw, type RawClient } from './raw-client.ts'
import { first, inParallel, seedOf, Tallies } from './seeded.ts'
import { finalAnswers } from './strict-http.ts'
import { chatPath, endPair, model, startPair } from './wire.ts'

/** What a request that is sent word by word came to. */
interface Answered {
  readonly status: number
  readonly code: string | undefined
  readonly text: string
}

describe('the front door', () => {
  let engine: FakeEngine
  let gateway: Gateway
  before(async () => {
    ;({ engine, gateway } = await startPair({
      sections: {
        models: [{ id: model, engine: 'gpu' }],
        timeouts: { bodyIdleMs: 1000 },
      },
    }))
  })
  after(async () => {
    await endPair({ engine, gateway })
  })

  const chatText = (change: Parameters<typeof chatTextWith>[1] = {}) => chatTextWith(gateway.key, change)
  const chunked = (trailer = '') => inOneChunk(undefined, trailer)
  const say = async (text: string): Promise<Answered> => {
    await using client = await openRaw(gateway.port)
    await client.write(text)
    return await readAnswer(client)
  }

  it('lets the same request pass when nothing is wrong with it', async () => {
    assert.equal((await say(chatText())).status, 200)
    const sent = await say(chatText({ framing: 'Transfer-Encoding: chunked\r\n', body: chunked() }))
    assert.equal(sent.status, 200)
    assert.equal((await say(chatText({ host: 'Host: [::1]:8080\r\n' }))).status, 200)
    assert.equal((await say('GET /health HTTP/1.0\r\n\r\n')).status, 200)
  })

  it('refuses 13 of 13 kinds of ambiguous requests, tells each why, and sends nothing of them home', async () => {
    const many = Array.from({ length: 101 }, (_, at) => `X-N-${at}: 1\r\n`).join('')
    const chunkedTe = 'Transfer-Encoding: chunked\r\n'
    const kinds: Readonly<Record<string, readonly [number, string, readonly string[]]>> = {
      'two hosts': [400, 'bad_header', [chatText({ host: 'Host: a\r\nHost: a\r\n' })]],
      'a bad host': [
        400,
        'bad_header',
        ['a/', 'a?', 'a#', 'u@a', 'a\\b', 'a/#', 'a:', 'a:0', 'a:65536', 'a:x', '', 'a b', '[::1']
          .map((host) => chatText({ host: `Host: ${host}\r\n` }))
          .concat(chatText({ host: '' })),
      ],
      'a target with an authority': [
        400,
        'bad_request_line',
        ['http://evil', 'http://a', 'https://a:1', 'a']
          .map((at) => chatText({ line: `POST ${at}${chatPath} HTTP/1.1` }))
          .slice(0, 3),
      ],
      'transfer-encoding on HTTP/1.0': [
        400,
        'bad_header',
        [chatText({ line: `POST ${chatPath} HTTP/1.0`, framing: chunkedTe, body: chunked() })],
      ],
      'another transfer-encoding': [
        400,
        'bad_header',
        ['gzip, chunked', 'Chunked', 'identity, chunked', '"chunked", chunked'].map((coding) =>
          chatText({ framing: `Transfer-Encoding: ${coding}\r\n`, body: chunked() }),
        ),
      ],
      'an odd expect': [
        417,
        'expectation_failed',
        ['y 100-continue', '200-ok', '100-continue, x', ''].map((expect) =>
          chatText({ extra: `Expect: ${expect}\r\n` }),
        ),
      ],
      connect: [
        400,
        'bad_request_line',
        ['a:443', chatPath].map((target) => chatText({ line: `CONNECT ${target} HTTP/1.1` })),
      ],
      'options *': [400, 'bad_request_line', [chatText({ line: 'OPTIONS * HTTP/1.1' })]],
      'a method that the table lacks': [
        405,
        'method_not_allowed',
        ['PUT', 'DELETE', 'TRACE', 'PROPFIND', 'GET'].map((method) =>
          chatText({ line: `${method} ${chatPath} HTTP/1.1` }),
        ),
      ],
      'an odd header name': [
        400,
        'bad_header',
        ['x_y', '__proto__', 'x.y', "x'y", 'x!y', '~'].map((name) => chatText({ extra: `${name}: 1\r\n` })),
      ],
      'more than 100 headers': [
        431,
        'too_many_headers',
        [
          chatText({ extra: many }),
          chatText({
            extra: many
              .repeat(12)
              .slice(0, 15_000)
              .replace(/\r\n[^\n]*$/, '\r\n'),
          }),
        ],
      ],
      'a header twice': [
        400,
        'bad_header',
        ['Authorization: Bearer x', 'Content-Type: text/plain', 'Content-Encoding: a\r\ncontent-encoding: b']
          .concat('Origin: a\r\nOrigin: b', 'Expect: 100-continue\r\nExpect: 100-continue')
          .map((extra) => chatText({ extra: `${extra}\r\n` })),
      ],
      trailers: [
        400,
        'bad_header',
        [
          chatText({ framing: `${chunkedTe}Trailer: x\r\n`, body: chunked() }),
          chatText({ framing: chunkedTe, body: chunked('x: y\r\n') }),
        ],
      ],
    }
    const before = engine.counts()
    for (const [kind, [status, code, texts]] of Object.entries(kinds))
      for (const text of texts) {
        const answered = await say(text)
        assert.deepEqual([answered.status, answered.code], [status, code], `${kind}: ${text}\n→ ${answered.text}`)
      }
    const { requests, malformed, socketsTotal } = engine.counts()
    assert.deepEqual([requests, malformed, socketsTotal], [before.requests, before.malformed, before.socketsTotal])
    assert.equal(Object.keys(kinds).length, 13)
  })

  it('gives bytes that are no HTTP the one error shape too', async () => {
    const cases: readonly (readonly [string, number, string])[] = [
      ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03', 400, 'malformed_request'],
      ['PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 400, 'malformed_request'],
      ['GET / HTTP/9.9\r\n\r\n', 400, 'malformed_request'],
      [`FLY ${chatPath} HTTP/1.1\r\n\r\n`, 400, 'malformed_request'],
      [chatText({ extra: 'a b: c\r\n' }), 400, 'malformed_request'],
      [chatText({ extra: ' folded: c\r\n' }), 400, 'malformed_request'],
      [chatText({ extra: 'Transfer-Encoding: chunked\r\n' }), 400, 'malformed_request'],
      [chatText({ framing: 'Content-Length: 5\r\nContent-Length: 6\r\n' }), 400, 'malformed_request'],
      [chatText({ framing: 'Transfer-Encoding: chunked, chunked\r\n', body: chunked() }), 400, 'malformed_request'],
      [chatText({ framing: 'Transfer-Encoding: chunked\r\n', body: 'zz\r\n' }), 400, 'malformed_request'],
      [chatText({ extra: `x: ${'y'.repeat(20_000)}\r\n` }), 431, 'too_many_headers'],
    ]
    const before = engine.counts().requests
    for (const [text, status, code] of cases) {
      const answered = await say(text)
      assert.deepEqual([answered.status, answered.code], [status, code], `${text.slice(0, 300)}\n→ ${answered.text}`)
    }
    assert.equal(engine.counts().requests, before)
  })

  it('answers the requests of one connection in their order, and only cuts what comes after them', async () => {
    await using client = await openRaw(gateway.port)
    await client.write(chatText() + chatText({ extra: 'x_y: 1\r\n' }))
    const first = await client.readHead()
    assert.equal(first.status, 200)
    await client.readBody(first)
    assert.equal((await client.readHead()).status, 400)
    assert.notEqual(await client.closed(), 'open')
    await using other = await openRaw(gateway.port)
    await other.write(`${chatText()}\x00\x01\r\n\r\n`)
    await other.closed()
    const text = other.peek().toString()
    assert.equal((text.match(/HTTP\/1\.1 /g) ?? []).length, 1, text)
    assert.doesNotMatch(text, /malformed_request/)
  })

  it('answers a request though what follows it is no HTTP, and closes then', async () => {
    for (const text of [chatText({ framing: '' }), `${chatText()}\x16\x03\x01${'\0'.repeat(100_000)}`]) {
      const [first, ...others] = finalAnswers(await throwAt(gateway.port, text, 3_000))
      assert.deepEqual([first?.status, others.length], [text.includes('\0') ? 200 : 400, 0], text.slice(0, 400))
      assert.equal(first?.headers.get('connection'), 'close')
    }
  })

  it('survives thousands of mutated requests: no exit, no 500, only statuses that are meant', async (t) => {
    const seed = seedOf(process.env)
    t.diagnostic(`seed ${seed}`)
    const seen = new Tallies<number>()
    const startedMs = performance.now()
    await inParallel(first(mutations(seed, gateway.key), 2_500), 32, async (text) => {
      for (const { status } of finalAnswers(await throwAt(gateway.port, text))) {
        seen.add(status)
        assert.ok(meantStatuses.has(status), `${status} (seed ${seed}) to ${JSON.stringify(text)}`)
      }
    })
    t.diagnostic(`2500 requests in ${Math.round(performance.now() - startedMs)} ms: ${seen}`)
    assert.equal(gateway.child.exitCode, null)
    assert.deepEqual([...new Set(engine.requests.map(({ method, path }) => `${method} ${path}`))], [`POST ${chatPath}`])
    assert.deepEqual(
      gateway.logs().filter(({ outcome }) => outcome === 'internal_error'),
      [],
    )
    assert.equal((await exchangeRaw(gateway.port, { path: '/health' })).head.status, 200)
  })
})

async function readAnswer(client: RawClient): Promise<Answered> {
  const head = await client.readHead()
  const { bytes } = await client.readBody(head)
  const text = bytes.toString()
  if (head.status < 400) return { status: head.status, code: undefined, text }
  const { error } = JSON.parse(text)
  assert.deepEqual(Object.keys(error), ['message', 'type', 'param', 'code'])
  assert.match(head.header('x-request-id') ?? '', /^[0-9a-f-]{36}$/)
  assert.equal(head.header('x-hearth-error-source'), 'gateway')
  if (error.code !== 'method_not_allowed') assert.equal(head.header('connection'), 'close')
  return { status: head.status, code: error.code, text }
}
