import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { captureOf, eventsOf, loadCaptures } from '../../test/fake-captures.ts'
import type { Shaper } from './shaper.ts'
import { createShaper, type ShaperOptions } from './shaping.ts'

const captures = await loadCaptures()
const plainOptions: ShaperOptions = {
  kind: 'chat',
  dialect: 'vllm',
  model: 'qwen2.5-vl-tiny',
  served: 'qwen2.5-vl-tiny',
  reasoning: 'fields',
  showUsage: false,
}

function shaperOf(options: Partial<ShaperOptions> = {}): Shaper {
  return createShaper({ ...plainOptions, ...options })
}

function event(data: unknown): Buffer {
  return Buffer.from(`data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`)
}

/** The events of a capture, without its `[DONE]`. */
function captured(name: string): Buffer[] {
  return eventsOf(captureOf(captures, name))
    .filter((text) => !text.includes('[DONE]'))
    .map((text) => Buffer.from(`${text}\n\n`))
}

function chunk(index: number, delta: object, finish: string | null = null, more: object = {}): Buffer {
  return event({ id: 'c', model: plainOptions.model, choices: [{ index, delta, finish_reason: finish }], ...more })
}

const usage = { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 }

test('a captured stream passes as the very same bytes, event by event, and is metered', () => {
  for (const name of ['chat-stream', 'chat-stream-nousage', 'chat-stream-continuous']) {
    const shaper = shaperOf({ showUsage: true })
    for (const one of captured(name)) equal(shaper.event(one), one, one.toString())
    equal(shaper.endOfEvents().length, 0)
    equal(shaper.finishReason, 'length')
    equal(shaper.generated, 8, name)
    const told = name !== 'chat-stream-nousage'
    const promptTokens = told ? 20 : undefined
    const cachedTokens = name === 'chat-stream' ? 0 : shaper.usage.cachedTokens
    deepEqual(shaper.usage, { promptTokens, completionTokens: 8, cachedTokens, estimated: !told })
  }
})

test('the chunk with the usage stays inside where the caller did not ask, and is read all the same', () => {
  const shaper = shaperOf()
  const passed = captured('chat-stream').map((one) => shaper.event(one).length > 0)
  deepEqual(passed, [...Array.from({ length: 9 }, () => true), false])
  deepEqual(shaper.usage, { promptTokens: 20, completionTokens: 8, cachedTokens: 0, estimated: false })
})

test('a chunk with an account and a choice passes as it is: the engine gives it of its own accord', () => {
  const shaper = shaperOf()
  for (const one of [
    chunk(0, { content: 'a' }, null, { usage }),
    chunk(0, { content: 'b' }, null, { usage: null }),
    event({ choices: [], usage: null }),
    event({ choices: [] }),
    event({ usage }),
  ])
    equal(shaper.event(one), one, one.toString())
  deepEqual(shaper.usage, { promptTokens: 7, completionTokens: 3, cachedTokens: undefined, estimated: false })
})

test('a stream that was cut costs the chunks with text that came, as an estimate', () => {
  const shaper = shaperOf()
  for (const delta of [{ role: 'assistant', content: '' }, { content: 'a' }, { reasoning: 'b' }, { content: null }, {}])
    shaper.event(chunk(0, delta))
  shaper.event(chunk(0, { tool_calls: [{ index: 0, function: { arguments: '{' } }] }))
  shaper.event(chunk(0, { tool_calls: [] }))
  deepEqual(shaper.usage, { promptTokens: undefined, completionTokens: 3, cachedTokens: undefined, estimated: true })
})

test('a stream is whole only with a finish_reason of each choice that began', () => {
  const whole = shaperOf()
  for (const index of [0, 1, 2]) whole.event(chunk(index, { content: 'a' }))
  for (const index of [2, 0, 1]) whole.event(chunk(index, {}, index === 0 ? 'stop' : 'length'))
  equal(whole.endOfEvents().length, 0)
  equal(whole.finishReason, 'stop')

  const open = shaperOf()
  for (const index of [0, 1, 2]) open.event(chunk(index, { content: 'a' }))
  for (const index of [0, 2]) open.event(chunk(index, {}, 'stop'))
  throws(() => open.endOfEvents(), { code: 'engine_died', detail: /choice 1$/ })

  for (const events of [[], [event({ choices: [], usage })], [chunk(0, { content: 'a' })]]) {
    const none = shaperOf()
    for (const one of events) none.event(one)
    throws(() => none.endOfEvents(), { code: 'engine_died', detail: /without (any|a) finish_reason/ })
  }
})

test('a finish_reason that nobody knows is an end, passes, and is not kept', () => {
  for (const reason of ['a secret of the prompt', 'x'.repeat(1_000), '\ud83d']) {
    const shaper = shaperOf()
    const end = chunk(0, {}, reason)
    equal(shaper.event(end), end)
    equal(shaper.endOfEvents().length, 0)
    equal(shaper.finishReason, 'other')
  }
})

