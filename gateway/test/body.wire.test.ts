import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { FakeEngine } from './fake-engine.ts'
import { png, webpAnimated } from './fake-pictures.ts'
import type { Gateway } from './harness.ts'
import { assertError, chat, chatBody, endPair, model, startPair } from './wire.ts'

const picture = `data:image/png;base64,${png(8, 8).toString('base64')}`
const saying = (...content: readonly unknown[]) => ({ messages: [{ role: 'user', content }] })

describe('the body of a request', () => {
  let engine: FakeEngine
  let gateway: Gateway
  before(async () => {
    ;({ engine, gateway } = await startPair({
      // A kind that gets no salt for its cache, so that the body is all the caller's.
      engineConfig: { kind: 'openai' },
      sections: {
        models: [{ id: 'seer', engine: 'gpu', served: model, vision: {} }],
        cors: { origins: ['*'] },
      },
    }))
  })
  after(async () => {
    await endPair({ engine, gateway })
  })

  const ask = (fields: object) => chat(gateway, { model: 'seer', ...fields })
  const refused = async (fields: object, code: string, param: string) => {
    const before = engine.counts().requests
    const error = await assertError(await ask(fields), 400, code)
    assert.equal(error['param'], param)
    assert.equal(engine.counts().requests, before, 'a refused request reached the engine')
    return String(error['message'])
  }
  /** What the engine got of a request that was answered. */
  const received = async (fields: object) => {
    const response = await ask(fields)
    assert.equal(response.status, 200, await response.text())
    return { json: engine.requests.at(-1)?.json, dropped: response.headers.get('x-hearth-dropped-fields') }
  }

  it('loses the fields that nobody listed, and the answer names them', async () => {
    const { json, dropped } = await received({ ignore_eos: true, min_tokens: 9e9, user: 'me', store: true, seed: 1 })
    assert.deepEqual(json, { ...JSON.parse(chatBody({ model })), seed: 1 })
    assert.equal(dropped, 'ignore_eos, min_tokens')
  })

  it('keeps every field that is listed, and then the answer names none', async () => {
    const fields = {
      temperature: 0.5,
      top_k: 3,
      stop: ['a'],
      tools: [{ type: 'function', function: { name: 'f', parameters: { properties: { uuid: {}, image_url: {} } } } }],
      tool_choice: 'auto',
      chat_template_kwargs: { enable_thinking: false },
      ...saying({ type: 'text', text: 'é' }, { type: 'image_url', image_url: { url: picture, detail: 'low' } }),
    }
    const { json, dropped } = await received(fields)
    assert.deepEqual(json, { ...JSON.parse(chatBody({ model })), ...fields })
    assert.equal(dropped, null)
  })

  it('loses the uuid of a picture, by which an engine would answer with the picture of somebody else', async () => {
    const part = { type: 'image_url', image_url: { url: picture } }
    const { json } = await received(saying({ uuid: 'guessed', ...part }, { ...part, uuid: 'guessed' }))
    assert.deepEqual((json as { messages: unknown }).messages, saying(part, part).messages)
  })

  it('is refused where a field reaches into the engine', async () => {
    for (const name of [
      'chat_template',
      'mm_processor_kwargs',
      'cache_salt',
      'priority',
      'kv_transfer_params',
      'guided_json',
    ])
      assert.match(await refused({ [name]: 'x' }, 'forbidden_field', name), new RegExp(`"${name}"`))
    const kwargs = { chat_template_kwargs: { chat_template: '{{ x }}' } }
    await refused(kwargs, 'forbidden_field', 'chat_template_kwargs.chat_template')
  })

  it('is refused where a value is beyond its bound', async () => {
    await refused({ n: 10_000 }, 'invalid_request', 'n')
    await refused({ stop: ['1', '2', '3', '4', '5'] }, 'invalid_request', 'stop')
    await refused({ top_logprobs: 21 }, 'invalid_request', 'top_logprobs')
    const message = await refused({ stop: 'x'.repeat(64 * 1024) }, 'invalid_request', 'stop')
    assert.match(message, /wants at most 65536/)
  })

  it('is refused where the engine would fetch something, or read what is neither text nor picture', async () => {
    for (const url of ['http://169.254.169.254/', 'https://x/y.png', 'file:///etc/passwd'])
      assert.match(
        await refused(
          saying({ type: 'image_url', image_url: { url } }),
          'remote_picture',
          'messages[0].content[0].image_url.url',
        ),
        /base64/,
      )
    for (const type of ['video_url', 'input_audio', 'file', 'image_embeds'])
      await refused(saying({ type, [type]: { url: picture } }), 'unsupported_content', 'messages[0].content[0].type')
    const bare = saying({ type: 'image_url', image_url: null, uuid: 'guessed' })
    await refused(bare, 'invalid_request', 'messages[0].content[0].image_url')
  })

  it('is refused where its picture is a bomb, a film, something else than it says, or cut', async () => {
    const show = (file: Buffer, type = 'image/png') =>
      saying({ type: 'image_url', image_url: { url: `data:${type};base64,${file.toString('base64')}` } })
    await refused(show(png(30_000, 30_000)), 'picture_too_large', 'image_url')
    await refused(show(webpAnimated(8, 8), 'image/webp'), 'unsupported_picture', 'image_url')
    await refused(show(png(8, 8), 'image/jpeg'), 'bad_picture', 'image_url')
    await refused(show(png(8, 8).subarray(0, 20)), 'bad_picture', 'image_url')
    await refused(show(Buffer.from('<svg/>'), 'image/svg+xml'), 'unsupported_picture', 'image_url')
    const nine = Array.from({ length: 9 }, () => ({ type: 'image_url', image_url: { url: picture } }))
    await refused(saying(...nine), 'too_many_pictures', 'messages')
  })

  it('is refused where an engine might read it in another way than the gateway', async () => {
    const before = engine.counts().requests
    for (const body of [
      '{"model":"seer","n":1,"n":10000,"messages":[]}',
      '{"model":"seer","m\\u0065ssages":[]}',
      '{"model":"seer","messages":[{"role":"user","content":[{"image\\u005furl":"http://x"}]}]}',
    ])
      await assertError(await chat(gateway, {}, { body }), 400, 'invalid_json')
    assert.equal(engine.counts().requests, before)
  })

  it('lets a page of another origin read which fields were dropped', async () => {
    const headers = { authorization: `Bearer ${gateway.key}`, origin: 'https://page.example' }
    const response = await chat(gateway, {}, { body: chatBody({ model: 'seer', x: 1 }), headers })
    await response.text()
    assert.match(response.headers.get('access-control-expose-headers') ?? '', /x-hearth-dropped-fields/)
  })
})
