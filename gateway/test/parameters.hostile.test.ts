import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { fuzzGateway, fuzzModels } from './body-fuzz.ts'
import type { FakeEngine } from './fake-engine.ts'
import type { Gateway } from './harness.ts'
import { assertError, endPair, model, startPair } from './wire.ts'

const seed = Number(process.env['HEARTH_TEST_SEED'] ?? Date.now() % 1_000_000)
const chat = '/v1/chat/completions'
const completions = '/v1/completions'
const embeddings = '/v1/embeddings'
const messages = [{ role: 'user', content: 'Hi' }]
const saying = (part: object) => ({ messages: [{ role: 'user', content: [part] }] })
const calling = (parameters: unknown) => ({ tools: [{ type: 'function', function: { name: 'f', parameters } }] })
const asking = (schema: unknown) => ({
  response_format: { type: 'json_schema', json_schema: { name: 's', schema } },
})
const nested = (levels: number): object => (levels === 0 ? {} : { properties: { a: nested(levels - 1) } })

/** What took down or opened an engine once: its name, the fields that did it, the code that stops it here, the route. */
const payloads: readonly (readonly [id: string, fields: object, code: string, path?: string])[] = [
  ['PYSEC-2026-4344 chat_template', { chat_template: '{% for i in range(10**9) %}{% endfor %}' }, 'forbidden_field'],
  ['PYSEC-2026-4349 template in kwargs', { chat_template_kwargs: { chat_template: '{{ 1 }}' } }, 'forbidden_field'],
  ['CVE-2025-61620 kwargs of the template', { chat_template_kwargs: { tokenize: false } }, 'forbidden_field'],
  ['CVE-2025-61620 a switch that is no switch', { chat_template_kwargs: { thinking: { a: 1 } } }, 'invalid_request'],
  ['CVE-2026-34756 huge n', { n: 1_000_000 }, 'invalid_request'],
  ['CVE-2026-34756 huge n, plain', { n: 16_384 }, 'invalid_request', completions],
  ['CVE-2026-34756 best_of', { best_of: 1_000_000 }, 'forbidden_field', completions],
  ['CVE-2026-55574 regex', { structured_outputs: { regex: '(a+)+$' } }, 'forbidden_field'],
  ['CVE-2026-55574 grammar', { structured_outputs: { grammar: 'root ::= root' } }, 'forbidden_field', completions],
  ['CVE-2026-55574 structural tag', { structured_outputs: { structural_tag: '{}' } }, 'forbidden_field'],
  [
    'CVE-2026-55574 pattern in a schema',
    asking({ type: 'string', pattern: '((a{1,99}){1,99}){1,99}' }),
    'invalid_request',
  ],
  ['CVE-2025-29770 the older regex', { guided_regex: '.*' }, 'forbidden_field'],
  ['CVE-2026-105757 the older schema', { guided_json: { type: 'object' } }, 'forbidden_field', completions],
  ['PYSEC-2026-4199 a schema of 65 KiB', asking({ description: 'x'.repeat(66_000) }), 'invalid_request'],
  ['PYSEC-2026-4199 a schema of 33 levels', asking(nested(17)), 'invalid_request'],
  ['CVE-2025-48944 a type that is none', calling({ type: 'something' }), 'invalid_request'],
  ['CVE-2025-48944 a pattern that is none', calling({ properties: { a: { pattern: '(' } } }), 'invalid_request'],
  ['CVE-2025-48944 tools that are none', { tools: [{ type: 'function', function: 'f' }] }, 'invalid_request'],
  ['CVE-2026-105756 cache_salt', { cache_salt: 'x'.repeat(100_000) }, 'forbidden_field'],
  ['CVE-2026-105758 media_io_kwargs', { media_io_kwargs: { video: { fps: 1e9 } } }, 'forbidden_field'],
  [
    'CVE-2026-105760 video',
    saying({ type: 'video_url', video_url: { url: 'data:video/mp4;base64,AA' } }),
    'unsupported_content',
  ],
  [
    'CVE-2026-100650 media of elsewhere',
    saying({ type: 'image_url', image_url: { url: 'http://10.0.0.1/' } }),
    'remote_picture',
  ],
  [
    'CVE-2026-24779 a host in disguise',
    saying({ type: 'image_url', image_url: { url: 'http://a\\@10.0.0.1/' } }),
    'remote_picture',
  ],
  ['CVE-2026-25960 its bypass', saying({ type: 'input_image', image_url: 'HTTP://127.0.0.1/' }), 'remote_picture'],
  ['CVE-2025-6242 files', saying({ type: 'image_url', image_url: { url: 'file:///etc/passwd' } }), 'remote_picture'],
  ['CVE-2026-56340 image embeds', saying({ type: 'image_embeds', image_embeds: 'AAAA' }), 'unsupported_content'],
  ['CVE-2026-73557 prompt embeds', { prompt_embeds: ['AAAA'] }, 'forbidden_field', completions],
  ['CVE-2025-62164 prompt embeds in a part', saying({ type: 'text', prompt_embeds: 'AAAA' }), 'unsupported_content'],
  ['CVE-2026-44222 ids of special tokens', { prompt: [[151_655, 151_655]] }, 'invalid_request', completions],
  ['CVE-2026-44222 ids of special tokens, embedded', { input: [151_655] }, 'invalid_request', embeddings],
]

describe('R18: the parameters of a request', () => {
  let engine: FakeEngine
  let gateway: Gateway
  before(async () => {
    ;({ engine, gateway } = await startPair({ sections: { models: fuzzModels(model) } }))
  })
  after(async () => {
    await endPair({ engine, gateway })
  })

  const ask = (path: string, fields: object): Promise<Response> => {
    const least = {
      [chat]: { model: 'talker', messages },
      [completions]: { model: 'talker', prompt: 'Hi' },
      [embeddings]: { model: 'embedder', input: 'Hi' },
    }[path]
    const headers = { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/json' }
    return fetch(`${gateway.url}${path}`, { method: 'POST', headers, body: JSON.stringify({ ...least, ...fields }) })
  }

  it('are thirty, each of which has hurt an engine once', () => {
    assert.equal(payloads.length, 30)
  })

  for (const [id, fields, code, path = chat] of payloads) {
    it(`do not reach the engine as ${id}`, async () => {
      await (await ask(path, {})).text()
      const before = engine.counts().requests
      await assertError(await ask(path, fields), 400, code)
      assert.equal(engine.counts().requests, before)
    })
  }

  it('lose what LiteLLM obeyed: an address of the caller, at the top or nested', async () => {
    for (const fields of [
      { api_base: 'http://evil/' },
      { user_config: { model_list: [{ api_base: 'http://evil/' }] } },
    ]) {
      const response = await ask(chat, fields)
      assert.equal(response.status, 200, await response.text())
      assert.doesNotMatch(JSON.stringify(engine.requests.at(-1)?.json), /evil/)
    }
  })

  it('reach the engine only as far as a list allows, in ten thousand fuzzed bodies, at any depth', async () => {
    engine.reset()
    const { sent, answered, byCode, forbidden } = await fuzzGateway({ engine, gateway }, 10_000, seed)
    console.log(`seed ${seed}: ${sent} bodies, ${answered} reached the engine`, JSON.stringify(byCode))
    assert.deepEqual(forbidden, [])
    assert.ok(answered > sent / 20 && answered < sent, `${answered} of ${sent} reached the engine`)
    assert.equal(byCode['internal_error'], undefined)
  })
})
