import { deepEqual, equal, ok } from 'node:assert/strict'
import { test } from 'node:test'
import { HearthError } from '../errors.ts'
import { type BodyKind, readFields, rebuildBody } from './fields.ts'

/** The least that each kind wants. */
const least: Readonly<Record<BodyKind, object>> = {
  chat: { model: 'm', messages: [{ role: 'user', content: 'a' }] },
  completions: { model: 'm', prompt: 'a' },
  embeddings: { model: 'm', input: 'a' },
  rerank: { model: 'm', query: 'a', documents: ['a'] },
}
const kinds = ['chat', 'completions', 'embeddings', 'rerank'] as const

/** What became of a body: what the engine gets and what was dropped, or the code of the refusal. */
async function outcomeOf(
  body: object,
  kind: BodyKind,
): Promise<{ sent?: object; dropped?: readonly string[]; code?: string }> {
  const bytes = Buffer.from(JSON.stringify(body))
  try {
    const fields = await readFields(bytes, kind, { strictFields: false })
    const sent = JSON.parse(Buffer.concat(rebuildBody(bytes, fields, { model: 'm', cacheSalt: undefined })).toString())
    return { sent, dropped: fields.dropped }
  } catch (error) {
    return { code: error instanceof HearthError ? error.code : String(error) }
  }
}

/** Holds that a field of a kind reaches the engine with each of the values. */
async function passes(kind: BodyKind, name: string, values: readonly unknown[]): Promise<void> {
  for (const value of values) {
    const { sent, code } = await outcomeOf({ ...least[kind], [name]: value }, kind)
    deepEqual(
      [code, sent && Reflect.get(sent, name)],
      [undefined, value],
      `${kind}.${name} ${JSON.stringify(value)?.slice(0, 80)}`,
    )
  }
}

async function refuses(kind: BodyKind, name: string, values: readonly unknown[], code = 'invalid_request') {
  for (const value of values) {
    const outcome = await outcomeOf({ ...least[kind], [name]: value }, kind)
    equal(outcome.code, code, `${kind}.${name} ${JSON.stringify(value)?.slice(0, 80)}`)
  }
}

/** A range of whole numbers, or of any, with null as "nothing asked". */
async function range(kind: BodyKind, name: string, min: number, max: number, isWhole: boolean): Promise<void> {
  await passes(kind, name, [min, max, null, ...(isWhole ? [] : [min + 0.25])])
  const step = isWhole ? 1 : 0.01
  await refuses(kind, name, [min - step, max + step, '1', true, [], {}, ...(isWhole ? [min + 0.5] : [])])
}

async function flag(kind: BodyKind, name: string): Promise<void> {
  await passes(kind, name, [true, false, null])
  await refuses(kind, name, [1, 'true', [], {}])
}

const long = (characters: number) => 'x'.repeat(characters)
const list = <T>(count: number, one: T) => Array<T>(count).fill(one)

for (const kind of ['chat', 'completions'] as const)
  test(`${kind}: how the next token is chosen has its bounds`, async () => {
    await range(kind, 'max_tokens', 0, 10_000_000, true)
    await range(kind, 'temperature', 0, 2, false)
    await range(kind, 'top_p', 0, 1, false)
    await range(kind, 'top_k', -1, 1_000_000, true)
    await range(kind, 'min_p', 0, 1, false)
    await range(kind, 'n', 1, 4, true)
    await range(kind, 'presence_penalty', -2, 2, false)
    await range(kind, 'frequency_penalty', -2, 2, false)
    await range(kind, 'repetition_penalty', 0, 10, false)
    await passes(kind, 'seed', [0, -5, 7, null])
    await refuses(kind, 'seed', [1.5, '1', 1e20, -1e20])
    await passes(kind, 'stop', ['a', [], list(4, 'a'), null])
    await refuses(kind, 'stop', [list(5, 'a'), [1], 1, true, {}])
    await flag(kind, 'stream')
  })

