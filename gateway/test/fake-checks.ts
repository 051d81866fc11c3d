import type { Dialect } from './fake-dialects.ts'

/** The part of a chat request that the scripted engine looks at. */
export interface ChatRequest {
  model?: unknown
  messages?: unknown
  stream?: unknown
  stream_options?: unknown
  max_tokens?: unknown
  max_completion_tokens?: unknown
  n?: unknown
  temperature?: unknown
  top_p?: unknown
  stop?: unknown
  logprobs?: unknown
  tools?: unknown
  tool_choice?: unknown
}

export interface Limits {
  readonly models: readonly string[]
  readonly contextTokens: number
  readonly dialect?: Dialect
}

/** A refusal: the capture that has its shape, and what to put for the captured words. */
export interface Refusal {
  readonly capture: string
  readonly words?: readonly (readonly [captured: string, now: string])[]
}

/** vLLM's check of headers and body as text: what comes before a JSON object is there. */
export function refuseText(contentType: string | undefined, body: string): Refusal | undefined {
  if (contentType !== undefined && !/^application\/(.+\+)?json\b/i.test(contentType)) {
    return { capture: 'err-wrong-content-type' }
  }
  if (body === '') return { capture: 'err-no-body' }
  return undefined
}

/** vLLM's check of a parsed chat request, in its order; undefined when it would be served. */
export function refuseChat(chat: ChatRequest, limits: Limits): Refusal | undefined {
  return refuseFields(chat) ?? refuseModel(chat, limits) ?? refuseSampling(chat) ?? refuseLength(chat, limits)
}

/** 19 for the chat template, as captured, and one for each word. */
export function countPromptTokens(chat: ChatRequest): number {
  const texts = Array.isArray(chat.messages) ? chat.messages.map((message) => textOf(message)) : []
  return texts.reduce((sum, text) => sum + text.split(/\s+/).length, 19)
}

function textOf(message: unknown): string {
  if (typeof message !== 'object' || message === null || !('content' in message)) return ''
  if (typeof message.content === 'string') return message.content
  if (!Array.isArray(message.content)) return ''
  return message.content.map((part: { text?: unknown }) => (typeof part.text === 'string' ? part.text : '')).join(' ')
}

function refuseFields(chat: ChatRequest): Refusal | undefined {
  if (chat.messages === undefined) return { capture: 'err-missing-messages' }
  if (!Array.isArray(chat.messages)) return { capture: 'err-messages-type' }
  if (Array.isArray(chat.stop) && chat.stop.length > 4) return { capture: 'err-stop-5' }
  if (chat.stream_options != null && chat.stream !== true) return { capture: 'err-stream-options-without-stream' }
  return undefined
}

/** vLLM's check of the model's name, alike on all routes. */
export function refuseModel(chat: Pick<ChatRequest, 'model'>, limits: Limits): Refusal | undefined {
  if (chat.model === undefined || limits.models.includes(String(chat.model))) return undefined
  const aliases = limits.models.join(', ')
  return {
    capture: 'err-unknown-model',
    words: [
      ['`nope`', `\`${String(chat.model)}\``],
      ['qwen2.5-vl-tiny.', `${aliases}.`],
    ],
  }
}

function refuseSampling(chat: ChatRequest): Refusal | undefined {
  if (Array.isArray(chat.messages) && chat.messages.length === 0) return { capture: 'err-empty-messages' }
  if (isNumber(chat.temperature) && chat.temperature < 0) return { capture: 'err-temperature-neg' }
  if (isNumber(chat.temperature) && chat.temperature > 2) return { capture: 'err-temperature' }
  if (isNumber(chat.top_p) && (chat.top_p <= 0 || chat.top_p > 1)) return { capture: 'err-top-p' }
  if (isNumber(chat.n) && chat.n < 1) return { capture: 'err-n-0' }
  if (isNumber(chat.n) && chat.n > 16_384) return { capture: 'err-n-20000', words: [['20000', String(chat.n)]] }
  return undefined
}

function refuseLength(chat: ChatRequest, limits: Limits): Refusal | undefined {
  const maxTokens = chat.max_completion_tokens ?? chat.max_tokens
  if (isNumber(maxTokens) && maxTokens < 1) return { capture: 'err-max-tokens-0' }
  if (isNumber(maxTokens) && maxTokens > limits.contextTokens) {
    const words = [['100000', String(maxTokens)] as const, ['4096', String(limits.contextTokens)] as const]
    return { capture: 'err-max-tokens-too-big', words }
  }
  if (countPromptTokens(chat) <= limits.contextTokens) return undefined
  const over = String(limits.contextTokens + 1)
  return {
    capture: 'err-too-long',
    words: [
      ['4097', over],
      ['4096', String(limits.contextTokens)],
    ],
  }
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number'
}
