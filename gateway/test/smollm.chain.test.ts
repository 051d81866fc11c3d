import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import OpenAI from 'openai'
import { embedded, startTestChain, type TestChain } from './chain-fixture.ts'
import { waitUntil } from './deadline.ts'

const model = 'smollm2-135m-instruct'
const question = { role: 'user', content: 'What is the capital of France? Answer in one sentence.' } as const

describe('a real model through page-side client, gateway, sidecar, WireGuard, Traefik', () => {
  let test: TestChain
  let client: OpenAI
  before(async () => {
    test = await startTestChain({ engine: embedded() })
    client = new OpenAI({ baseURL: `${test.chain.gatewayUrl}/v1`, apiKey: test.chain.key, maxRetries: 0 })
  })
  after(() => test[Symbol.asyncDispose]())

  it('answers the openai package plainly, with usage', async () => {
    const answer = await client.chat.completions.create({ model, messages: [question], temperature: 0, max_tokens: 32 })
    assert.match(answer.choices[0]?.message.content ?? '', /Paris|France/)
    assert.ok((answer.usage?.prompt_tokens ?? 0) > 10)
    assert.ok((answer.usage?.completion_tokens ?? 0) > 3)
  })

  it('streams to the openai package: the first token is there before the last is generated, and usage comes', async () => {
    const stream = await client.chat.completions.create({
      model,
      messages: [{ role: 'user', content: 'Tell a story about a lighthouse.' }],
      temperature: 0,
      max_tokens: 120,
      stream: true,
      stream_options: { include_usage: true },
    })
    let text = ''
    let tokens = 0
    let stillBusyAtFirst: boolean | undefined
    for await (const chunk of stream) {
      text += chunk.choices[0]?.delta.content ?? ''
      tokens = chunk.usage?.completion_tokens ?? tokens
      if (text !== '') stillBusyAtFirst ??= (await busySlots(test)) > 0
    }
    assert.ok(text.length > 100, text)
    assert.ok(tokens > 60, `${tokens} tokens`)
    assert.equal(stillBusyAtFirst, true, 'the engine had finished when the first token arrived')
  })

  it('continues a text on /v1/completions, plainly and as a stream, with the same words', async () => {
    const request = { model, prompt: 'The capital of France is', temperature: 0, max_tokens: 8, seed: 1 }
    const plain = await client.completions.create(request)
    assert.match(plain.choices[0]?.text ?? '', /Paris/)
    assert.equal(plain.object, 'text_completion')
    assert.equal(plain.usage?.completion_tokens, 8)
    let text = ''
    let chunks = 0
    for await (const chunk of await client.completions.create({ ...request, stream: true })) {
      text += chunk.choices[0]?.text ?? ''
      chunks += 1
    }
    assert.equal(text, plain.choices[0]?.text)
    assert.ok(chunks > 3, `${chunks} chunks`)
  })

  it('counts the tokens of each stream, and shows the account to who asked alone', async () => {
    const stream = true as const
    const request = { model, messages: [question], temperature: 0, max_completion_tokens: 7, stream }
    let accounts = 0
    let finish: string | null | undefined
    for await (const chunk of await client.chat.completions.create(request)) {
      accounts += chunk.choices.length === 0 ? 1 : 0
      finish = chunk.choices[0]?.finish_reason ?? finish
    }
    assert.deepEqual([accounts, finish], [0, 'length'])
    const asking = { ...request, n: 2, temperature: 1, stream_options: { include_usage: true } }
    const told: number[] = []
    const finished = new Set<number>()
    for await (const { choices, usage } of await client.chat.completions.create(asking)) {
      if (usage !== undefined && usage !== null) told.push(usage.completion_tokens)
      for (const { index, finish_reason } of choices) if (finish_reason !== null) finished.add(index)
    }
    // This engine accounts for each choice by itself.
    assert.deepEqual([told, finished.size], [[7, 7], 2])
  })

  it('writes what a schema wants, with the probability of each token, and no longer than it may', async () => {
    const schema = { type: 'object', properties: { city: { type: 'string', maxLength: 20 } }, required: ['city'] }
    const answer = await client.chat.completions.create({
      model,
      messages: [question],
      temperature: 0,
      seed: 7,
      max_completion_tokens: 48,
      response_format: { type: 'json_schema', json_schema: { name: 'capital', schema, strict: true } },
    })
    assert.deepEqual(Object.keys(JSON.parse(answer.choices[0]?.message.content ?? '')), ['city'])
    const short = await client.chat.completions.create({
      model,
      messages: [question],
      temperature: 0,
      max_completion_tokens: 3,
      logprobs: true,
      top_logprobs: 2,
    })
    const tokens = short.choices[0]?.logprobs?.content ?? []
    assert.deepEqual([tokens.length, short.choices[0]?.finish_reason, short.model], [3, 'length', model])
    for (const { logprob, top_logprobs } of tokens) assert.ok(logprob <= 0 && top_logprobs.length === 2)
  })

  it('says by its code that a conversation is too long', async () => {
    const words = { role: 'user', content: 'hello '.repeat(8_000) } as const
    await assert.rejects(
      client.chat.completions.create({ model, messages: [words] }),
      (error) => error instanceof OpenAI.BadRequestError && error.code === 'context_length_exceeded',
    )
  })

  it('says what its model is for, and lets no engine be asked for work that no model does', async () => {
    assert.equal((await client.models.retrieve(model)).id, model)
    await assert.rejects(
      client.embeddings.create({ model, input: 'x' }),
      (error) => error instanceof OpenAI.BadRequestError && error.code === 'wrong_task',
    )
  })

  it('carries 20 streams side by side, each whole', () => carryTwentyStreams(client))

  it('frees the slot of the engine within a second when the caller leaves a stream', async () => {
    const leave = new AbortController()
    const response = await test.chat({ stream: true, max_tokens: 1000, ignore_eos: true }, { signal: leave.signal })
    await response.body?.getReader().read()
    assert.equal(await busySlots(test), 1)
    leave.abort()
    await waitUntil(async () => (await busySlots(test)) === 0, 1_000, 'the slot is free')
  })

  it("becomes the openai package's own errors for a wrong key, an unknown model and a picture", async () => {
    const stranger = new OpenAI({ baseURL: `${test.chain.gatewayUrl}/v1`, apiKey: 'hk_wrong', maxRetries: 0 })
    const ask = (with_: OpenAI, name: string) => with_.chat.completions.create({ model: name, messages: [question] })
    await assert.rejects(ask(stranger, model), OpenAI.AuthenticationError)
    await assert.rejects(ask(client, 'gpt-5'), OpenAI.NotFoundError)
    const picture = { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } } as const
    await assert.rejects(
      client.chat.completions.create({ model, messages: [{ role: 'user', content: [picture] }] }),
      (error) =>
        error instanceof OpenAI.BadRequestError && error.code === 'model_has_no_vision' && error.requestID !== null,
    )
  })

  it('ends a stream with one error event when the engine is killed, and answers again when it is back', async () => {
    const stream = await client.chat.completions.create({
      model,
      messages: [question],
      max_tokens: 1500,
      stream: true,
      ...{ ignore_eos: true },
    })
    const read = async () => {
      let chunks = 0
      for await (const _ of stream) {
        chunks += 1
        if (chunks === 5) test.kill('engine')
      }
    }
    await assert.rejects(read(), (error) => error instanceof OpenAI.APIError && error.code === 'engine_died')
    await test.ready(30_000, 'the engine is back')
    const answer = await client.chat.completions.create({ model, messages: [question], temperature: 0, max_tokens: 16 })
    assert.match(answer.choices[0]?.message.content ?? '', /Paris|France/)
  })
})

