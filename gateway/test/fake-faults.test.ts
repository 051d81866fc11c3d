import { deepStrictEqual, match, ok, strictEqual } from 'node:assert/strict'
import { afterEach, beforeEach, test } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { nowMs } from './deadline.ts'
import { captureOf, loadCaptures } from './fake-captures.ts'
import { spawnEngine } from './fake-control.ts'
import { type BadSse, type FakeEngine, startEngine } from './fake-engine.ts'
import { exchangeRaw, openRaw, type RawRequest, type SseEvent } from './raw-client.ts'

const CHAT = '/v1/chat/completions'
const DONE = 'data: [DONE]\n\n'

let engine: FakeEngine

beforeEach(async () => {
  engine = await startEngine()
})

afterEach(async () => {
  await engine.close()
  deepStrictEqual([engine.counts().socketsOpen, engine.counts().running], [0, 0])
})

function chat(body: object = {}): RawRequest {
  return { path: CHAT, body: { messages: [{ role: 'user', content: 'Hello' }], ...body } }
}

const STREAM = chat({ stream: true })

async function readAll(events: AsyncGenerator<SseEvent, string>): Promise<{ events: SseEvent[]; ended: string }> {
  const read: SseEvent[] = []
  for (;;) {
    const next = await events.next()
    if (next.done) return { events: read, ended: next.value }
    read.push(next.value)
  }
}

for (const how of ['rst', 'fin'] as const) {
  for (const at of [0, 1, 700]) {
    test(`cut ${how} at byte ${at} of a stream gives the client exactly so many bytes, then ${how}`, async () => {
      engine.script({ cut: { how, at } })
      const answer = await exchangeRaw(engine.port, STREAM)
      deepStrictEqual([answer.head.status, answer.bytes.length, answer.ended], [200, at, how])
      deepStrictEqual([engine.counts().faults, engine.counts().aborts], [1, 0])
    })
  }

  test(`cut ${how} in a plain answer leaves it shorter than its length`, async () => {
    engine.script({ cut: { how, at: 100 } })
    const answer = await exchangeRaw(engine.port, chat())
    deepStrictEqual([answer.bytes.length, answer.ended], [100, how])
    ok(Number(answer.head.header('content-length')) > 100)
  })

  test(`cut ${how} before the head sends no byte`, async () => {
    engine.script({ cut: { how, at: 'head' } })
    await using client = await openRaw(engine.port)
    await client.send(STREAM)
    strictEqual(await client.closed(), how)
    strictEqual(client.peek().length, 0)
  })

  test(`upload then ${how} breaks the connection while the body comes in`, async () => {
    engine.script({ upload: { atByte: 10, how } })
    await using client = await openRaw(engine.port)
    await client.write(`POST ${CHAT} HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n${'x'.repeat(20)}`)
    strictEqual(await client.closed(), how)
    strictEqual(engine.requests[0]?.phase, 'upload')
  })
}

test('an upload can be answered before it is complete', async () => {
  engine.script({ upload: { atByte: 10, how: 'answer' }, error: { status: 413, body: 'object' } })
  await using client = await openRaw(engine.port)
  await client.write(`POST ${CHAT} HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n${'x'.repeat(20)}`)
  strictEqual((await client.readHead()).status, 413)
})

test('a stalled upload is taken up again by release()', async () => {
  engine.script({ upload: { atByte: 1, how: 'stall' } })
  await using client = await openRaw(engine.port)
  await client.send(chat())
  await engine.waitFor(({ running }) => running === 1, 'the upload stalls')
  strictEqual(engine.requests[0]?.body, undefined)
  engine.release()
  strictEqual((await client.readHead()).status, 200)
})

test('a stall before the head sends nothing until release()', async () => {
  engine.script({ stall: 'head' })
  await using client = await openRaw(engine.port)
  await client.send(STREAM)
  await engine.waitFor(() => engine.requests[0]?.phase === 'head', 'the request is in')
  strictEqual(client.peek().length, 0)
  engine.release()
  strictEqual((await client.readBody(await client.readHead())).ended, 'complete')
})

