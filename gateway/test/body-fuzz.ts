import { equal } from 'node:assert/strict'
import { findForbidden } from './engine-body-check.ts'
import type { FakeEngine } from './fake-engine.ts'
import { png } from './fake-pictures.ts'
import type { Gateway } from './harness.ts'

/** Numbers that look like chance and come again with the same seed. */
export function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

const picture = `data:image/png;base64,${png(8, 8).toString('base64')}`
const call = { id: 'c1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } }
const tool = {
  type: 'function',
  function: { name: 'f', parameters: { type: 'object', properties: { a: {} } }, strict: true },
}
const sampling = {
  max_tokens: 5,
  temperature: 0.5,
  n: 2,
  stop: ['a', 'b'],
  logit_bias: { 5: 1 },
  stream_options: { include_usage: true },
  response_format: { type: 'json_schema', json_schema: { name: 's', schema: { type: 'object' } } },
  structured_outputs: { choice: ['a', 'b'] },
}
/** A rich body of each kind, of which fuzzed ones are made. */
const seeds = {
  '/v1/chat/completions': {
    model: 'talker',
    messages: [
      { role: 'system', content: 'Be brief.' },
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Hi' },
          { type: 'image_url', image_url: { url: picture } },
        ],
      },
      { role: 'assistant', content: null, tool_calls: [call] },
      { role: 'tool', tool_call_id: 'c1', content: 'done' },
    ],
    ...sampling,
    tools: [tool],
    tool_choice: { type: 'function', function: { name: 'f' } },
    chat_template_kwargs: { enable_thinking: false },
    logprobs: true,
    top_logprobs: 3,
  },
  '/v1/completions': { model: 'talker', prompt: ['Hi', 'Ho'], ...sampling, logprobs: 3 },
  '/v1/embeddings': { model: 'embedder', input: ['Hi', 'Ho'], encoding_format: 'float', dimensions: 8 },
  '/v1/rerank': { model: 'ranker', query: 'Hi', documents: ['Hi', { text: 'Ho' }], top_n: 1 },
} as const
export type FuzzPath = keyof typeof seeds
export const fuzzPaths = Object.keys(seeds) as FuzzPath[]
/** Models for a gateway that the fuzzed bodies are for. */
export const fuzzModels = (served: string) => [
  { id: 'talker', engine: 'gpu', served, vision: {} },
  { id: 'embedder', engine: 'gpu', served, task: 'embed' },
  { id: 'ranker', engine: 'gpu', served, task: 'rerank' },
]

/** Names that engines obey, or that stand elsewhere in a body, or nowhere. */
const keys = (
  'chat_template chat_template_kwargs media_io_kwargs mm_processor_kwargs prompt_embeds kv_transfer_params vllm_xargs cache_salt ' +
  'priority request_id documents best_of use_beam_search echo suffix prompt_logprobs guided_json guided_regex stop_token_ids ' +
  'ignore_eos min_tokens allowed_token_ids bad_words logits_processors include_reasoning structured_outputs regex grammar ' +
  'structural_tag json choice video_url image_url input_audio image_embeds uuid file url text type role content name function ' +
  'parameters arguments tool_calls user metadata extra_body api_base user_config __proto__ constructor cache_control n stop ' +
  'stream model messages prompt input texts query top_n logprobs lora_request task truncate_prompt_tokens x \u00e9 additional_data'
).split(' ')
const values: readonly unknown[] = [
  null,
  true,
  false,
  0,
  -1,
  5,
  1e308,
  10_000,
  '',
  'x',
  'http://169.254.169.254/',
  picture,
  [],
  {},
  ['a', 'b', 'c', 'd', 'e'],
  [1, 2],
  [[]],
  { url: 'file:///etc/passwd' },
  { type: 'text', text: 'x', cache_control: {} },
  { chat_template: '{{ x }}' },
  { a: { b: { c: { d: {} } } } },
]

/** A body as text: a rich one with keys added, values changed and members doubled at any depth. */
export function fuzzBody(path: FuzzPath, random: (below: number) => number): string {
  const pick = <T>(list: readonly T[]): T | undefined => list[random(list.length)]
  const body: unknown = structuredClone(seeds[path])
  const changes = random(4)
  for (let change = 0; change <= changes; change += 1) {
    const place = pick(objectsOf(body))
    const key = random(8) === 0 ? pick(Object.keys(place ?? {})) : pick(keys)
    if (place !== undefined && key !== undefined) define(place, key, pick([...values, ...objectsOf(body)]))
  }
  const text = JSON.stringify(body)
  if (random(10) > 0) return text
  // Text that no object can be: a key twice, perhaps in escapes.
  const braces = [...text.matchAll(/\{(?=")/g)].map(({ index }) => index + 1)
  const at = pick(braces) ?? 1
  const key = JSON.stringify(pick(keys))
  const written = random(3) === 0 ? key.replace(/[a-z]/, (letter) => `\\u00${letter.charCodeAt(0).toString(16)}`) : key
  return `${text.slice(0, at)}${written}:${JSON.stringify(pick(values))},${text.slice(at)}`
}

function objectsOf(value: unknown): object[] {
  if (typeof value !== 'object' || value === null) return []
  return [...(Array.isArray(value) ? [] : [value]), ...Object.values(value).flatMap(objectsOf)]
}

/** Sets also `__proto__` as a key like others; a copy, so that nothing stands in itself. */
function define(place: object, key: string, value: unknown): void {
  Object.defineProperty(place, key, {
    value: structuredClone(value),
    enumerable: true,
    configurable: true,
    writable: true,
  })
}

export interface FuzzCount {
  readonly sent: number
  /** By the engine. */
  readonly answered: number
  readonly byCode: Readonly<Record<string, number>>
  readonly forbidden: readonly string[]
}

/** Sends fuzzed bodies, and walks what the engine received of them. */
export async function fuzzGateway(
  { engine, gateway }: { readonly engine: FakeEngine; readonly gateway: Gateway },
  count: number,
  seed: number,
): Promise<FuzzCount> {
  const random = randomOf(seed)
  const byCode: Record<string, number> = {}
  const forbidden: string[] = []
  let answered = 0
  const sendOne = async () => {
    const path = fuzzPaths[random(fuzzPaths.length)] ?? '/v1/chat/completions'
    const headers = { authorization: `Bearer ${gateway.key}`, 'content-type': 'application/json' }
    const init = { method: 'POST', headers, body: fuzzBody(path, random) }
    const response = await fetch(`${gateway.url}${path}`, init)
    const text = await response.text()
    const isOurs = response.headers.get('x-hearth-error-source') === 'gateway'
    const code = response.ok ? 'ok' : String(JSON.parse(text).error.code)
    byCode[code] = (byCode[code] ?? 0) + 1
    if (!isOurs) answered += 1
  }
  for (let sent = 0; sent < count; ) {
    const batch = Math.min(count - sent, 200)
    const before = answered
    for (let from = 0; from < batch; from += 8)
      await Promise.all(Array.from({ length: Math.min(8, batch - from) }, sendOne))
    sent += batch
    for (const { path, json } of engine.requests)
      for (const line of findForbidden(path, json))
        forbidden.push(`${path} ${line}: ${JSON.stringify(json).slice(0, 300)}`)
    equal(engine.requests.length, answered - before, 'as many requests reached the engine as it answered')
    engine.reset()
  }
  return { sent: count, answered, byCode, forbidden }
}
