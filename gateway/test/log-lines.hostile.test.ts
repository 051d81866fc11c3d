import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { findPlanted, plant } from './canaries.ts'
import { type Behaviour, type FakeEngine, startEngine } from './fake-engine.ts'
import { assertNothingLeft, type Gateway, type LogRecord, startGateway } from './harness.ts'
import { type Chance, chanceFrom, inParallel, seedOf, Tallies } from './seeded.ts'
import { chatPath, model } from './wire.ts'

const counts = { json: 2_500, gcp: 2_500, pretty: 500 } as const
const fieldBytesMax = 2048
const linesPerRequestMax = 3
const answerMs = 250
const mark = plant('hostile')

/** What breaks lines, terminals, JSON or a reader's sense of what is what. */
const pieces = [
  ...[
    '\r\n',
    '\n',
    '\r',
    '\n{"severity":"CRITICAL","message":"forged"}\n',
    '\r\n\r\nGET /forged HTTP/1.1\r\nHost: a\r\n\r\n',
  ],
  ...[
    '\u001b[2J\u001b[31m',
    '\u009b2J',
    '\u001b]0;title\u0007',
    '\b\b\b',
    '\0',
    '\u2028',
    '\u2029',
    '\u0085',
    '\u202e',
    '\ufeff',
  ],
  ...[
    '\ud800',
    '\udfff',
    '"',
    '\\',
    '\\"',
    "'",
    '","severity":"ERROR',
    '%0d%0a',
    '\\u000a',
    '$\u007bx}',
    '%s%n',
    '😀',
    '가',
    '\t',
    ';',
    ',',
  ],
]

function hostile(chance: Chance): string {
  // Rare, since each of them costs as much as a thousand others.
  if (chance.happens(0.004)) return `${mark}${'x'.repeat(1024 * 1024)}`
  if (chance.happens(0.05)) return `${mark}${chance.pick(pieces).repeat(1_000)}`
  return Array.from({ length: 1 + chance.below(4) }, () => chance.pick(pieces)).join(mark)
}

const headerNames = [
  'user-agent',
  'traceparent',
  'tracestate',
  'x-cloud-trace-context',
  'cookie',
  'content-type',
  'origin',
]
const otherNames = ['host', 'expect', 'accept', 'x-any', 'referer', 'x-request-id', 'content-length', 'connection']

