import { deepStrictEqual, match, ok, rejects, strictEqual } from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { afterEach, beforeEach, test } from 'node:test'
import { type Capture, type Captures, captureOf, eventsOf, loadCaptures } from './fake-captures.ts'
import { spawnEngine } from './fake-control.ts'
import { type FakeEngine, fillerText, startEngine } from './fake-engine.ts'
import { exchangeRaw, openRaw, type RawRequest } from './raw-client.ts'

const CHAT = '/v1/chat/completions'
const HELLO = [{ role: 'user', content: 'Hello' }]

let engine: FakeEngine
let captures: Captures

beforeEach(async () => {
  captures = await loadCaptures()
  engine = await startEngine()
})

afterEach(async () => {
  await engine.close()
  strictEqual(engine.counts().socketsOpen, 0)
  strictEqual(engine.counts().running, 0)
})

function chat(body: object = {}): RawRequest {
  return { path: CHAT, body: { model: 'qwen2.5-vl-tiny', messages: HELLO, max_tokens: 8, temperature: 0, ...body } }
}

function replay(capture: Capture): RawRequest {
  const [method = '', path = ''] = capture.requestLine.split(' ')
  const headers = { 'content-type': 'application/json' }
  return method === 'GET' ? { method, path } : { method, path, headers, body: capture.requestBody }
}

/** Names in order, and the values that do not change with time and length. */
function headOf(headers: readonly (readonly [string, string])[]): string[] {
  return headers.map(([name, value]) => (/^(date|content-length)$/.test(name) ? name : `${name}: ${value}`))
}

/** Keys in their order at every depth, and the type of each leaf. */
function shapeOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shapeOf)
  if (typeof value !== 'object' || value === null) return value === null ? 'null' : typeof value
  return Object.entries(value).map(([key, inner]) => [key, shapeOf(inner)])
}

function shapeOfEvent(event: string): unknown {
  const data = event.replace(/^data: /, '')
  return data === '[DONE]' ? data : shapeOf(JSON.parse(data))
}

const SAME_BYTES = [
  ...['err-no-body', 'err-bad-json', 'err-missing-messages', 'err-messages-type', 'err-empty-messages'],
  ...['err-unknown-model', 'err-max-tokens-0', 'err-max-tokens-too-big', 'err-n-0', 'err-n-20000', 'err-top-p'],
  ...['err-temperature', 'err-temperature-neg', 'err-stop-5', 'err-stream-options-without-stream'],
  ...['err-unknown-route', 'err-method', 'health', 'ping', 'version', 'load', 'metrics'],
]

for (const name of SAME_BYTES) {
  test(`the engine answers the captured request ${name} with the captured head and bytes`, async () => {
    const capture = captureOf(captures, name)
    const answer = await exchangeRaw(engine.port, replay(capture))
    strictEqual(`${answer.head.status} ${answer.head.reason}`, `${capture.status} ${capture.reason}`)
    deepStrictEqual(headOf(answer.head.headers), headOf(capture.headers))
    strictEqual(answer.text, capture.body)
    strictEqual(answer.ended, 'complete')
  })
}

test('a wrong content type and a prompt that is too long are refused in the captured words', async () => {
  const wrong = await exchangeRaw(engine.port, { ...chat(), headers: { 'content-type': 'text/plain' } })
  strictEqual(wrong.text, captureOf(captures, 'err-wrong-content-type').body)
  const long = await exchangeRaw(engine.port, chat({ messages: [{ role: 'user', content: 'hello '.repeat(5000) }] }))
  strictEqual(long.text, captureOf(captures, 'err-too-long').body)
})

