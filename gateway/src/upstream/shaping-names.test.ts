import { deepEqual, equal, ok, throws } from 'node:assert/strict'
import { test } from 'node:test'
import { captureOf, eventsOf, loadCaptures } from '../../test/fake-captures.ts'
import type { Shaper } from './shaper.ts'
import { createShaper, type ShaperOptions } from './shaping.ts'

const captures = await loadCaptures()

function shaperOf(options: Partial<ShaperOptions> = {}): Shaper {
  const names = { model: 'public', served: '/models/inner' }
  return createShaper({ kind: 'chat', dialect: 'vllm', ...names, reasoning: 'fields', showUsage: true, ...options })
}

/** What the caller gets of a plain answer that comes in these pieces. */
function plain(shaper: Shaper, pieces: readonly (Buffer | string)[]): string {
  const passed = pieces.map((piece) => shaper.piece(Buffer.from(piece)))
  return Buffer.concat([...passed, shaper.endOfPieces()]).toString()
}

test("the engine's name of the model reaches no caller, in streams of every engine, and no other byte changes", () => {
  for (const [name, text] of [
    [
      'vLLM',
      '{"id":"c","model":"/models/inner","choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[{"logprob":-0.10}]}}]}',
    ],
    [
      'llama.cpp',
      '{"choices":[{"finish_reason":null,"index":0,"delta":{"content":"a"}}],"created":1,"model":"/models/inner","object":"x"}',
    ],
    ['another name', '{"model" : "what\\"ever" , "choices":[]}'],
    ['only the name', '{"model":"/models/inner"}'],
  ] as const) {
    const passed = shaperOf()
      .event(Buffer.from(`data: ${text}\n\n`))
      .toString()
    equal(passed, `data: ${text.replace(/("model" ?: ?)"(?:[^"\\]|\\.)*"/, '$1"public"')}\n\n`, name)
  }
  for (const text of [
    '{"model":null}',
    '{"model":7}',
    '{"a":{"model":"x"},"choices":[{"model":"x","delta":{"model":"x"}}]}',
  ]) {
    const event = Buffer.from(`data: ${text}\n\n`)
    equal(shaperOf().event(event), event, text)
  }
})

test("the engine's name reaches no caller in plain answers, in any pieces", () => {
  for (const kind of ['chat', 'completions', 'embeddings', 'rerank'] as const) {
    const text =
      '{"id":"x","data":[{"embedding":[0.10,-1e-7],"model":"x"}],"model":"/models/inner","usage":{"prompt_tokens":3}}'
    const wanted = text.replace('/models/inner', 'public')
    equal(plain(shaperOf({ kind }), [text]), wanted)
    equal(plain(shaperOf({ kind }), [...text]), wanted)
    equal(plain(shaperOf({ kind }), [text.replace('/models/inner', 'public')]), wanted)
  }
})

test('a plain answer tells what it cost, by every name that engines have for that', () => {
  for (const [kind, usage, prompt, completion, cached] of [
    [
      'chat',
      { prompt_tokens: 5, completion_tokens: 2, total_tokens: 7, prompt_tokens_details: { cached_tokens: 4 } },
      5,
      2,
      4,
    ],
    ['chat', { prompt_tokens: 5, completion_tokens: 2, prompt_tokens_details: null }, 5, 2, undefined],
    ['embeddings', { prompt_tokens: 5, total_tokens: 5 }, 5, undefined, undefined],
    ['rerank', { total_tokens: 9 }, 9, undefined, undefined],
  ] as const) {
    const shaper = shaperOf({ kind })
    plain(shaper, [JSON.stringify({ object: 'x', usage })])
    deepEqual(shaper.usage, {
      promptTokens: prompt,
      completionTokens: completion,
      cachedTokens: cached,
      estimated: false,
    })
  }
  const untold = shaperOf()
  plain(untold, ['{"usage":null}'])
  deepEqual(untold.usage, {
    promptTokens: undefined,
    completionTokens: undefined,
    cachedTokens: undefined,
    estimated: true,
  })
})

test('captured plain answers pass byte for byte, with their usage and finish_reason read', () => {
  for (const [name, tokens] of [
    ['chat', 8],
    ['chat-n-3', 24],
    ['chat-logprobs', undefined],
    ['chat-json-schema', undefined],
  ] as const) {
    const { body } = captureOf(captures, name)
    const shaper = shaperOf({ model: 'qwen2.5-vl-tiny' })
    equal(plain(shaper, [body]), body, name)
    ok(/^(stop|length)$/.test(shaper.finishReason ?? ''), name)
    if (tokens !== undefined) equal(shaper.usage.completionTokens, tokens)
    equal(shaper.usage.estimated, false)
  }
})

