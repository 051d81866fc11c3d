import { randomBytes } from 'node:crypto'

/** The part of a request for completions, vectors or scores that the scripted engine looks at. */
export interface TextRequest {
  model?: unknown
  prompt?: unknown
  input?: unknown
  encoding_format?: unknown
  dimensions?: unknown
  query?: unknown
  documents?: unknown
  top_n?: unknown
}

/** What vLLM wants beside the model, by path. */
export const textRoutes: Readonly<Record<string, keyof TextRequest>> = {
  '/v1/completions': 'prompt',
  '/v1/embeddings': 'input',
  '/v1/rerank': 'query',
}

interface Writing {
  readonly tokens: Iterable<string>
  readonly finish: string
  readonly model: string
  readonly n: number
}

/** The body of `POST /v1/completions`: `n` choices for each prompt, as vLLM counts them. */
export function completionBody(request: TextRequest, { tokens, finish, model, n }: Writing): string {
  const texts = listOf(request.prompt)
  const text = [...tokens].join('')
  const choices = Array.from({ length: texts.length * n }, (_, index) => ({
    ...choiceOf(index, text, finish),
    prompt_logprobs: null,
  }))
  const prompt = texts.join(' ').split(/\s+/).length
  return JSON.stringify({
    ...headOf('cmpl', model),
    object: 'text_completion',
    choices,
    service_tier: null,
    system_fingerprint: null,
    usage: { prompt_tokens: prompt, total_tokens: prompt + 1, completion_tokens: 1, prompt_tokens_details: null },
    kv_transfer_params: null,
  })
}

/** The events of the same as a stream, one token of each choice after the other. */
export function* completionEvents(
  request: TextRequest,
  { tokens, finish, model, n, withUsage }: Writing & { readonly withUsage: boolean },
): Generator<string> {
  const head = { ...headOf('cmpl', model), object: 'text_completion' }
  const texts = listOf(request.prompt)
  const each = (text: string, reason: string | null): string[] =>
    Array.from({ length: texts.length * n }, (_, index) => {
      const chunk = { ...head, choices: [choiceOf(index, text, reason)], usage: null }
      return `data: ${JSON.stringify(chunk)}\n\n`
    })
  let count = 0
  let held: string | undefined
  for (const token of tokens) {
    if (held !== undefined) yield* each(held, null)
    held = token
    count += 1
  }
  yield* each(held ?? '', finish)
  if (withUsage) {
    const prompt_tokens = texts.join(' ').split(/\s+/).length
    const completion_tokens = count * texts.length * n
    const usage = { prompt_tokens, total_tokens: prompt_tokens + completion_tokens, completion_tokens }
    yield `data: ${JSON.stringify({ ...head, choices: [], usage })}\n\n`
  }
  yield 'data: [DONE]\n\n'
}

/** The body of `POST /v1/embeddings`: a vector for each text, made of its letters. */
export function embeddingsBody(request: TextRequest, model: string): string {
  const texts = listOf(request.input)
  const dimensions = typeof request.dimensions === 'number' ? request.dimensions : 4
  const data = texts.map((text, index) => {
    const vector = Array.from({ length: dimensions }, (_, at) => (text.charCodeAt(at % (text.length || 1)) || 0) / 256)
    const bytes = Buffer.from(new Float32Array(vector).buffer)
    return {
      index,
      object: 'embedding',
      embedding: request.encoding_format === 'base64' ? bytes.toString('base64') : vector,
    }
  })
  return JSON.stringify({ ...headOf('embd', model), object: 'list', data, usage: countRead(texts) })
}

/** The body of `POST /v1/rerank`: documents that share more words with the query come first. */
export function rerankBody(request: TextRequest, model: string): string {
  const query = new Set(String(request.query).toLowerCase().split(/\W+/))
  const texts = listOf(request.documents)
  const results = texts
    .map((text, index) => {
      const words = text.toLowerCase().split(/\W+/)
      const score = words.filter((word) => query.has(word)).length / words.length
      return { index, document: { text, multi_modal: null }, relevance_score: score }
    })
    .sort((one, other) => other.relevance_score - one.relevance_score)
  const count = typeof request.top_n === 'number' && request.top_n > 0 ? request.top_n : results.length
  const { prompt_tokens, total_tokens } = countRead(texts)
  const { id } = headOf('rerank', model)
  return JSON.stringify({ id, model, usage: { prompt_tokens, total_tokens }, results: results.slice(0, count) })
}

function choiceOf(index: number, text: string, finish: string | null) {
  return {
    index,
    text,
    logprobs: null,
    finish_reason: finish,
    stop_reason: null,
    token_ids: null,
    prompt_token_ids: null,
  }
}

function countRead(texts: readonly string[]) {
  const tokens = texts.reduce((sum, text) => sum + text.split(/\s+/).length + 2, 0)
  return { prompt_tokens: tokens, total_tokens: tokens, completion_tokens: 0, prompt_tokens_details: null }
}

function headOf(prefix: string, model: string) {
  return { id: `${prefix}-${randomBytes(8).toString('hex')}`, created: Math.floor(Date.now() / 1000), model }
}

function listOf(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [String(value)]
}
