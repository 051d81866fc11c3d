import { deepEqual, equal, throws } from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { JsonDocument } from './document.ts'

const token = Buffer.from('"public"')

function feed(pieces: readonly Buffer[]) {
  const document = new JsonDocument(token)
  const passed = Buffer.concat(pieces.map((piece) => document.feed(piece)))
  return { text: passed.toString(), isWhole: document.isWhole, usage: document.usage?.toString() }
}

function cut(bytes: Buffer, cuts: readonly number[]): Buffer[] {
  const places = [0, ...cuts.map((at) => Math.min(at, bytes.length)).sort((one, other) => one - other), bytes.length]
  return places.slice(1).map((end, at) => bytes.subarray(places[at], end))
}

test('its own model is renamed and its usage read, and nothing else is touched', () => {
  const text =
    ' {"a":{"model":"inner","usage":{}},"b":["model","usage",{"model":"x"}],"model" : "in\\"ner","c":"model","usage":{"n":"}{\\\\"},"d":"\\\\"}\n'
  deepEqual(feed([Buffer.from(text)]), {
    text: text.replace('"in\\"ner"', '"public"'),
    isWhole: true,
    usage: '{"n":"}{\\\\"}',
  })
  const same = Buffer.from('{"model":"public","data":[1,2]}')
  equal(new JsonDocument(token).feed(same), same)
})

test('any object, cut anywhere, passes as the whole does; cut short, it is not whole', () => {
  const anything = fc.tuple(
    fc.dictionary(fc.oneof(fc.constantFrom('model', 'usage', 'data'), fc.string()), fc.jsonValue({ maxDepth: 3 })),
    fc.constantFrom(undefined, 0, 1),
  )
  fc.assert(
    fc.property(anything, fc.array(fc.nat(400), { maxLength: 10 }), ([value, indent], cuts) => {
      const bytes = Buffer.from(JSON.stringify({ ...value, model: 'inner "é\\' }, null, indent))
      const whole = feed([bytes])
      deepEqual(feed(cut(bytes, cuts)), whole)
      deepEqual(feed([...bytes].map((byte) => Buffer.from([byte]))), whole)
      equal(whole.isWhole, true)
      deepEqual(JSON.parse(whole.text), { ...JSON.parse(bytes.toString()), model: 'public' })
      const short = cuts[0] ?? 1
      if (short < bytes.length) equal(feed(cut(bytes.subarray(0, short), cuts)).isWhole, false)
    }),
    { numRuns: 1_000 },
  )
})

test('what is no object, or goes on behind it, is refused', () => {
  for (const [text, why] of [
    ['<html>', /no JSON object/],
    ['[]', /no JSON object/],
    ['null', /no JSON object/],
    ['"a"', /no JSON object/],
    ['{} {}', /goes on after its end/],
    ['{}x', /goes on after its end/],
    ['{"a":1}}', /goes on after its end/],
  ] as const) {
    throws(() => feed([Buffer.from(text)]), { code: 'engine_bad_answer', detail: why }, text)
    throws(() => feed([...Buffer.from(text)].map((byte) => Buffer.from([byte]))), { detail: why }, text)
  }
})

test('a name or an account without end is refused, and not held', () => {
  for (const begin of ['{"model":"', '{"usage":{"a":"', '{"usage":[{']) {
    const document = new JsonDocument(token)
    const long = Buffer.alloc(40_000, 'x')
    const feedAll = () => [Buffer.from(begin), long, long, long].map((piece) => document.feed(piece))
    if (begin.endsWith('[{')) feedAll()
    else throws(feedAll, { code: 'engine_bad_answer', detail: /without end/ }, begin)
  }
})

test('one answer of many vectors is followed at the cost that is printed', () => {
  const vector = Array.from({ length: 1024 }, (_, at) => Math.sin(at))
  const data = Array.from({ length: 400 }, (_, index) => ({ object: 'embedding', index, embedding: vector }))
  const base64 = Buffer.from(new Float32Array(vector).buffer).toString('base64').repeat(1400)
  for (const [what, document] of [
    ['numbers', { object: 'list', data, model: 'inner', usage: { prompt_tokens: 1 } }],
    ['base64', { object: 'list', data: [{ embedding: base64 }], model: 'inner', usage: { prompt_tokens: 1 } }],
  ] as const) {
    const bytes = Buffer.from(JSON.stringify(document))
    const pieces = cut(
      bytes,
      Array.from({ length: Math.floor(bytes.length / 65_536) }, (_, at) => at * 65_536),
    )
    for (let round = 0; round < 3; round += 1) {
      const startedAt = process.cpuUsage()
      const passed = new JsonDocument(token)
      for (const piece of pieces) passed.feed(piece)
      const { user, system } = process.cpuUsage(startedAt)
      equal(passed.isWhole, true)
      const perMegabyte = (user + system) / 1000 / (bytes.length / 1e6)
      if (round === 2)
        console.log(`${what}: ${(bytes.length / 1e6).toFixed(1)} MB, ${perMegabyte.toFixed(2)} ms of CPU per MB`)
    }
  }
})
