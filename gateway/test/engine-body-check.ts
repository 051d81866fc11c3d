/**
 * What may reach an engine, written down a second time: this file knows nothing of the gateway's tables, so that a
 * mistake there is not repeated here.
 */

/** Keys and what is below them; a list holds many of one kind, `free` is the caller's own. Single values may stand anywhere. */
type Allowed = 'value' | 'free' | readonly [Allowed] | { readonly [key: string]: Allowed }

const format = {
  type: 'value',
  schema: 'free',
  json_schema: { name: 'value', description: 'value', schema: 'free', strict: 'value' },
} as const
const sampling = {
  model: 'value',
  max_tokens: 'value',
  temperature: 'value',
  top_p: 'value',
  top_k: 'value',
  min_p: 'value',
  n: 'value',
  stop: ['value'],
  seed: 'value',
  presence_penalty: 'value',
  frequency_penalty: 'value',
  repetition_penalty: 'value',
  logit_bias: 'free',
  stream: 'value',
  stream_options: { include_usage: 'value', continuous_usage_stats: 'value' },
  response_format: format,
  structured_outputs: { json: 'free', json_object: 'value', choice: ['value'] },
  cache_salt: 'value',
} as const
const picture = { url: 'value', detail: 'value' } as const
const part = {
  type: 'value',
  text: 'value',
  refusal: 'value',
  thinking: 'value',
  image_url: picture,
  input_image: picture,
} as const
const call = { id: 'value', type: 'value', function: { name: 'value', arguments: 'value' } } as const
const message = {
  role: 'value',
  content: [part],
  name: 'value',
  tool_calls: [call],
  tool_call_id: 'value',
  refusal: 'value',
  reasoning: 'value',
  reasoning_content: 'value',
} as const
const tool = {
  type: 'value',
  function: { name: 'value', description: 'value', parameters: 'free', strict: 'value' },
} as const
const allowedByPath: Readonly<Record<string, Allowed>> = {
  '/v1/chat/completions': {
    ...sampling,
    messages: [message],
    max_completion_tokens: 'value',
    tools: [tool],
    tool_choice: { type: 'value', function: { name: 'value' } },
    parallel_tool_calls: 'value',
    logprobs: 'value',
    top_logprobs: 'value',
    reasoning_effort: 'value',
    chat_template_kwargs: { enable_thinking: 'value', thinking: 'value' },
  },
  '/v1/completions': {
    ...sampling,
    prompt: ['value'],
    logprobs: 'value',
    best_of: 'value',
    echo: 'value',
    suffix: 'value',
  },
  '/v1/embeddings': { model: 'value', input: ['value'], encoding_format: 'value', dimensions: 'value' },
  '/v1/rerank': { model: 'value', query: 'value', documents: ['value'], top_n: 'value', return_documents: 'value' },
}
const roles = ['system', 'developer', 'user', 'assistant', 'tool', 'function']

/** What an engine got that it should not have got, one line each; empty where all is well. */
export function findForbidden(path: string, json: unknown): readonly string[] {
  const allowed = allowedByPath[path]
  if (allowed === undefined) return [`${path} is no path of an engine`]
  return [...wrongKeys(json, allowed, ''), ...wrongValues(json)]
}

function wrongKeys(value: unknown, allowed: Allowed, at: string): readonly string[] {
  if (typeof value !== 'object' || value === null) return []
  if (allowed === 'free') return isDeep(value, 32) ? [`${at} is deep`] : []
  if (Array.isArray(value))
    return Array.isArray(allowed) ? value.flatMap((one) => wrongKeys(one, allowed[0], `${at}[]`)) : [`${at} is a list`]
  const keys: unknown = allowed
  if (typeof keys !== 'object' || keys === null || Array.isArray(keys)) return [`${at} is an object`]
  return Object.entries(value).flatMap(([key, inner]) => {
    const below: unknown = Object.hasOwn(keys, key) ? Reflect.get(keys, key) : undefined
    return below === undefined ? [`${at}.${key} is no key`] : wrongKeys(inner, below as Allowed, `${at}.${key}`)
  })
}

/** The bounds that keep an engine alive. */
function wrongValues(json: unknown): readonly string[] {
  if (typeof json !== 'object' || json === null || Array.isArray(json)) return ['the body is no object']
  const body = json as Readonly<Record<string, unknown>>
  const wrong: string[] = []
  const most = (name: string, max: number) => {
    const value = body[name]
    const count = Array.isArray(value) ? value.length : value
    if (typeof count === 'number' && !(count <= max)) wrong.push(`${name} is ${count}`)
  }
  for (const [name, max] of [
    ['n', 4],
    ['best_of', 1],
    ['stop', 4],
    ['top_logprobs', 20],
    ['logprobs', 20],
  ] as const)
    most(name, max)
  for (const [name, max] of [
    ['prompt', 4],
    ['input', 2048],
    ['documents', 1000],
  ] as const)
    most(name, max)
  if (body['echo'] === true || typeof body['suffix'] === 'string') wrong.push('echo or suffix is set')
  for (const name of ['prompt', 'input', 'documents', 'stop']) {
    const list = body[name]
    if (Array.isArray(list) && list.some((one) => typeof one !== 'string')) wrong.push(`${name} holds more than texts`)
  }
  for (const on of Object.values(body['chat_template_kwargs'] ?? {}))
    if (typeof on !== 'boolean') wrong.push(`chat_template_kwargs holds ${JSON.stringify(on)}`)
  return [...wrong, ...wrongMessages(body['messages'])]
}

function wrongMessages(messages: unknown): readonly string[] {
  if (!Array.isArray(messages)) return messages === undefined ? [] : ['messages is no list']
  return messages.flatMap((one: Readonly<Record<string, unknown>>) => {
    const wrong = roles.includes(String(one['role'])) ? [] : [`the role is ${JSON.stringify(one['role'])}`]
    const parts: unknown[] = Array.isArray(one['content']) ? one['content'] : []
    const urls = parts.flatMap((part) => {
      const { image_url: url, input_image: other } = Object(part)
      return [url, other].filter((found) => found !== undefined).map((found) => found?.url ?? found)
    })
    const remote = urls.filter((url) => typeof url !== 'string' || !url.startsWith('data:image/'))
    return [...wrong, ...remote.map((url) => `a picture is at ${JSON.stringify(url)?.slice(0, 80)}`)]
  })
}

function isDeep(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some((inner) => isDeep(inner, levels - 1))
}