/** The bytes of a request with a hostile value somewhere, and the name of that place. */
function hostileRequest(chance: Chance, key: string): { place: string; bytes: Buffer } {
  const value = hostile(chance)
  const chat = { model, messages: [{ role: 'user', content: 'a' }], stream: chance.happens(0.5) }
  const head = { method: 'POST', target: chatPath, authorization: `Bearer ${key}`, more: '' }
  const finish = (place: string, body: string, change: Partial<typeof head> = {}) => {
    const { method, target, authorization, more } = { ...head, ...change }
    const bytes = Buffer.from(body)
    const lines = [
      `${method} ${target} HTTP/1.1`,
      'Host: a',
      `Authorization: ${authorization}`,
      `Content-Length: ${bytes.length}`,
    ]
    return { place, bytes: Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n${more}\r\n`), bytes]) }
  }
  const place = chance.below(12)
  const name = chance.pick([...headerNames, ...headerNames, ...otherNames])
  if (place === 0) return finish('path', '', { target: `/v1/${value}` })
  if (place === 1) return finish('query', JSON.stringify(chat), { target: `${chatPath}?a=${value}` })
  if (place === 2)
    return finish('encoded path', '', { target: `/v1/models/${encodeURIComponent(value.toWellFormed())}` })
  if (place === 3)
    return finish('key', '{}', { authorization: chance.pick([value, `Bearer ${value}`, `Bearer ${key}${value}`]) })
  if (place === 4) return finish('method', '', { method: value })
  if (place === 5) return finish('header name', JSON.stringify(chat), { more: `x-${value}: 1\r\n` })
  if (place === 6) return finish('body', value)
  if (place === 7) return finish('model', JSON.stringify({ ...chat, model: value }))
  if (place === 8) return finish('field', JSON.stringify({ ...chat, [value]: value, user: value, stop: value }))
  if (place === 9)
    return finish('content', JSON.stringify({ ...chat, messages: [{ role: value, name: value, content: value }] }))
  return finish(`header ${name}`, JSON.stringify(chat), { more: `${name}: ${value}\r\n` })
}

/** An engine's answer with a hostile value in it; mostly a plain one. */
function hostileAnswer(chance: Chance): Behaviour {
  const value = hostile(chance)
  const status = chance.pick([400, 401, 404, 422, 429, 500, 503])
  const body = chance.pick(['object', 'string', 'detail', 'text'] as const)
  const json = JSON.stringify({ error: { message: value, type: value, code: value, param: value } })
  const event = `data: ${json}\n\n`
  const raw = (text: string, type: string) =>
    `HTTP/1.1 200 ${chance.pick(['OK', 'x\u001b[2J'])}\r\ncontent-type: ${type}\r\ncontent-length: ${Buffer.byteLength(text)}\r\n\r\n${text}`
  return chance.pick<Behaviour>([
    { tokens: 2 },
    { tokens: [value, value] },
    { tokens: 2, finish: value },
    { error: { status, body, message: value } },
    { raw: raw(event, 'text/event-stream') },
    { raw: raw(json, 'application/json') },
    { raw: raw(value, `text/${mark}`) },
    { raw: `HTTP/1.1 200 ${value}\r\n\r\n` },
    { raw: value },
  ])
}

/** Sends bytes on a connection of their own and waits for the first bytes of an answer, or its end. */
function send(port: number, bytes: Buffer): Promise<'answered' | 'closed' | 'silent'> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    const finish = (how: 'answered' | 'closed' | 'silent') => {
      resolve(how)
      // Only what is whole was meant to be: a request that was split into two waits for more.
      setImmediate(() => socket.destroy())
    }
    const timer = setTimeout(() => finish('silent'), answerMs)
    socket.on('close', () => {
      clearTimeout(timer)
      finish('closed')
    })
    socket.on('error', () => {})
    socket.once('data', () => finish('answered'))
    socket.write(bytes)
  })
}

describe('R59 the lines of the log', () => {
  let engine: FakeEngine
  before(async () => {
    engine = await startEngine()
  })
  after(() => engine.close())

  for (const [form, count] of Object.entries(counts)) {
    it(`are whole, bounded and few for ${count} hostile values (${form})`, async () => {
      const seed = seedOf(process.env)
      const chance = chanceFrom(seed)
      engine.reset()
      const gateway = await startGateway({
        config: {
          engines: [{ name: 'gpu', url: engine.url, kind: 'vllm', capacity: 64 }],
          models: [{ id: model, engine: 'gpu' }],
        },
        env: { HEARTH_HOST: '127.0.0.1', HEARTH_LOG: form },
      })
      const [places, ends] = [new Tallies<string>(), new Tallies<string>()]
      const requests = Array.from({ length: count }, () => hostileRequest(chance, gateway.key))
      await inParallel(requests, 32, async ({ place, bytes }) => {
        engine.script(hostileAnswer(chance))
        places.add(place.split(' ')[0] ?? place)
        ends.add(await send(gateway.port, bytes))
      })
      const asked = engine.requests.map(({ headers }) => headers)
      engine.reset()
      engine.release()
      await stop(gateway, form)
      const records = gateway.logs()
      const what = `seed ${seed}, ${form}: ${count} values (${places}), ${ends}; ${asked.length} at the engine`
      console.log(`${what}, ${records.length} lines, 0 with a value in it`)
      if (form === 'pretty') for (const { text } of records) checkPretty(String(text), seed)
      else checkRecords(records, count, seed)
      assert.equal(findPlanted(gateway.stderr()), undefined)
      for (const headers of asked) checkTrace(headers, seed)
    })
  }

  async function stop(gateway: Gateway, form: string): Promise<void> {
    if (form !== 'pretty') return await assertNothingLeft(gateway)
    await gateway.stop()
    await gateway[Symbol.asyncDispose]()
  }
})

function checkRecords(records: readonly LogRecord[], count: number, seed: number): void {
  const byRequest = new Map<unknown, number>()
  for (const record of records) {
    const line = JSON.stringify(record)
    assert.equal(record['text'], undefined, `seed ${seed}: no JSON: ${line.slice(0, 500)}`)
    assert.equal(findPlanted(line), undefined, `seed ${seed}: ${line.slice(0, 2_000)}`)
    for (const value of leavesOf(record))
      assert.ok(Buffer.byteLength(value) <= fieldBytesMax, `seed ${seed}: a field of ${Buffer.byteLength(value)} bytes`)
    if (record['requestId'] !== undefined)
      byRequest.set(record['requestId'], (byRequest.get(record['requestId']) ?? 0) + 1)
  }
  assert.ok(byRequest.size > count * 0.7, `only ${byRequest.size} requests of ${count} left a record`)
  assert.ok(Math.max(...byRequest.values()) <= linesPerRequestMax)
}

function leavesOf(value: unknown): readonly string[] {
  if (typeof value === 'string') return [value]
  return value !== null && typeof value === 'object'
    ? Object.entries(value).flatMap((pair) => pair.flatMap(leavesOf))
    : []
}

function checkPretty(text: string, seed: number): void {
  assert.match(text, /^\d\d:\d\d:\d\d\.\d{3} (DEBUG|INFO|NOTICE|WARNING|ERROR|CRITICAL) /, `seed ${seed}`)
  assert.match(text, /^[\x20-\x7e]*$/, `seed ${seed}`)
  assert.equal(findPlanted(text), undefined, `seed ${seed}`)
  assert.ok(text.length < 8 * fieldBytesMax)
}

/** What of a caller's trace reaches the engine is valid, letter by letter. */
function checkTrace(headers: Readonly<Record<string, unknown>>, seed: number): void {
  assert.match(String(headers['traceparent']), /^00-(?!0{32})[\da-f]{32}-(?!0{16})[\da-f]{16}-0[01]$/, `seed ${seed}`)
  assert.equal(headers['tracestate'], undefined, `seed ${seed}`)
  assert.equal(findPlanted(JSON.stringify(headers)), undefined, `seed ${seed}`)
}