test('the weights of tokens are numbers from -100 to 100, and not more than 1,024', async () => {
  await passes('chat', 'logit_bias', [{}, { 1: 100, 2: -100, 3: 0.5 }, null])
  const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, at) => [at, 1]))
  await passes('chat', 'logit_bias', [many(1024)])
  await refuses('chat', 'logit_bias', [
    many(1025),
    { 1: 101 },
    { 1: -101 },
    { 1: 100.5 },
    { 1: '1' },
    { 1: null },
    [],
    1,
  ])
})

test('of the options of a stream two are known', async () => {
  const both = { include_usage: true, continuous_usage_stats: false }
  await passes('chat', 'stream_options', [both, { include_usage: null, continuous_usage_stats: null }, {}, null])
  await refuses('chat', 'stream_options', [{ include_usage: 1 }, { continuous_usage_stats: 'a' }, [], true])
  const { sent, dropped } = await outcomeOf(
    { ...least.chat, stream_options: { include_obfuscation: true, x: 1 } },
    'chat',
  )
  deepEqual([sent && Reflect.get(sent, 'stream_options'), dropped], [{}, ['stream_options.x']])
})

test('the form of an answer is one of three, with a schema that fits its place', async () => {
  const schema = { type: 'object', properties: { a: { type: 'string' } } }
  await passes('chat', 'response_format', [
    ...[{ type: 'text' }, { type: 'json_object' }, { type: 'json_object', schema }, null],
    { type: 'json_schema', json_schema: { name: long(256), description: null, schema, strict: null } },
    { type: 'json_schema', json_schema: { description: 'a', schema: null, strict: true } },
    { type: 'json_schema', json_schema: null },
    { type: 'text', schema: null },
  ])
  await refuses('chat', 'response_format', [
    ...[{}, { type: 'regex' }, { type: 1 }, 'text', []],
    ...[{ name: long(257) }, { name: 1 }, { description: 1 }, { schema: 'a' }, { strict: 1 }, 'a'].map(
      (json_schema) => ({
        type: 'json_schema',
        json_schema,
      }),
    ),
    { type: 'json_object', schema: 'a' },
    { type: 'json_object', schema: { type: 'nothing' } },
    { type: 'json_schema', json_schema: { schema: { type: 'nothing' } } },
  ])
})

test('structured outputs are a schema, JSON or a choice, never a grammar', async () => {
  const choice = list(1000, 'a')
  const json = { type: 'object' }
  await passes('chat', 'structured_outputs', [
    { json },
    { json: null },
    { json_object: true },
    { json_object: null },
    { choice },
    { choice: ['a'] },
    { choice: null },
    null,
  ])
  await refuses('chat', 'structured_outputs', [
    { json: 1 },
    { json_object: 1 },
    { choice: [] },
    { choice: [...choice, 'b'] },
    { choice: [1] },
    { choice: 'a' },
    [],
    { json: { type: 'nothing' } },
  ])
  for (const name of ['regex', 'grammar', 'structural_tag', 'whitespace_pattern'])
    await refuses('chat', 'structured_outputs', [{ [name]: 'a' }, { [name]: null }], 'forbidden_field')
})

test('a tool is a function with a name of 1 to 256 characters', async () => {
  const tool = (more: object, type: unknown = 'function') => [{ type, function: { name: 'f', ...more } }]
  await passes('chat', 'tools', [
    ...[[], null, list(256, tool({})[0]), tool({ name: long(256), description: null, parameters: null, strict: null })],
    tool({ description: 'a', parameters: { type: 'object' }, strict: true }),
  ])
  await refuses('chat', 'tools', [
    ...[
      list(257, tool({})[0]),
      tool({ name: '' }),
      tool({ name: long(257) }),
      tool({ name: 1 }),
      tool({ description: 1 }),
    ],
    ...[tool({ parameters: 'a' }), tool({ parameters: { type: 'nothing' } }), tool({ strict: 1 }), tool({}, 'code')],
    ...[[{ type: 'function' }], [{ function: { name: 'f' } }], [{ type: 'function', function: {} }], ['f'], {}, 'auto'],
  ])
})