test('a finish_reason that says it failed is no end: nothing more passes', () => {
  for (const [reason, code] of [
    ['error', 'engine_error'],
    ['abort', 'engine_died'],
  ] as const) {
    const shaper = shaperOf()
    ok(shaper.event(chunk(0, { content: 'a' })).length > 0)
    equal(shaper.event(chunk(0, {}, reason)).length, 0)
    equal(shaper.event(chunk(0, { content: 'late' })).length, 0)
    throws(() => shaper.endOfEvents(), { code })
  }
})

test('every form of event is read: line ends, other fields, data on several lines, white space', () => {
  const json = JSON.stringify({ model: 'm', choices: [{ index: 0, delta: { content: 'a' }, finish_reason: 'stop' }] })
  const spaced =
    '{ "model" : "m" ,\t"choices" : [ { "index" : 0 , "delta" : { "content" : "a" } , "finish_reason" : "stop" } ] }'
  for (const text of [
    `data:${json}\n\n`,
    `data: ${json}\r\n\r\n`,
    `id: 1\nevent: message\nretry: 3\ndata: ${json}\n\n`,
    `data: ${json.slice(0, 1)}\ndata: ${json.slice(1)}\n\n`,
    `data: ${spaced.replaceAll(' , ', ' ,\ndata: ')}\n\n`,
    `data: ${spaced}\r\n\r\n`,
    `id: 1\rdata: ${json.slice(0, 1)}\rdata: ${json.slice(1)}\r\r`,
    `id: 1\r\ndata: ${json.slice(0, 1)}\r\ndata:${json.slice(1)}\r\n\r\n`,
  ]) {
    const shaper = shaperOf({ model: 'm' })
    const bytes = Buffer.from(text)
    equal(shaper.event(bytes), bytes, text)
    deepEqual([shaper.generated, shaper.finishReason], [1, 'stop'], text)
  }
})

test('what is no chunk passes untouched and counts for nothing', () => {
  const shaper = shaperOf()
  for (const text of [
    ...[
      'data: 1\n\n',
      'data: "model"\n\n',
      'data: \n\n',
      'data\n\n',
      'id: 7\n\n',
      'data: [1]\n\n',
      'data: {"choices":[{"ind\n\n',
    ],
    ...[
      'data: {\n\n',
      'data: {"a"\n\n',
      'data: {"a":}\n\n',
      'data: {"a":"\n\n',
      'data: {"choices":[{"delta":{"content":"a"\n\n',
    ],
  ]) {
    const bytes = Buffer.from(text)
    equal(shaper.event(bytes), bytes, text)
  }
  deepEqual([shaper.generated, shaper.finishReason], [0, undefined])
})

test('text that looks like a key is text', () => {
  const shaper = shaperOf({ model: 'public', served: 'inner' })
  const trap = '"finish_reason":"stop","usage":{"prompt_tokens":1},"model":"inner","choices":[]}'
  const bytes = shaper.event(chunk(0, { content: trap }, null, { model: 'public' }))
  equal(JSON.parse(bytes.toString().slice(6)).choices[0].delta.content, trap)
  deepEqual([shaper.finishReason, shaper.usage.promptTokens], [undefined, undefined])
  throws(() => shaper.endOfEvents(), { code: 'engine_died' })
})

test('llama.cpp accounts for each choice by itself: what they wrote is added up', () => {
  for (const [dialect, completionTokens] of [
    ['llamacpp', 5],
    ['vllm', 3],
  ] as const) {
    const shaper = shaperOf({ dialect })
    const account = (tokens: number) =>
      event({
        choices: [],
        usage: { prompt_tokens: 33, completion_tokens: tokens, prompt_tokens_details: { cached_tokens: 32 } },
      })
    for (const one of [chunk(1, {}, 'length'), account(2), chunk(0, {}, 'stop'), account(3)]) shaper.event(one)
    shaper.endOfEvents()
    deepEqual(shaper.usage, { promptTokens: 33, completionTokens, cachedTokens: 32, estimated: false }, dialect)
  }
  const plain = shaperOf({ dialect: 'llamacpp' })
  plain.piece(Buffer.from(JSON.stringify({ choices: [], usage })))
  plain.endOfPieces()
  equal(plain.usage.completionTokens, 3)
})

test('an error with nothing around it ends the stream, and does not reach the caller', () => {
  const shaper = shaperOf({ dialect: 'sglang', served: '/models/inner' })
  ok(shaper.event(chunk(0, { content: 'a' })).length > 0)
  const error = {
    object: 'error',
    message: 'The request queue is full.',
    type: 'SERVICE_UNAVAILABLE',
    param: null,
    code: 503,
  }
  equal(shaper.event(event(error)).length, 0)
  throws(() => shaper.endOfEvents(), { code: 'queue_full' })
})