for (const name of ['chat', 'chat-n-3', 'models']) {
  test(`the plain answer ${name} has the captured head, and the captured keys in the captured order`, async () => {
    const capture = captureOf(captures, name)
    const answer = await exchangeRaw(engine.port, replay(capture))
    deepStrictEqual(headOf(answer.head.headers), headOf(capture.headers))
    strictEqual(answer.head.header('content-length'), String(answer.bytes.length))
    deepStrictEqual(shapeOf(answer.json()), shapeOf(JSON.parse(capture.body)))
    match(answer.text, /^\{"(id|object)":"(chatcmpl-[0-9a-f]{16}|list)"/)
  })
}

for (const name of ['chat-stream', 'chat-stream-nousage']) {
  test(`the stream ${name} has the captured events in shape and number, each a chunk of its own`, async () => {
    const capture = captureOf(captures, name)
    const answer = await exchangeRaw(engine.port, replay(capture))
    deepStrictEqual(headOf(answer.head.headers), headOf(capture.headers))
    const events = answer.chunks.map(({ bytes }) => bytes.toString())
    ok(events.every((event) => event.startsWith('data: ') && event.endsWith('\n\n')))
    deepStrictEqual(
      events.map((event) => shapeOfEvent(event.trimEnd())),
      eventsOf(capture).map((event) => shapeOfEvent(event.trimEnd())),
    )
    strictEqual(answer.ended, 'complete')
  })
}

test('usage counts what was asked and sent, in a plain answer and in a stream', async () => {
  const expected = { prompt_tokens: 20, total_tokens: 25, completion_tokens: 5 }
  const plain = (await exchangeRaw(engine.port, chat({ max_tokens: 5 }))).json() as { usage: object }
  deepStrictEqual({ ...plain.usage, ...expected }, plain.usage)
  const stream = chat({ max_tokens: 5, stream: true, stream_options: { include_usage: true } })
  const last = (await exchangeRaw(engine.port, stream)).text.split('\n\n').at(-3) ?? ''
  const { usage } = JSON.parse(last.slice('data: '.length)) as { usage: object }
  deepStrictEqual({ ...usage, ...expected }, usage)
})

test('each dialect has the keys of its own chunks in their own order, as captured or as their sources write them', async () => {
  const shapes = {
    vllm: [
      ['id', 'object', 'created', 'model', 'choices'],
      ['index', 'delta', 'logprobs', 'finish_reason', 'token_ids'],
    ],
    llamacpp: [
      ['choices', 'created', 'id', 'model', 'system_fingerprint', 'object'],
      ['finish_reason', 'index', 'delta'],
    ],
    sglang: [
      ['id', 'object', 'created', 'model', 'choices', 'usage'],
      ['index', 'delta', 'logprobs', 'finish_reason', 'matched_stop'],
    ],
    openai: [
      ['id', 'object', 'created', 'model', 'service_tier', 'system_fingerprint', 'choices'],
      ['index', 'delta', 'logprobs', 'finish_reason'],
    ],
  } as const
  for (const [dialect, [chunkKeys, choiceKeys]] of Object.entries(shapes)) {
    await using own = await spawnEngine({ dialect: dialect as keyof typeof shapes })
    const { text } = await exchangeRaw(own.port, chat({ stream: true }))
    const events = text.split('\n\n')
    const chunk = JSON.parse(events[1]?.slice('data: '.length) ?? '') as { choices: object[] }
    deepStrictEqual([Object.keys(chunk), Object.keys(chunk.choices[0] ?? {})], [chunkKeys, choiceKeys], dialect)
    strictEqual(events.at(-2), 'data: [DONE]')
  }
})

test('with an API key a request without it gets the captured 401 whose error is a string', async () => {
  await using guarded = await startEngine({ apiKey: 'secret' })
  const refused = await exchangeRaw(guarded.port, chat())
  strictEqual(`${refused.head.status} ${refused.text}`, '401 {"error":"Unauthorized"}')
  const served = await exchangeRaw(guarded.port, { ...chat(), headers: { authorization: 'Bearer secret' } })
  strictEqual(served.head.status, 200)
})

test('models and context of the options stand in the list, in the refusals and in the answers', async () => {
  await using own = await startEngine({ models: ['a', 'b'], contextTokens: 100 })
  const list = (await exchangeRaw(own.port, { path: '/v1/models' })).json() as { data: { id: string }[] }
  deepStrictEqual(
    list.data.map(({ id }) => id),
    ['a', 'b'],
  )
  const unknown = await exchangeRaw(own.port, chat({ model: 'c' }))
  match(unknown.text, /The model `c` does not exist\. Valid aliases: a, b\./)
  match((await exchangeRaw(own.port, chat({ model: 'b' }))).text, /"model":"b"/)
  match(
    (await exchangeRaw(own.port, chat({ model: 'b', max_tokens: 101 }))).text,
    /max_tokens=101 .*max_model_len=100\./,
  )
})

test('echo names size and hash of a 25 MB body and of the picture in it, without keeping it', async () => {
  const picture = Buffer.alloc(25_000_000, 'QUJD').toString()
  const body = Buffer.from(JSON.stringify({ messages: [{ content: [{ url: `data:image/png;base64,${picture}` }] }] }))
  engine.script({ echo: {} })
  const answer = await exchangeRaw(engine.port, { path: CHAT, body }, 20_000)
  const { choices } = answer.json() as { choices: { message: { content: string } }[] }
  const sha256 = (bytes: Buffer | string) => createHash('sha256').update(bytes).digest('hex')
  const echoed = {
    bytes: body.length,
    sha256: sha256(body),
    dataUris: [{ bytes: 25_000_000, sha256: sha256(picture) }],
  }
  deepStrictEqual(JSON.parse(choices[0]?.message.content ?? ''), echoed)
  deepStrictEqual(engine.requests[0]?.body, echoed)
  strictEqual(engine.requests[0]?.json, undefined)
})

test('echo answers with so many bytes of a known text, plain and streamed', async () => {
  engine.script({ echo: { answerBytes: 1_000_000 }, times: 2 })
  const plain = (await exchangeRaw(engine.port, chat())).json() as { choices: { message: { content: string } }[] }
  ok(plain.choices[0]?.message.content === fillerText(1_000_000), 'the content is the filler')
  const streamed = await exchangeRaw(engine.port, chat({ stream: true }))
  const sent = engine.requests[1]?.sent
  strictEqual(sent?.bytes, streamed.bytes.length)
  strictEqual(sent?.sha256, createHash('sha256').update(streamed.bytes).digest('hex'))
})

test('a request is recorded with its head, body hash, JSON, socket and end', async () => {
  await using client = await openRaw(engine.port)
  for (const seed of [1, 2]) {
    await client.send({ ...chat({ seed }), path: `${CHAT}?a=1`, headers: { 'X-Odd': 'Yes' } })
    await client.readBody(await client.readHead())
  }
  await exchangeRaw(engine.port, chat())
  const [first, second, third] = engine.requests
  strictEqual(`${first?.method} ${first?.path} ${first?.phase} ${first?.outcome}`, `POST ${CHAT}?a=1 body done`)
  ok(first?.rawHeaders.includes('X-Odd'))
  deepStrictEqual(first?.json, { ...(chat({ seed: 1 }).body as object) })
  strictEqual(second?.body?.bytes, Number(second?.headers['content-length']))
  deepStrictEqual([first?.socket, second?.socket, third?.socket], [1, 1, 2])
  deepStrictEqual(engine.counts(), { ...engine.counts(), requests: 3, done: 3, socketsTotal: 2, peakRunning: 1 })
})

test('running and peak count the POSTs in flight, and metrics tell the same', async () => {
  engine.setDefault({ stall: 'head' })
  await using one = await openRaw(engine.port)
  await using two = await openRaw(engine.port)
  await one.send(chat())
  await two.send(chat())
  await engine.waitFor(({ running }) => running === 2, 'two are running')
  match((await exchangeRaw(engine.port, { path: '/metrics' })).text, /^vllm:num_requests_running\{.*\} 2\.0$/m)
  engine.release()
  strictEqual((await one.readHead()).status, 200)
  await engine.waitFor(({ done, running }) => done === 3 && running === 0, 'both are done')
  strictEqual(engine.counts().peakRunning, 2)
})

for (const [how, leave] of [
  ['FIN', 'destroy'],
  ['RST', 'reset'],
  ['a half-close', 'finish'],
] as const) {
  test(`a client that leaves by ${how} mid-stream is counted as an abort at once, with its time`, async () => {
    engine.script({ stall: { afterEvents: 3 } })
    await using client = await openRaw(engine.port)
    await client.send(chat({ stream: true }))
    await client.readHead()
    const leftMs = performance.timeOrigin + performance.now()
    client[leave]()
    await engine.waitFor(({ aborts }) => aborts === 1, 'the abort is seen', 1000)
    const [abort] = engine.aborts()
    strictEqual(abort?.phase, 'body')
    ok((abort?.endedAtMs ?? 0) >= leftMs)
    strictEqual(engine.counts().running, 0)
  })
}

test('a client that leaves before the head, or in its upload, is an abort in that phase', async () => {
  engine.script({ stall: 'head' })
  await using waiting = await openRaw(engine.port)
  await waiting.send(chat())
  await engine.waitFor(() => engine.requests[0]?.phase === 'head', 'the body is in')
  waiting.destroy()
  await using uploading = await openRaw(engine.port)
  await uploading.write(`POST ${CHAT} HTTP/1.1\r\nhost: a\r\ncontent-length: 1000\r\n\r\n{"model"`)
  await engine.waitFor(({ requests }) => requests === 2, 'the upload has begun')
  uploading.reset()
  await engine.waitFor(({ aborts }) => aborts === 2, 'both aborts are seen')
  deepStrictEqual(
    engine.aborts().map(({ phase }) => phase),
    ['head', 'upload'],
  )
})

test('waitFor() names what it waited for, and the counts, when its time is over', async () => {
  await rejects(
    engine.waitFor(({ aborts }) => aborts === 1, 'an abort', 20),
    /not within 20 ms: an abort; .*"aborts":0/,
  )
})

test('bytes that are no HTTP are counted and answered as uvicorn does', async () => {
  await using client = await openRaw(engine.port)
  await client.write('NONSENSE\r\n\r\n')
  strictEqual((await client.readHead()).status, 400)
  strictEqual(engine.counts().malformed, 1)
})

test('a queue serves its path alone, each behaviour its times, then the default', async () => {
  engine.script(
    { on: '/health', error: { status: 503, body: 'empty' } },
    { times: 2, error: { status: 500, body: 'empty' } },
  )
  engine.setDefault({ error: { status: 418, body: 'empty' } })
  const statuses: number[] = []
  for (let asked = 0; asked < 3; asked += 1) statuses.push((await exchangeRaw(engine.port, chat())).head.status)
  for (let asked = 0; asked < 2; asked += 1) {
    statuses.push((await exchangeRaw(engine.port, { path: '/health' })).head.status)
  }
  deepStrictEqual(statuses, [500, 500, 418, 503, 200])
  engine.reset()
  strictEqual((await exchangeRaw(engine.port, chat())).head.status, 200)
  deepStrictEqual(engine.counts(), { ...engine.counts(), requests: 1, queued: 0, peakRunning: 1 })
})

test('close() ends what stalls and frees the port', async () => {
  engine.setDefault({ stall: { afterEvents: 1 } })
  await using client = await openRaw(engine.port)
  await client.send(chat({ stream: true }))
  await client.readHead()
  await engine.close()
  ok(['fin', 'rst'].includes(await client.closed()))
  await using again = await startEngine({ port: engine.port })
  strictEqual((await exchangeRaw(again.port, { path: '/health' })).head.status, 200)
})

test('an engine in its own process is scripted from outside, dies by SIGKILL, and leaves no port open', async () => {
  await using child = await spawnEngine({ models: ['m'] })
  await child.script({ tokens: ['a', 'b'], stall: { afterEvents: 2 } })
  await using client = await openRaw(child.port)
  await client.send(chat({ model: 'm', stream: true }))
  const events = client.readEvents(await client.readHead())
  const first = (await events.next()).value
  match(typeof first === 'object' ? first.text : '', /"role":"assistant"/)
  match(String(JSON.stringify((await events.next()).value)), /\\"content\\":\\"a\\"/)
  await child.waitFor(({ running }) => running === 1, 'one is running')
  await child.kill()
  strictEqual((await events.next()).value, client.ending)
  ok(['fin', 'rst'].includes(client.ending))
  await rejects(openRaw(child.port), /ECONNREFUSED/)
})