test('the choice of a tool is a word or a function by its name', async () => {
  const named = { type: 'function', function: { name: 'f' } }
  await passes('chat', 'tool_choice', ['none', 'auto', 'required', null, named])
  await refuses('chat', 'tool_choice', [
    ...['any', 1, true, {}, { type: 'function' }, { function: { name: 'f' } }, { ...named, type: 'code' }],
    ...[
      { type: 'function', function: {} },
      { type: 'function', function: { name: '' } },
      { type: 'function', function: 1 },
    ],
  ])
})

test('what only a chat knows has its bounds', async () => {
  await range('chat', 'max_completion_tokens', 0, 10_000_000, true)
  await range('chat', 'top_logprobs', 0, 20, true)
  await flag('chat', 'logprobs')
  await flag('chat', 'parallel_tool_calls')
  await passes('chat', 'reasoning_effort', ['none', 'minimal', 'low', 'medium', 'high', 'xhigh', 'max', null])
  await refuses('chat', 'reasoning_effort', ['more', '', 1, true])
  await passes('chat', 'chat_template_kwargs', [{}, { enable_thinking: true, thinking: false }, null])
  await refuses('chat', 'chat_template_kwargs', [{ enable_thinking: 1 }, { thinking: 'a' }, { thinking: null }, [], 1])
  await refuses('chat', 'chat_template_kwargs', [{ other: true }], 'forbidden_field')
  await refuses('chat', 'messages', ['a', {}, 1, null, [1], ['a'], [null]])
})

test('a message has a role that templates know, and what goes with it', async () => {
  const say = (more: object) => [{ role: 'user', ...more }]
  const call = (more: object, type: unknown = 'function') =>
    say({ tool_calls: [{ type, function: { name: 'f', arguments: '{}', ...more } }] })
  for (const role of ['system', 'developer', 'user', 'assistant', 'tool', 'function'])
    await passes('chat', 'messages', [[{ role, content: 'a' }]])
  await passes('chat', 'messages', [
    say({
      content: null,
      name: null,
      tool_calls: null,
      tool_call_id: null,
      refusal: null,
      reasoning: null,
      reasoning_content: null,
    }),
    say({
      content: 'a',
      name: long(256),
      tool_calls: [],
      tool_call_id: long(256),
      refusal: 'a',
      reasoning: 'a',
      reasoning_content: 'a',
    }),
    say({ content: [] }),
    ...[
      call({}),
      call({ name: long(256) }),
      say({ tool_calls: [{ id: long(256), function: { name: 'f', arguments: '' } }] }),
    ],
    say({ tool_calls: list(256, { function: { name: 'f', arguments: '' } }) }),
  ])
  await refuses('chat', 'messages', [
    ...[[{}], [{ content: 'a' }], [{ role: 'root' }], [{ role: 1 }], [{ role: null }]],
    ...[
      { content: 1 },
      { content: {} },
      { name: long(257) },
      { name: 1 },
      { tool_calls: {} },
      { tool_call_id: long(257) },
    ].map(say),
    ...[{ tool_call_id: 1 }, { refusal: 1 }, { reasoning: 1 }, { reasoning_content: 1 }, { tool_calls: [{}] }].map(say),
    ...[{ name: '' }, { name: long(257) }, { name: 1 }, { arguments: 1 }].map((more) => call(more)),
    ...[call({}, 'code'), say({ tool_calls: [{ id: 1, function: { name: 'f', arguments: '' } }] })],
    say({ tool_calls: [{ id: long(257), function: { name: 'f', arguments: '' } }] }),
    ...[say({ tool_calls: [{ function: { name: 'f' } }] }), say({ tool_calls: [{ function: { arguments: '' } }] })],
    say({ tool_calls: list(257, { function: { name: 'f', arguments: '' } }) }),
  ])
  await refuses('chat', 'messages', [say({ image_url: 'a' }), say({ input_image: 'a' })], 'remote_picture')
})