describe('a real model straight behind the gateway', () => {
  it('carries 20 streams side by side, each whole, though it closes every connection after a stream', async () => {
    await using test = await startTestChain({ engine: embedded(), road: 'direct' })
    await carryTwentyStreams(
      new OpenAI({ baseURL: `${test.chain.gatewayUrl}/v1`, apiKey: test.chain.key, maxRetries: 0 }),
    )
  })
})

/** Twice, so that the second round meets whatever connections the first one left behind. */
async function carryTwentyStreams(client: OpenAI): Promise<void> {
  const one = async (index: number) => {
    const stream = await client.chat.completions.create({
      model,
      messages: [{ role: 'user', content: `Count from ${index} upwards.` }],
      max_tokens: 16,
      stream: true,
    })
    let finish: string | null | undefined
    for await (const chunk of stream) finish = chunk.choices[0]?.finish_reason ?? finish
    return finish
  }
  for (let round = 0; round < 2; round += 1) {
    const finishes = await Promise.all(Array.from({ length: 20 }, (_, index) => one(index)))
    for (const finish of finishes) assert.match(finish ?? 'none', /^(length|stop)$/)
  }
}

/** How many slots of the engine are at work, asked of the engine itself. */
async function busySlots({ chain }: TestChain): Promise<number> {
  const text = await (await fetch(`http://127.0.0.1:${chain.ports.engine}/metrics`)).text()
  return Number(/^llamacpp:requests_processing (\d+)/m.exec(text)?.[1])
}