test('stalls after k events, at byte k and before the end come where they say', async () => {
  engine.script({ stall: { afterEvents: 3 } }, { stall: { atByte: 50 } }, { stall: 'end' })
  for (const held of [{ events: 3 }, { bytes: 50 }, { done: true }]) {
    await using client = await openRaw(engine.port)
    await client.send(STREAM)
    const head = await client.readHead()
    if (held.bytes !== undefined) strictEqual((await client.readUntil('\r\n')).bytes.toString(), '32\r\n')
    else if (held.done) await client.readUntil(DONE)
    for (let event = 0; event < (held.events ?? 0); event += 1) await client.readUntil('}\n\n\r\n')
    await engine.waitFor(({ running }) => running === 1, 'it still runs')
    ok(!client.peek().includes('\n\n'), 'no further event has come')
    engine.release()
    if (held.events !== undefined) strictEqual((await client.readBody(head)).ended, 'complete')
    else await client.readUntil('\r\n0\r\n\r\n')
  }
})

test('slices of one byte split characters and events, and join to the same answer', async () => {
  engine.script({ sliceBytes: 1, tokens: ['你好', '🦊'] })
  const answer = await exchangeRaw(engine.port, STREAM)
  ok(answer.chunks.every(({ bytes }) => bytes.length === 1))
  match(answer.bytes.toString(), /"content":"你好".*\n\n.*"content":"🦊"/)
})

test('slow tokens come with at least the interval between them', async () => {
  engine.script({ tokens: 4, intervalMs: 30 })
  await using client = await openRaw(engine.port)
  await client.send(STREAM)
  const { events } = await readAll(client.readEvents(await client.readHead()))
  const gaps = events.slice(1).map((event, index) => event.atMs - (events[index]?.atMs ?? 0))
  strictEqual(gaps.length, 5)
  ok(
    gaps.every((gap) => gap > 20),
    `gaps in ms: ${gaps}`,
  )
})

test('a head delay holds the head back so long', async () => {
  engine.script({ headDelayMs: 50 })
  const startMs = nowMs()
  const { head } = await exchangeRaw(engine.port, chat())
  ok(head.atMs - startMs > 45)
})

test('a stream without end goes on until the client leaves', async () => {
  engine.script({ forever: true, intervalMs: 1 })
  await using client = await openRaw(engine.port)
  await client.send(chat({ stream: true, max_tokens: 5 }))
  const events = client.readEvents(await client.readHead())
  for (let count = 0; count < 50; count += 1) ok(!(await events.next()).done)
  client.destroy()
  await engine.waitFor(({ aborts, running }) => aborts === 1 && running === 0, 'the abort is seen', 1000)
})

test('an engine that dies mid-stream ends as captured: the error event, [DONE], a clean end', async () => {
  engine.script({ dies: { afterEvents: 4 } }, { dies: { afterEvents: 0 } })
  const answer = await exchangeRaw(engine.port, STREAM)
  const captured = captureOf(await loadCaptures(), 'engine-dies-midstream').body
  const events = answer.text.split('\n\n')
  strictEqual(events.length, 4 + 2 + 1)
  strictEqual(
    events.slice(4).join('\n\n'),
    captured.slice(captured.indexOf('data: {"error"'), captured.indexOf(DONE)) + DONE,
  )
  strictEqual(answer.ended, 'complete')
  const plain = await exchangeRaw(engine.port, chat())
  strictEqual(plain.head.status, 500)
  strictEqual(plain.text, captureOf(await loadCaptures(), 'engine-dies-nonstream').body)
})

test('an engine process that dies exits after its [DONE]', async () => {
  await using child = await spawnEngine()
  await child.script({ dies: { afterEvents: 2, exit: true } })
  const answer = await exchangeRaw(child.port, STREAM)
  ok(answer.text.endsWith(DONE))
  await using after = await openRaw(child.port).catch(() => undefined)
  if (after !== undefined) ok(['fin', 'rst'].includes(await after.closed()))
})

test('a clean end without [DONE] is complete as HTTP', async () => {
  engine.script({ noDone: true })
  const answer = await exchangeRaw(engine.port, STREAM)
  strictEqual(answer.ended, 'complete')
  ok(!answer.text.includes('[DONE]') && answer.text.includes('"finish_reason":"stop"'))
})