test('a plain answer that was cut is engine_died, wherever it was cut, and nothing of it has gone out', () => {
  const { body } = captureOf(captures, 'chat')
  for (const kind of ['chat', 'completions', 'embeddings', 'rerank'] as const) {
    let cuts = 0
    for (let at = 0; at < body.length; at += 1) {
      const shaper = shaperOf({ kind })
      equal(shaper.piece(Buffer.from(body.slice(0, at))).length, 0)
      throws(() => shaper.endOfPieces(), { code: 'engine_died' }, `${at}`)
      cuts += 1
    }
    console.log(`${kind}: ${cuts} cuts, 0 of them passed as whole (3/n = ${(3 / cuts).toFixed(4)})`)
  }
})

test('a plain answer that is no JSON object is engine_bad_answer', () => {
  for (const text of ['<html></html>', '[]', 'null', 'Internal Server Error', '{}{}'])
    throws(() => plain(shaperOf(), [text]), { code: 'engine_bad_answer' }, text)
})

test('a long answer flows before its end, a short one is held: the first 64 KiB of vectors, 4 MiB of what was written', () => {
  for (const [kind, heldMax] of [
    ['embeddings', 64 * 1024],
    ['rerank', 64 * 1024],
    ['chat', 4 * 1024 * 1024],
    ['completions', 4 * 1024 * 1024],
  ] as const) {
    const shaper = shaperOf({ kind })
    const piece = Buffer.from(`${'[0.125,0.5],'.repeat(1_000)}`)
    let fed = shaper.piece(Buffer.from('{"model":"/models/inner","data":[')).length
    let out = 0
    let sent = 0
    while (out === 0) {
      out = shaper.piece(piece).length
      sent += piece.length
    }
    ok(sent > heldMax - piece.length && sent <= heldMax + piece.length, `${kind}: ${sent}`)
    fed = shaper.piece(piece).length
    equal(fed, piece.length, 'what comes later flows at once')
    const end = shaper.piece(Buffer.from('[1]],"usage":{"prompt_tokens":4}}'))
    equal(end.length, 33)
    equal(shaper.endOfPieces().length, 0)
    equal(shaper.usage.promptTokens, 4)
  }
})

test('a plain answer whose finish_reason says it failed is a failure', () => {
  for (const [reason, code] of [
    ['error', 'engine_error'],
    ['abort', 'engine_died'],
  ] as const)
    throws(
      () => plain(shaperOf(), [`{"choices":[{"index":0,"message":{"content":"a"},"finish_reason":"${reason}"}]}`]),
      { code },
    )
})

test('a chunk that no rule touches costs less than a microsecond, and a renamed one what is printed', () => {
  const events = eventsOf(captureOf(captures, 'chat-stream-nousage'))
    .slice(1, 8)
    .map((text) => Buffer.from(`${text}\n\n`))
  const rounds = 10_000
  const costs: Record<string, number> = {}
  for (const [what, options] of [
    ['untouched', { model: 'qwen2.5-vl-tiny' }],
    ['renamed', { model: 'public' }],
    ['tags, behind the thought', { model: 'qwen2.5-vl-tiny', reasoning: 'tags' }],
  ] as const) {
    const best: number[] = []
    for (let round = 0; round < 5; round += 1) {
      const shaper = shaperOf(options)
      const startedAt = process.cpuUsage()
      for (let at = 0; at < rounds; at += 1) for (const event of events) shaper.event(event)
      const { user, system } = process.cpuUsage(startedAt)
      best.push(((user + system) * 1000) / (rounds * events.length))
    }
    costs[what] = Math.min(...best)
    console.log(`${what}: ${costs[what].toFixed(0)} ns of CPU an event of ${events[1]?.length} bytes`)
  }
  const parsed: number[] = []
  for (let round = 0; round < 3; round += 1) {
    const startedAt = process.cpuUsage()
    for (let at = 0; at < rounds; at += 1)
      for (const event of events) JSON.stringify(JSON.parse(event.toString('utf8', 6)))
    const { user, system } = process.cpuUsage(startedAt)
    parsed.push(((user + system) * 1000) / (rounds * events.length))
  }
  console.log(`JSON.parse and back: ${Math.min(...parsed).toFixed(0)} ns`)
  ok((costs['untouched'] ?? 0) < Math.min(...parsed) / 2, 'it is no cheaper than parsing')
})
