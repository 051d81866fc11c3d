import OpenAI from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import type { ChatCompletion, ChatCompletionChunk, ChatCompletionMessageParam } from 'openai/resources'
import { z } from 'zod'
import { type Ask, type Client, createClient, type Seeing, type Seen, type SeenError } from './ask.ts'

const place = z.object({ city: z.string(), population: z.int() })

/** OpenAI's own package for JavaScript. */
export function openaiNpm(): Client {
  return createClient('openai (npm)', perform, describeError)
}

async function perform(ask: Ask, leave: AbortSignal, seen: Seeing): Promise<void> {
  const { baseUrl, key, model, fields, retries, timeoutMs, call } = ask
  const client = new OpenAI({ baseURL: `${baseUrl}/v1`, apiKey: key, maxRetries: retries, timeout: timeoutMs })
  if (call === 'models') {
    const models: string[] = []
    for await (const { id } of client.models.list()) models.push(id)
    seen.models = models
  } else if (call === 'model') seen.models = [(await client.models.retrieve(model)).id]
  else if (call === 'embeddings') {
    const asked = client.embeddings.create({ model, input: [...(fields.input ?? [])] })
    const { data, request_id } = await asked.withResponse()
    seen.vectors = data.data.map(({ embedding }) => embedding)
    seen.requestId = request_id
  } else if (call === 'completion') await readCompletion(client, ask, leave, seen)
  else if (ask.stream) await readStream(client, ask, leave, seen)
  else await readPlain(client, ask, leave, seen)
}

function bodyOf({ model, fields, shaped }: Ask) {
  const { messages = [], tools, prompt: _prompt, input: _input, query: _query, documents: _documents, ...rest } = fields
  return {
    model,
    ...rest,
    messages: messages.map((message) => structuredClone(message)) as ChatCompletionMessageParam[],
    ...(tools === undefined
      ? {}
      : {
          tools: tools.map(({ type, function: { parameters, ...named } }) => ({
            type,
            function: { ...named, parameters: { ...parameters } },
          })),
        }),
    ...(shaped ? { response_format: zodResponseFormat(place, 'answer') } : {}),
  }
}

async function readPlain(client: OpenAI, ask: Ask, leave: AbortSignal, seen: Seeing): Promise<void> {
  const { chat } = client
  if (ask.shaped) {
    const answer = await chat.completions.parse(bodyOf(ask), { signal: leave })
    takeAnswer(answer, seen)
    seen.requestId = answer._request_id ?? null
    seen.parsed = answer.choices[0]?.message.parsed ?? null
  } else {
    const answer = await chat.completions.create(bodyOf(ask), { signal: leave })
    takeAnswer(answer, seen)
    seen.requestId = answer._request_id ?? null
  }
}

function takeAnswer(answer: ChatCompletion, seen: Seeing): void {
  const [first] = answer.choices
  seen.ids = [answer.id]
  seen.texts = answer.choices.map(({ message }) => message.content ?? '')
  seen.finishes = answer.choices.map(({ finish_reason }) => finish_reason)
  seen.toolCalls = (first?.message.tool_calls ?? []).flatMap((call) =>
    call.type === 'function'
      ? [{ id: call.id, name: call.function.name, input: JSON.parse(call.function.arguments) }]
      : [],
  )
  seen.reasoning = reasoningOf(first?.message)
  seen.logprobs = first?.logprobs?.content?.map(({ token }) => token) ?? null
  seen.usage = usageOf(answer.usage)
  seen.ended = true
}

async function readCompletion(client: OpenAI, ask: Ask, leave: AbortSignal, seen: Seeing): Promise<void> {
  const { model, fields } = ask
  const body = { model, prompt: fields.prompt ?? '' }
  const answers = ask.stream
    ? await client.completions.create({ ...body, stream: true }, { signal: leave })
    : [await client.completions.create(body, { signal: leave })]
  for await (const { id, choices } of answers) {
    seen.ids = [...new Set([...seen.ids, id])]
    for (const { text, finish_reason } of choices) {
      seen.texts = [(seen.texts[0] ?? '') + text]
      seen.finishes = [finish_reason]
    }
  }
  seen.ended = true
}

async function readStream(client: OpenAI, ask: Ask, leave: AbortSignal, seen: Seeing): Promise<void> {
  const asked = client.chat.completions.create(
    { ...bodyOf(ask), stream: true, ...(ask.usage ? { stream_options: { include_usage: true } } : {}) },
    { signal: leave },
  )
  const { data: stream, request_id } = await asked.withResponse()
  seen.requestId = request_id
  const texts: string[] = []
  const finishes: (string | null)[] = []
  const calls: { id: string; name: string; text: string }[] = []
  for await (const chunk of stream) {
    takeChunk(chunk, seen, { texts, finishes, calls })
    seen.texts = texts
    seen.finishes = finishes
    if (ask.leaves === 'first-text' && texts.join('') !== '') break
  }
  seen.toolCalls = calls.map(({ id, name, text }) => ({ id, name, input: JSON.parse(text) }))
  seen.ended = ask.leaves === undefined
}

interface Gathered {
  readonly texts: string[]
  readonly finishes: (string | null)[]
  readonly calls: { id: string; name: string; text: string }[]
}

function takeChunk(chunk: ChatCompletionChunk, seen: Seeing, { texts, finishes, calls }: Gathered): void {
  seen.ids = [...new Set([...seen.ids, chunk.id])]
  seen.usage = usageOf(chunk.usage) ?? seen.usage
  for (const { index, delta, finish_reason, logprobs } of chunk.choices) {
    texts[index] = (texts[index] ?? '') + (delta.content ?? '')
    if (delta.content) seen.pieces += 1
    finishes[index] = finish_reason ?? finishes[index] ?? null
    const reasoning = reasoningOf(delta)
    if (reasoning !== null) seen.reasoning = (seen.reasoning ?? '') + reasoning
    if (logprobs?.content) seen.logprobs = [...(seen.logprobs ?? []), ...logprobs.content.map(({ token }) => token)]
    for (const call of delta.tool_calls ?? []) {
      const known = calls[call.index] ?? { id: '', name: '', text: '' }
      calls[call.index] = {
        id: known.id || (call.id ?? ''),
        name: known.name || (call.function?.name ?? ''),
        text: known.text + (call.function?.arguments ?? ''),
      }
    }
  }
}

/** The package has no field for it, but keeps what came; people read either name. */
function reasoningOf(message: object | undefined): string | null {
  if (message === undefined) return null
  const both = [Reflect.get(message, 'reasoning_content') ?? null, Reflect.get(message, 'reasoning') ?? null]
  if (both[0] !== both[1]) return `two that differ: ${JSON.stringify(both)}`
  return typeof both[0] === 'string' ? both[0] : null
}

function usageOf(usage: OpenAI.CompletionUsage | null | undefined): Seen['usage'] {
  return usage == null ? null : { prompt: usage.prompt_tokens, completion: usage.completion_tokens }
}

function describeError(error: unknown): SeenError {
  const name = error instanceof Error ? error.constructor.name : typeof error
  const message = error instanceof Error ? error.message : String(error)
  if (!(error instanceof OpenAI.APIError))
    return { class: name, status: null, code: null, param: null, message, requestId: null }
  const { status, code, param, requestID } = error
  return {
    class: name,
    status: status ?? null,
    code: code ?? null,
    param: param ?? null,
    message,
    requestId: requestID ?? null,
  }
}