const ODD: Record<BadSse, RegExp> = {
  crlf: /^data: \{.*\}\r\n\r\ndata: /,
  comments: /^: ping 0\n\n:\ndata: \{/,
  fields: /^id: 0\nevent: message\nretry: 3000\ndata:\{/,
  'multi-line-data': /^data: \{\ndata: "id"/,
  'not-json': /\n\ndata: \{"id":"chatcmpl-broken","choices":\[\{"ind\n\n/,
  'no-blank-line': /^data: \{.*\}\ndata: \{.*\}\ndata: /,
  'no-colon': /\n\ndata \{/,
  'bad-utf8': /"content":"\xff\xc3\(/,
  'two-dones': /data: \[DONE\]\n\ndata: \[DONE\]\n\n$/,
  'after-done': /data: \[DONE\]\n\ndata: \{"late":true\}\n\n$/,
}

for (const [kind, shape] of Object.entries(ODD)) {
  test(`the odd stream "${kind}" has its oddness on the wire`, async () => {
    engine.script({ badSse: kind as BadSse })
    const answer = await exchangeRaw(engine.port, STREAM)
    match(answer.bytes.toString('latin1'), shape)
    strictEqual(answer.ended, 'complete')
  })
}

test('errors come with any status in every body shape', async () => {
  const message = 'no luck'
  const wanted = {
    object: [
      'application/json',
      '{"error":{"message":"no luck","type":"InternalServerError","param":null,"code":503}}',
    ],
    string: ['application/json', '{"error":"no luck"}'],
    detail: ['application/json', '{"detail":"no luck"}'],
    text: ['text/plain; charset=utf-8', 'no luck'],
    empty: [undefined, ''],
  } as const
  for (const [body, expected] of Object.entries(wanted)) {
    engine.script({
      error: { status: 503, body: body as keyof typeof wanted, message, headers: [['retry-after', '7']] },
    })
    const { head, text } = await exchangeRaw(engine.port, chat())
    deepStrictEqual([head.status, head.header('retry-after')], [503, '7'])
    deepStrictEqual([head.header('content-type'), text], expected)
  }
  engine.script({ error: { status: 429, body: 'html' } })
  const { head, text } = await exchangeRaw(engine.port, chat())
  strictEqual(`${head.status} ${head.reason} ${head.header('content-type')}`, '429 Too Many Requests text/html')
  match(text, /^<html>/)
})

for (const version of ['1.0', '1.1'] as const) {
  test(`a close-delimited HTTP/${version} answer has no framing, so that a cut looks like its end`, async () => {
    engine.script({ closeDelimited: version }, { closeDelimited: version, cut: { how: 'fin', at: 300 } })
    const whole = await exchangeRaw(engine.port, STREAM)
    deepStrictEqual([whole.head.version, whole.ended], [version, 'fin'])
    deepStrictEqual(
      [whole.head.header('transfer-encoding'), whole.head.header('content-length')],
      [undefined, undefined],
    )
    ok(whole.text.endsWith(DONE))
    const cut = await exchangeRaw(engine.port, STREAM)
    deepStrictEqual([cut.bytes.length, cut.ended], [300, 'fin'])
  })
}

test('a content-length can promise more than comes, or less', async () => {
  engine.script({ lengthOff: 10 }, { lengthOff: -10 })
  const short = await exchangeRaw(engine.port, chat())
  deepStrictEqual([short.ended, Number(short.head.header('content-length')) - short.bytes.length], ['fin', 10])
  await using client = await openRaw(engine.port)
  await client.send(chat())
  const head = await client.readHead()
  await client.closed()
  strictEqual(client.peek().length - Number(head.header('content-length')), 10)
})

test('redirects, gzip, huge and extra headers come as told', async () => {
  engine.script(
    { redirect: { status: 307, location: 'http://127.0.0.1:1/x' } },
    { gzip: true },
    { gzip: true },
    { hugeHeaderBytes: 100_000, headers: [['set-cookie', 'a=b']] },
  )
  const moved = await exchangeRaw(engine.port, chat())
  deepStrictEqual([moved.head.status, moved.head.header('location')], [307, 'http://127.0.0.1:1/x'])
  for (const request of [chat(), STREAM]) {
    const packed = await exchangeRaw(engine.port, request)
    strictEqual(packed.head.header('content-encoding'), 'gzip')
    match(gunzipSync(packed.bytes).toString(), /"id":"chatcmpl-/)
  }
  const huge = await exchangeRaw(engine.port, chat())
  deepStrictEqual([huge.head.header('x-huge')?.length, huge.head.header('set-cookie')], [100_000, 'a=b'])
})

test('raw bytes and stored captures go out as they are', async () => {
  const raw = 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n\xff!'
  engine.script({ raw }, { capture: 'engine-dies-midstream' })
  await using client = await openRaw(engine.port)
  await client.send(chat())
  strictEqual(await client.closed(), 'fin')
  strictEqual(client.peek().toString('latin1'), raw)
  const stored = await exchangeRaw(engine.port, STREAM)
  strictEqual(stored.text, captureOf(await loadCaptures(), 'engine-dies-midstream').body.replace(/curl rc=0\s*$/, ''))
})