test('a part of a message is a text or a picture in itself', async () => {
  const url = 'data:image/png;base64,AAAA'
  const say = (part: unknown) => [{ role: 'user', content: [part] }]
  for (const type of ['text', 'input_text', 'output_text']) await passes('chat', 'messages', [say({ type, text: 'a' })])
  await passes('chat', 'messages', [
    ...[say({ type: 'refusal', refusal: 'a' }), say({ type: 'thinking', thinking: 'a' })],
    ...['auto', 'low', 'high', 'original', null].map((detail) =>
      say({ type: 'image_url', image_url: { url, detail } }),
    ),
    ...[say({ type: 'image_url', image_url: url }), say({ type: 'input_image', input_image: { url } })],
  ])
  const wrong = [
    { text: 1 },
    { refusal: 1 },
    { thinking: 1 },
    { image_url: 1 },
    { image_url: {} },
    { image_url: { url, detail: 'x' } },
  ]
  await refuses('chat', 'messages', [...wrong.map((more) => say({ type: 'text', ...more })), say('a'), say(1)])
  await refuses('chat', 'messages', [say({ type: 'image_url', image_url: { url: 1 } })])
  const others = [
    'video_url',
    'video',
    'audio_url',
    'audio',
    'input_audio',
    'file_url',
    'file',
    'input_file',
    'image_embeds',
    'audio_embeds',
    'prompt_embeds',
    'image_pil',
  ]
  await refuses(
    'chat',
    'messages',
    [...others.map((name) => say({ [name]: 'a' })), ...[...others, '', 1].map((type) => say({ type }))],
    'unsupported_content',
  )
  const { dropped, sent } = await outcomeOf(
    { ...least.chat, messages: say({ type: 'text', text: 'a', uuid: 'u', y: 1 }) },
    'chat',
  )
  deepEqual(
    [dropped, sent && Reflect.get(sent, 'messages')],
    [['messages.content.y'], say({ type: 'text', text: 'a' })],
  )
})

test('a plain completion takes one to four texts and asks for nothing that costs more', async () => {
  await passes('completions', 'prompt', ['a', ['a'], list(4, 'a'), long(100_000)])
  await refuses('completions', 'prompt', [[], list(5, 'a'), [1], [[1]], null, 1, {}])
  await range('completions', 'logprobs', 0, 20, true)
  await passes('completions', 'best_of', [1, null])
  await passes('completions', 'echo', [false, null])
  await passes('completions', 'suffix', [null])
  for (const [name, values] of [
    ['best_of', [0, 2, '1']],
    ['echo', [true, 1]],
    ['suffix', ['', 'a']],
  ] as const)
    await refuses('completions', name, values, 'forbidden_field')
})

test('vectors are made of up to 2,048 texts, by either name', async () => {
  for (const name of ['input', 'texts']) {
    for (const value of ['a', ['a'], list(2048, 'a'), long(100_000)]) {
      const { sent } = await outcomeOf({ [name]: value }, 'embeddings')
      deepEqual(sent, { model: 'm', input: value }, name)
    }
    for (const value of [[], list(2049, 'a'), [1], null, 1])
      equal((await outcomeOf({ [name]: value }, 'embeddings')).code, 'invalid_request', name)
  }
  equal((await outcomeOf({ model: 'm' }, 'embeddings')).code, 'invalid_request')
  await passes('embeddings', 'encoding_format', ['float', 'base64', null])
  await refuses('embeddings', 'encoding_format', ['hex', 1, true])
  await range('embeddings', 'dimensions', 1, 65_536, true)
})

