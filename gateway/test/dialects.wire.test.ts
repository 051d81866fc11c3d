import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { type Behaviour, type Dialect, type FakeEngine, startEngine } from './fake-engine.ts'
import { assertNothingLeft, type Gateway, startGateway } from './harness.ts'
import { assertError, readEvents, withoutComments } from './wire.ts'

/** The engine's name of every model: a path of the home. */
const served = '/models/inner-7b.gguf'
const dialects: readonly Dialect[] = ['vllm', 'llamacpp', 'sglang', 'openai']
const thinking = ['Let me', ' think', '.\n']
const answer = ['Grüße', ' 漢字', ' "x"', '\n']
/** One engine, under each kind of it, and a model of each. */
const config = (url: string) => ({
  engines: dialects.map((kind) => ({ name: kind, url, kind })),
  models: [
    ...dialects.map((kind) => ({ id: kind, engine: kind, served })),
    ...['tags', 'open-tags'].map((reasoning) => ({ id: reasoning, engine: 'vllm', served, reasoning })),
    { id: 'vectors', engine: 'vllm', served, task: 'embed' },
    { id: 'scores', engine: 'vllm', served, task: 'rerank' },
  ],
})

let engine: FakeEngine
let gateway: Gateway
before(async () => {
  engine = await startEngine({ models: [served] })
  gateway = await startGateway({ config: config(engine.url), env: { HEARTH_HOST: '127.0.0.1' } })
})
beforeEach(() => engine.reset())
after(async () => {
  await assertNothingLeft(gateway, engine)
  await engine.close()
})

