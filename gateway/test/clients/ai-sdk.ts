import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import {
  APICallError,
  embedMany,
  generateText,
  jsonSchema,
  type ModelMessage,
  Output,
  RetryError,
  streamText,
  type ToolSet,
  tool,
} from 'ai'
import { z } from 'zod'
import { type Ask, type Client, createClient, type Message, type Seeing, type Seen, type SeenError } from './ask.ts'

const place = z.object({ city: z.string(), population: z.int() })

/** Vercel's AI SDK with its provider for APIs like OpenAI's. */
export function aiSdk(): Client {
  return createClient('AI SDK', perform, describeError)
}

async function perform(ask: Ask, leave: AbortSignal, seen: Seeing): Promise<void> {
  const provider = createOpenAICompatible({
    name: 'hearth',
    baseURL: `${ask.baseUrl}/v1`,
    apiKey: ask.key,
    includeUsage: ask.usage,
    supportsStructuredOutputs: true,
  })
  if (ask.call === 'embeddings') {
    const values = [...(ask.fields.input ?? [])]
    const answer = await embedMany({
      model: provider.embeddingModel(ask.model),
      values,
      maxRetries: ask.retries,
      abortSignal: leave,
    })
    seen.vectors = answer.embeddings
    seen.requestId = answer.responses?.[0]?.headers?.['x-request-id'] ?? null
  } else {
    const isText = ask.call === 'completion'
    const model = isText ? provider.completionModel(ask.model) : provider.chatModel(ask.model)
    await (ask.stream ? readStream : readPlain)(model, ask, leave, seen)
  }
}

type Provider = ReturnType<typeof createOpenAICompatible>
type Model = ReturnType<Provider['chatModel'] | Provider['completionModel']>

function settings(model: Model, ask: Ask, leave: AbortSignal) {
  const { fields, shaped } = ask
  return {
    model,
    messages: toolNamed(fields.messages ?? [{ role: 'user', content: fields.prompt ?? '' }]),
    maxRetries: ask.retries,
    timeout: ask.timeoutMs,
    abortSignal: leave,
    ...(fields.max_completion_tokens === undefined ? {} : { maxOutputTokens: fields.max_completion_tokens }),
    ...(fields.temperature === undefined ? {} : { temperature: fields.temperature }),
    ...(fields.seed === undefined ? {} : { seed: fields.seed }),
    ...(fields.tools === undefined ? {} : { tools: toolSet(fields.tools) }),
    ...(shaped ? { output: Output.object({ schema: place, name: 'answer' }) } : {}),
    // What it has no setting for is passed on as it is.
    ...(fields.logprobs === undefined ? {} : { providerOptions: { hearth: { logprobs: fields.logprobs } } }),
  }
}

function toolSet(tools: NonNullable<Ask['fields']['tools']>): ToolSet {
  return Object.fromEntries(
    tools.map(({ function: { name, description, parameters } }) => [
      name,
      tool({ description, inputSchema: jsonSchema({ ...parameters }) }),
    ]),
  )
}

/** Its own form of messages, in which the result of a tool carries the tool's name. */
function toolNamed(messages: readonly Message[]): ModelMessage[] {
  const names = new Map<string, string>()
  return messages.map((message): ModelMessage => {
    if (message.role === 'assistant') {
      for (const { id, function: called } of message.tool_calls) names.set(id, called.name)
      const content = message.tool_calls.map(({ id, function: called }) => {
        return {
          type: 'tool-call' as const,
          toolCallId: id,
          toolName: called.name,
          input: JSON.parse(called.arguments),
        }
      })
      return { role: 'assistant', content }
    }
    if (message.role === 'tool') {
      const { tool_call_id: toolCallId, content: value } = message
      const toolName = names.get(toolCallId) ?? ''
      return { role: 'tool', content: [{ type: 'tool-result', toolCallId, toolName, output: { type: 'text', value } }] }
    }
    if (typeof message.content === 'string') return { role: 'user', content: message.content }
    return {
      role: 'user',
      content: message.content.map((part) =>
        part.type === 'text'
          ? { type: 'text', text: part.text }
          : { type: 'file', mediaType: 'image/png', data: part.image_url.url },
      ),
    }
  })
}

async function readPlain(model: Model, ask: Ask, leave: AbortSignal, seen: Seeing): Promise<void> {
  const answer = await generateText(settings(model, ask, leave))
  seen.texts = [answer.text]
  seen.finishes = [answer.rawFinishReason ?? null]
  seen.ids = [answer.response.id]
  seen.requestId = answer.response.headers?.['x-request-id'] ?? null
  seen.usage = usageOf(answer.usage)
  seen.reasoning = answer.reasoningText ?? null
  seen.toolCalls = answer.toolCalls.map(({ toolCallId, toolName, input }) => ({
    id: toolCallId,
    name: toolName,
    input,
  }))
  if (ask.shaped) seen.parsed = answer.output
  seen.ended = true
}

async function readStream(model: Model, ask: Ask, leave: AbortSignal, seen: Seeing): Promise<void> {
  const leaving = new AbortController()
  const signal = AbortSignal.any([leave, leaving.signal])
  const answer = streamText({ ...settings(model, ask, signal), onError: () => {} })
  let text = ''
  for await (const part of answer.stream) {
    if (part.type === 'error') throw part.error
    if (part.type === 'abort') throw new DOMException('the stream says that it was left', 'AbortError')
    if (part.type === 'text-delta') {
      text += part.text
      seen.texts = [text]
      seen.pieces += 1
      if (ask.leaves === 'first-text') return leaving.abort()
    }
    if (part.type === 'reasoning-delta') seen.reasoning = (seen.reasoning ?? '') + part.text
    if (part.type === 'tool-call')
      seen.toolCalls = [...seen.toolCalls, { id: part.toolCallId, name: part.toolName, input: part.input }]
    if (part.type === 'finish-step') {
      seen.ids = [part.response.id]
      seen.requestId = part.response.headers?.['x-request-id'] ?? null
      seen.usage = usageOf(part.usage)
      seen.finishes = [part.rawFinishReason ?? null]
    }
  }
  if (ask.shaped) seen.parsed = await answer.output
  seen.ended = true
}

function usageOf(usage: { inputTokens: number | undefined; outputTokens: number | undefined }): Seen['usage'] {
  const { inputTokens, outputTokens } = usage
  if (inputTokens === undefined && outputTokens === undefined) return null
  return { prompt: inputTokens ?? null, completion: outputTokens ?? null }
}

function describeError(thrown: unknown): SeenError {
  const error = RetryError.isInstance(thrown) ? thrown.lastError : thrown
  const name = thrown instanceof Error ? thrown.name : typeof thrown
  if (!APICallError.isInstance(error)) return { ...unnamed(error), class: name }
  const data: unknown = error.data
  return {
    ...unnamed(data),
    class: name,
    status: error.statusCode ?? null,
    message: error.message,
    requestId: error.responseHeaders?.['x-request-id'] ?? null,
  }
}

/** The fields of an error object as they came over the wire, where it is one. */
function unnamed(error: unknown): SeenError {
  const inner: unknown = typeof error === 'object' && error !== null && 'error' in error ? error.error : error
  const field = (name: string): string | null => {
    const value: unknown = typeof inner === 'object' && inner !== null ? Reflect.get(inner, name) : undefined
    return typeof value === 'string' ? value : null
  }
  return {
    class: '',
    status: null,
    code: field('code'),
    param: field('param'),
    message: field('message') ?? String(error),
    requestId: null,
  }
}