test('up to 1,000 documents are put in order, as texts or as objects with a text', async () => {
  const ask = async (documents: unknown) =>
    (await outcomeOf({ query: 'a', documents }, 'rerank')) as { sent?: { documents: unknown }; code?: string }
  deepEqual((await ask(['a', { text: 'b', id: 1 }])).sent?.documents, ['a', 'b'])
  equal((await ask(list(1000, 'a'))).code, undefined)
  equal((await ask([long(100_000)])).code, undefined)
  for (const wrong of [[], list(1001, 'a'), [1], [{}], [{ text: 1 }], 'a', null])
    equal((await ask(wrong)).code, 'invalid_request')
  await passes('rerank', 'query', ['b', long(100_000)])
  await refuses('rerank', 'query', [1, null, ['a']])
  for (const part of [{ query: 'a' }, { documents: ['a'] }])
    equal((await outcomeOf(part, 'rerank')).code, 'invalid_request')
  await range('rerank', 'top_n', 0, 1000, true)
  await flag('rerank', 'return_documents')
})

test('in every kind a model has a name of 1 to 256 characters', async () => {
  for (const kind of kinds) {
    equal((await outcomeOf({ ...least[kind], model: long(256) }, kind)).code, undefined, kind)
    await refuses(kind, 'model', ['', long(257), 1, null, {}])
  }
  for (const kind of ['chat', 'completions'] as const)
    equal((await outcomeOf({ ...least[kind], model: undefined }, kind)).code, 'invalid_request')
})

test('in every kind the fields of accounts are dropped without a word, and unknown ones with their names', async () => {
  const account = [
    'user',
    'metadata',
    'store',
    'service_tier',
    'safety_identifier',
    'prompt_cache_key',
    'prompt_cache_retention',
  ]
  for (const kind of kinds) {
    const body = { ...least[kind], ...Object.fromEntries(account.map((name) => [name, 'a'])), unheard_of: 1 }
    const { sent, dropped } = await outcomeOf(body, kind)
    deepEqual([sent, dropped], [least[kind], ['unheard_of']], kind)
  }
})

test('in every kind what reaches into the engine is refused, whatever its value', async () => {
  const inner = [
    ...['chat_template', 'media_io_kwargs', 'mm_processor_kwargs', 'prompt_embeds', 'kv_transfer_params'],
    ...['ec_transfer_params', 'vllm_xargs', 'cache_salt', 'priority', 'request_id', 'session_id', 'use_beam_search'],
    ...[
      'truncate_prompt_tokens',
      'truncation_side',
      'prompt_logprobs',
      'add_generation_prompt',
      'continue_final_message',
    ],
    ...['add_special_tokens', 'stream_interval', 'guided_json', 'guided_', 'guided_anything'],
  ]
  for (const kind of kinds) for (const name of inner) await refuses(kind, name, [1, null], 'forbidden_field')
  for (const kind of ['chat', 'embeddings', 'rerank'] as const)
    for (const name of ['best_of', 'echo']) await refuses(kind, name, [1, null, false], 'forbidden_field')
  for (const kind of ['chat', 'completions', 'embeddings'] as const)
    await refuses(kind, 'documents', [[], null], 'forbidden_field')
  ok((await outcomeOf({ ...least.chat, guide: 1 }, 'chat')).dropped?.includes('guide'))
})

test('what an answer carried and comes back with the conversation is dropped without a word', async () => {
  const call = { function: { name: 'f', arguments: '{}' } }
  const kept = { role: 'assistant', tool_calls: [call] }
  const messages = [{ ...kept, annotations: [], audio: {}, function_call: {}, tool_calls: [{ ...call, index: 0 }] }]
  const { sent, dropped } = await outcomeOf({ ...least.chat, messages }, 'chat')
  deepEqual([sent, dropped], [{ model: 'm', messages: [kept] }, []])
})