function send(path: string, body: object): Promise<Response> {
  const headers = { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/json' }
  return fetch(`${gateway.url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
}

function chat(model: string, fields: object = {}): Promise<Response> {
  return send('/v1/chat/completions', { model, messages: [{ role: 'user', content: 'Say something.' }], ...fields })
}

function lastSent(): Record<string, unknown> {
  return engine.requests.at(-1)?.json as Record<string, unknown>
}

/** A stream without our comments. */
async function events(model: string, fields: object = {}) {
  const response = await chat(model, { stream: true, ...fields })
  const text = withoutComments(Buffer.from(await response.arrayBuffer())).toString()
  return { text, ...readEvents(text) }
}

interface Told {
  content: string | null
  reasoning: string
  reasoningContent: string
  finish: string | undefined
  calls: string
}

/** What a client makes of the choices of a stream. */
function gather(chunks: readonly Record<string, unknown>[]): Told[] {
  const told: Told[] = []
  for (const { choices } of chunks)
    for (const choice of choices as {
      index: number
      delta: Record<string, unknown>
      finish_reason?: string | null
    }[]) {
      told[choice.index] ??= { content: null, reasoning: '', reasoningContent: '', finish: undefined, calls: '' }
      const one = told[choice.index]
      if (one === undefined) continue
      const { content, reasoning, reasoning_content, tool_calls } = choice.delta
      if (typeof content === 'string') one.content = (one.content ?? '') + content
      one.reasoning += reasoning ?? ''
      one.reasoningContent += reasoning_content ?? ''
      for (const call of (tool_calls ?? []) as { function: { name?: string; arguments: string } }[])
        one.calls += `${call.function.name ?? ''}${call.function.arguments}`
      one.finish = choice.finish_reason ?? one.finish
    }
  return told
}

async function stream(model: string, fields: object = {}) {
  const { text, data, done, errors } = await events(model, fields)
  assert.deepEqual([done, errors], [true, []], text)
  assert.equal(text.includes('inner-7b'), false, "the engine's name of the model leaked")
  return { text, chunks: data.filter(({ choices }) => choices !== undefined) }
}

async function plain(model: string, fields: object = {}) {
  const text = await (await chat(model, fields)).text()
  assert.equal(text.includes('inner-7b'), false, "the engine's name of the model leaked")
  const body = JSON.parse(text)
  assert.equal(body.model, model)
  return body
}

for (const dialect of dialects) {
  describe(`an engine that speaks as ${dialect}`, () => {
    const say = (behaviour: Behaviour = {}): Behaviour => ({ dialect, tokens: answer, ...behaviour })
    beforeEach(() => engine.setDefault(say()))

    it('is asked what each stream cost, and the account is shown to who asked alone', async () => {
      for (const [options, shown] of [
        [undefined, false],
        [{ include_usage: false, continuous_usage_stats: true }, false],
        [{ include_usage: true }, true],
      ] as const) {
        const { chunks } = await stream(dialect, options === undefined ? {} : { stream_options: options })
        const accounts = chunks.filter(({ usage }) => usage !== null && usage !== undefined)
        assert.equal(accounts.length, shown ? 1 : 0, JSON.stringify(options))
        assert.equal(gather(chunks)[0]?.content, answer.join(''))
        assert.deepEqual([lastSent()['stream_options'], lastSent()['model']], [{ include_usage: true }, served])
      }
      await plain(dialect)
      assert.equal('stream_options' in lastSent(), false)
    })

    it('is metered by its own account, and by its chunks where it was cut', async () => {
      const recordOf = async (behaviour: Behaviour, fields: object) => {
        engine.script(say(behaviour))
        const response = await chat(dialect, fields)
        await response.text()
        const id = response.headers.get('x-request-id')
        return await gateway.waitForLog(({ requestId }) => requestId === id, 'the record')
      }
      const choices = { n: 2 }
      // llama.cpp accounts for one choice only where it does not stream.
      for (const [stream, wanted] of [
        [true, 2 * answer.length],
        [false, (dialect === 'llamacpp' ? 1 : 2) * answer.length],
      ] as const) {
        const { promptTokens, completionTokens, tokensEstimated, finishReason } = await recordOf(
          {},
          { stream, ...choices },
        )
        assert.ok(Number(promptTokens) > 10, String(promptTokens))
        assert.deepEqual([completionTokens, tokensEstimated ?? false, finishReason], [wanted, false, 'stop'])
      }
      const cut = await recordOf({ dialect, thoughts: ['a'], noDone: true, dies: { afterEvents: 4 } }, { stream: true })
      assert.deepEqual([cut['promptTokens'], cut['completionTokens'], cut['tokensEstimated']], [undefined, 3, true])
    })

    it('thinks under both names, streamed and plain, and its content stays its own', async () => {
      engine.setDefault(say({ thoughts: thinking }))
      const thought = thinking.join('')
      const [told] = gather((await stream(dialect)).chunks)
      assert.deepEqual([told?.reasoning, told?.reasoningContent], [thought, thought])
      assert.equal(told?.content, answer.join(''))
      if (dialect === 'openai') return
      const { message } = (await plain(dialect)).choices[0]
      assert.deepEqual([message.reasoning, message.reasoning_content], [thought, thought])
      engine.setDefault(say({ thoughts: thinking, tokens: [], finish: 'length' }))
      const cut = (await plain(dialect)).choices[0]
      assert.deepEqual([cut.finish_reason, cut.message.reasoning], ['length', thought])
      assert.equal(cut.message.content, dialect === 'sglang' ? '' : null, 'content is what the engine said')
    })

    it('calls tools, piece by piece, for each of several choices', async () => {
      engine.setDefault(say({ tokens: [], call: { name: 'weather', arguments: ['{"city"', ':"北京"}'] } }))
      const tools = [{ type: 'function', function: { name: 'weather', parameters: { type: 'object' } } }]
      const fields = { tools, tool_choice: 'auto', n: 2 }
      const told = gather((await stream(dialect, fields)).chunks)
      const call = ['weather{"city":"北京"}', 'tool_calls']
      assert.deepEqual(
        told.map(({ calls, finish }) => [calls, finish]),
        [call, call],
      )
      const { choices } = await plain(dialect, fields)
      assert.equal(choices.length, 2)
      assert.equal(choices[1].message.tool_calls[0].function.arguments, '{"city":"北京"}')
      assert.deepEqual(lastSent()['tools'], tools)
    })

    it('answers several choices, and a stream that lost the end of one of them is cut', async () => {
      const { text, chunks } = await stream(dialect, { n: 3 })
      for (const { content, finish } of gather(chunks)) assert.deepEqual([content, finish], [answer.join(''), 'stop'])
      const all = text.split('\n\n')
      const last = all.findLast((event) => event.includes('"finish_reason":"stop"'))
      engine.script({ raw: asAnswer(all.filter((event) => event !== last).join('\n\n')) })
      const { done, errors } = await events(dialect, { n: 3 })
      assert.deepEqual([done, errors.map(({ code }) => code)], [false, ['engine_died']])
    })

    it('gives numbers and fields that nobody knows byte for byte', async () => {
      const fields = { logprobs: true, top_logprobs: 1, seed: 7, response_format: { type: 'json_object' } }
      const number = /"logprob":-0\.2500000001,/
      assert.match(JSON.stringify(await plain(dialect, fields)), number)
      assert.match((await stream(dialect, fields)).text, number)
      for (const [name, value] of Object.entries(fields)) assert.deepEqual(lastSent()[name], value, name)
    })

    it('takes max_completion_tokens, under the name that it knows', async () => {
      await plain(dialect, { max_completion_tokens: 9, repetition_penalty: 1.5 })
      const [limit, penalty] =
        dialect === 'llamacpp' ? ['max_tokens', 'repeat_penalty'] : ['max_completion_tokens', 'repetition_penalty']
      assert.deepEqual([lastSent()[limit], lastSent()[penalty]], [9, 1.5], Object.keys(lastSent()).join())
      await plain(dialect, { max_completion_tokens: 9, max_tokens: 8 })
      assert.deepEqual([lastSent()['max_completion_tokens'], lastSent()['max_tokens']], [9, 8])
    })

    it('is believed when it says what was wrong, and not quoted when it was itself', async () => {
      const overflow = await chat(dialect, { messages: [{ role: 'user', content: 'word '.repeat(5_000) }] })
      await assertError(overflow, 400, 'context_length_exceeded')
      for (const [status, message, wantedStatus, code] of [
        [400, `The model ${served} cannot do that`, 400, 'invalid_request'],
        [500, `${served} crashed`, 502, 'engine_error'],
        [401, 'Unauthorized', 502, 'engine_key_refused'],
        [403, 'Forbidden', 502, 'engine_key_refused'],
        [404, `The model ${served} does not exist.`, 502, 'engine_error'],
        [503, 'The engine is currently busy and cannot accept new requests.', 429, 'queue_full'],
        [503, 'The request queue is full.', 429, 'queue_full'],
        [503, 'The model is currently scaling.', 503, 'engine_unreachable'],
      ] as const) {
        engine.script({ dialect, error: { status, body: 'own', message } })
        const error = await assertError(await chat(dialect), wantedStatus, code)
        assert.equal(JSON.stringify(error).includes('inner-7b'), false)
        if (code === 'invalid_request') assert.equal(error['message'], `The model ${dialect} cannot do that`)
      }
    })

    it('ends a stream that it cannot finish in one error event, with or without a [DONE] of its own', async () => {
      engine.script(say({ thoughts: ['a'], dies: { afterEvents: 3 } }))
      const { done, errors } = await events(dialect)
      assert.deepEqual([done, errors.map(({ code }) => code)], [false, ['engine_error']])
    })
  })
}

describe('a model that writes its thinking into its text', () => {
  const thought = ['First', ',\n', 'then.', '</', 'think>\n', '\nThe', ' answer.']
  for (const [model, tokens] of [
    ['tags', ['<th', 'ink>\n', ...thought]],
    ['open-tags', ['\n', ...thought]],
  ] as const) {
    it(`(${model}) is told apart in the same way streamed, in any slices, and plain`, async () => {
      for (const sliceBytes of [1, 7, 4096]) {
        engine.setDefault({ tokens: [...tokens], sliceBytes })
        const told = gather((await stream(model, { n: 2 })).chunks)
        assert.equal(told.length, 2)
        for (const { content, reasoning, reasoningContent } of told) {
          assert.deepEqual([content, reasoning], ['The answer.', 'First,\nthen.'])
          assert.equal(reasoningContent, reasoning)
        }
        const { message } = (await plain(model)).choices[0]
        assert.deepEqual([message.content, message.reasoning], ['The answer.', 'First,\nthen.'])
        assert.equal(message.reasoning_content, message.reasoning)
      }
    })
  }

  it('that was cut off while it thought has no content and says why it ended', async () => {
    engine.setDefault({ tokens: ['<think>', 'never', ' ends', ' at all'], finish: 'length' })
    const { message, finish_reason } = (await plain('tags')).choices[0]
    assert.deepEqual([message.content, message.reasoning, finish_reason], [null, 'never ends at all', 'length'])
    const [told] = gather((await stream('tags')).chunks)
    assert.deepEqual([told?.reasoning, told?.finish], ['never ends at all', 'length'])
  })

  it('gives all of its text where the caller switched thinking off and its template writes no tag', async () => {
    engine.setDefault({ tokens: ['Just', ' this.'] })
    for (const off of [{ chat_template_kwargs: { enable_thinking: false } }, { reasoning_effort: 'none' }]) {
      assert.equal((await plain('open-tags', off)).choices[0].message.content, 'Just this.')
      assert.equal(gather((await stream('open-tags', off)).chunks)[0]?.content, 'Just this.')
    }
    assert.equal((await plain('open-tags')).choices[0].message.content, null)
  })
})

describe('vectors, scores and plain completions', () => {
  const requests = {
    '/v1/embeddings': { model: 'vectors', input: ['aaa', 'bbb'] },
    '/v1/rerank': { model: 'scores', query: 'a b', documents: ['a', 'b c'] },
    '/v1/completions': { model: 'vllm', prompt: ['a', 'b'], n: 2, logprobs: 1 },
  }
  for (const [path, request] of Object.entries(requests)) {
    it(`${path} keeps every byte but the name of the model, and one that was cut is an error`, async () => {
      for (const sliceBytes of [1, 4096]) {
        engine.script({ on: path, sliceBytes })
        const text = await (await send(path, request)).text()
        const body = JSON.parse(text)
        assert.equal(body.model, request.model)
        const renamed = Buffer.byteLength(text) - request.model.length + served.length
        assert.equal(renamed, engine.requests.at(-1)?.sent?.bytes)
      }
      engine.script({ on: path, closeDelimited: '1.0', cut: { how: 'fin', at: 100 } })
      await assertError(await send(path, request), 502, 'engine_died')
    })
  }

  it('a streamed completion is whole with the end of each of its texts', async () => {
    engine.script({ on: '/v1/completions', tokens: ['a', 'b'] })
    const text = await (await send('/v1/completions', { ...requests['/v1/completions'], stream: true })).text()
    const { data, done } = readEvents(withoutComments(Buffer.from(text)).toString())
    assert.equal(done, true)
    const ends = data.flatMap(({ choices }) => choices as { index: number; finish_reason: string | null }[])
    assert.deepEqual(
      ends.filter(({ finish_reason }) => finish_reason !== null).map(({ index }) => index),
      [0, 1, 2, 3],
    )
    assert.equal(data.filter(({ usage }) => usage !== null).length, 0)
  })

  it('megabytes of vectors flow on while they come', async () => {
    engine.script({ on: '/v1/embeddings' })
    const input = Array.from({ length: 900 }, (_, at) => `text ${at}`)
    const response = await send('/v1/embeddings', { model: 'vectors', input, dimensions: 1024 })
    const bytes = Buffer.from(await response.arrayBuffer())
    console.log(`${(bytes.length / 1e6).toFixed(1)} MB`)
    assert.equal(response.headers.get('content-length'), null, 'it was held whole')
    assert.equal(JSON.parse(bytes.toString()).data.length, 900)
  })
})

/** A stream as one raw answer. */
function asAnswer(events: string): string {
  const bytes = Buffer.from(events)
  return `HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: ${bytes.length}\r\n\r\n${bytes.toString('latin1')}`
}
