import { randomBytes } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import { plant } from './canaries.ts'
import type { Capture, Captures } from './fake-captures.ts'
import { captureOf, eventsOf } from './fake-captures.ts'
import type { ChatRequest, Limits, Refusal } from './fake-checks.ts'
import { countPromptTokens, refuseChat, refuseModel, refuseText } from './fake-checks.ts'
import { chatBody, chatEvents, type Dialect, deathEvents, type Speech } from './fake-dialects.ts'
import type { Behaviour } from './fake-faults.ts'
import { errorBody, fillerText, spoil } from './fake-faults.ts'
import {
  completionBody,
  completionEvents,
  embeddingsBody,
  rerankBody,
  type TextRequest,
  textRoutes,
} from './fake-texts.ts'

/** What goes over the wire for one request, before delivery faults. */
export interface Answer {
  readonly status: number
  readonly reason: string
  /** In wire order, with `content-length` or `transfer-encoding: chunked`. */
  readonly headers: readonly (readonly [string, string])[]
  /** The body in the engine's own writes: a stream's events one by one, a plain body at once. */
  readonly pieces: Iterable<Buffer>
}

/** What is known of a request when it is answered. */
export interface Question {
  readonly method: string
  readonly path: string
  readonly contentType: string | undefined
  /** Undefined where the body was not kept. */
  readonly text: string | undefined
  readonly echo: { bytes: number; sha256: string; dataUris: readonly { bytes: number; sha256: string }[] }
  readonly running: number
}

interface Choice {
  index: number
  delta?: { content?: string; role?: string }
  message?: { content: string | null }
  finish_reason: string | null
}

interface Completion {
  id: string
  created: number
  model: string
  choices: Choice[]
  usage?: { prompt_tokens: number; total_tokens: number; completion_tokens: number }
}

const GETS: Readonly<Record<string, string>> = {
  '/health': 'health',
  '/ping': 'ping',
  '/version': 'version',
  '/load': 'load',
  '/v1/models': 'models',
  '/metrics': 'metrics',
}
const CHAT = '/v1/chat/completions'
const DONE = 'data: [DONE]\n\n'
const WORDS = [
  'Hello',
  ' from',
  ' the',
  ' scripted',
  ' engine',
  `: ${plant('answer')}`,
  ' Grüße',
  ' 你好',
  ' 🦊',
  ' naïve',
  ' façade',
  '.\n',
]
const DEFAULT_TOKENS = 16
const ECHO_TOKEN_BYTES = 4096

/** Composes vLLM's answer to a question, or the one that the behaviour wants. */
export function answerQuestion(question: Question, behaviour: Behaviour, captures: Captures, limits: Limits): Answer {
  if (behaviour.error !== undefined) return errorAnswer(behaviour.error, dialectOf(behaviour, limits))
  if (behaviour.redirect !== undefined) return redirectAnswer(behaviour.redirect)
  if (behaviour.capture !== undefined) return storedAnswer(captureOf(captures, behaviour.capture))
  if (Object.hasOwn(textRoutes, question.path)) return textRoute(question, behaviour, captures, limits)
  if (question.path !== CHAT) return otherRoute(question, captures, limits)
  if (question.method !== 'POST') return refused({ capture: 'err-method' }, captures)
  if (question.text === undefined)
    return chatAnswer({ stream: behaviour.echo?.stream }, question, behaviour, captures, limits)
  const refusal = refuseText(question.contentType, question.text)
  if (refusal !== undefined) return refused(refusal, captures)
  const chat = parse(question.text)
  if (chat === undefined) return refused({ capture: 'err-bad-json' }, captures)
  const dialect = dialectOf(behaviour, limits)
  if (dialect !== 'vllm') return answerIn(dialect, chat, question, behaviour, captures, limits)
  const refusedChat = refuseChat(chat, limits)
  return refusedChat === undefined
    ? chatAnswer(chat, question, behaviour, captures, limits)
    : refused(refusedChat, captures)
}

function parse(text: string): ChatRequest | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? value : undefined
  } catch {
    return undefined
  }
}

/** Completions, vectors and scores: no captures of these, so their shapes are those of vLLM's source. */
function textRoute(question: Question, behaviour: Behaviour, captures: Captures, limits: Limits): Answer {
  if (question.method !== 'POST') return refused({ capture: 'err-method' }, captures)
  const refusal = refuseText(question.contentType, question.text ?? '')
  if (refusal !== undefined) return refused(refusal, captures)
  const request: (TextRequest & ChatRequest) | undefined = parse(question.text ?? '')
  const wanted = textRoutes[question.path] ?? 'prompt'
  if (request === undefined) return refused({ capture: 'err-bad-json' }, captures)
  if (request[wanted] === undefined)
    return refused({ capture: 'err-missing-messages', words: [['messages', wanted]] }, captures)
  const unknown = refuseModel(request, limits)
  if (unknown !== undefined) return refused(unknown, captures)
  const model = String(request.model ?? limits.models[0])
  const plain = captureOf(captures, 'chat')
  if (question.path === '/v1/embeddings') return answerLike(plain, embeddingsBody(request, model))
  if (question.path === '/v1/rerank') return answerLike(plain, rerankBody(request, model))
  const writing = { ...planTokens(request, question, behaviour), model, n: choicesOf(request) }
  if (request.stream !== true) return answerLike(plain, completionBody(request, writing))
  const deathEvent = eventsOf(captureOf(captures, 'engine-dies-midstream')).at(-2)
  const streamed = captureOf(captures, 'chat-stream-nousage')
  const events = completionEvents(request, { ...writing, withUsage: asksForUsage(request) })
  return { ...answerLike(streamed, ''), pieces: spoil(events, behaviour, [`${deathEvent}\n\n`, DONE]) }
}

function otherRoute(question: Question, captures: Captures, limits: Limits): Answer {
  const name = GETS[question.path]
  if (name === undefined) return refused({ capture: 'err-unknown-route' }, captures)
  if (question.method !== 'GET') {
    return refused({ capture: 'err-method', words: [['POST', 'GET']] }, captures)
  }
  const capture = captureOf(captures, name)
  if (name === 'metrics') return answerLike(capture, metricsNow(capture.body, question.running))
  if (name !== 'models') return answerLike(capture, capture.body)
  const list = JSON.parse(capture.body) as { data: { id: string; max_model_len: number }[] }
  const template = list.data[0] ?? { id: '', max_model_len: 0 }
  const data = limits.models.map((id) => ({ ...template, id, max_model_len: limits.contextTokens }))
  return answerLike(capture, JSON.stringify({ ...list, data }))
}

function metricsNow(text: string, running: number): string {
  return text.replace(/^(vllm:num_requests_running\{[^}]*\}) .*$/m, `$1 ${running.toFixed(1)}`)
}

function chatAnswer(
  chat: ChatRequest,
  question: Question,
  behaviour: Behaviour,
  captures: Captures,
  limits: Limits,
): Answer {
  const streamed = chat.stream === true
  if (behaviour.dies !== undefined && !streamed) return answerLike(captureOf(captures, 'engine-dies-nonstream'))
  const plan = planTokens(chat, question, behaviour)
  const model = String(chat.model ?? limits.models[0])
  const usage = countPromptTokens(chat)
  if (needsSpeech(chat, behaviour)) return speak('vllm', chat, plan, behaviour, captures, limits)
  if (!streamed) return plainChat(chat, plan, model, usage, captures)
  const capture = captureOf(captures, asksForUsage(chat) ? 'chat-stream' : 'chat-stream-nousage')
  const deathEvent = eventsOf(captureOf(captures, 'engine-dies-midstream')).at(-2)
  const events = streamEvents(eventsOf(capture), plan, choicesOf(chat), model, usage)
  return { ...answerLike(capture, ''), pieces: spoil(events, behaviour, [`${deathEvent}\n\n`, DONE]) }
}

function dialectOf(behaviour: Behaviour, limits: Limits): Dialect {
  return behaviour.dialect ?? limits.dialect ?? 'vllm'
}

function asksForUsage(request: { stream_options?: unknown }): boolean {
  return (request.stream_options as { include_usage?: unknown } | null | undefined)?.include_usage === true
}

/** Whether an answer needs what no capture of vLLM has. */
function needsSpeech(chat: ChatRequest, behaviour: Behaviour): boolean {
  return behaviour.thoughts !== undefined || behaviour.call !== undefined || chat.logprobs === true || isForced(chat)
}

function isForced({ tool_choice }: ChatRequest): boolean {
  return tool_choice === 'required' || (typeof tool_choice === 'object' && tool_choice !== null)
}

/** The checks that every engine makes, in words of its own. */
function answerIn(
  dialect: Dialect,
  chat: ChatRequest,
  question: Question,
  behaviour: Behaviour,
  captures: Captures,
  limits: Limits,
): Answer {
  const refuse = (message: string) => errorAnswer({ status: 400, body: 'own', message }, dialect)
  if (!Array.isArray(chat.messages)) return refuse("'messages' is required")
  const tokens = countPromptTokens(chat)
  if (tokens > limits.contextTokens) return refuse(overflowWords[dialect](tokens, limits.contextTokens))
  return speak(dialect, chat, planTokens(chat, question, behaviour), behaviour, captures, limits)
}

const overflowWords: Readonly<Record<Dialect, (tokens: number, max: number) => string>> = {
  vllm: (tokens, max) =>
    `This model's maximum context length is ${max} tokens. However, your prompt contains ${tokens}.`,
  llamacpp: (tokens, max) =>
    `request (${tokens} tokens) exceeds the available context size (${max} tokens), try increasing it`,
  sglang: (tokens, max) =>
    `Requested token count exceeds the model's maximum context length of ${max} tokens. You requested ${tokens}.`,
  openai: (tokens, max) =>
    `This model's maximum context length is ${max} tokens. However, your messages resulted in ${tokens} tokens.`,
}

function speak(
  dialect: Dialect,
  chat: ChatRequest,
  plan: TokenPlan,
  behaviour: Behaviour,
  captures: Captures,
  limits: Limits,
): Answer {
  const tool = Array.isArray(chat.tools) ? String(chat.tools[0]?.function?.name) : 'f'
  const call = behaviour.call ?? (isForced(chat) ? { name: tool, arguments: ['{', '}'] } : undefined)
  const speech: Speech = {
    dialect,
    model: String(chat.model ?? limits.models[0]),
    n: choicesOf(chat),
    prompt: countPromptTokens(chat),
    thoughts: behaviour.thoughts ?? [],
    tokens: call !== undefined && behaviour.tokens === undefined ? [] : plan.tokens,
    call,
    logprobs: chat.logprobs === true,
    finish: behaviour.finish ?? (call === undefined ? plan.finish : 'tool_calls'),
    withUsage: asksForUsage(chat),
  }
  if (chat.stream !== true) return answerLike(captureOf(captures, 'chat'), chatBody(speech))
  const capture = captureOf(captures, 'chat-stream')
  const death = deathEvents(dialect, 'EngineCore encountered an issue.')
  return { ...answerLike(capture, ''), pieces: spoil(chatEvents(speech), behaviour, death) }
}

interface TokenPlan {
  readonly tokens: Iterable<string>
  readonly finish: string
}

function planTokens(chat: ChatRequest, question: Question, behaviour: Behaviour): TokenPlan {
  const max = Number(chat.max_completion_tokens ?? chat.max_tokens ?? Number.POSITIVE_INFINITY)
  if (behaviour.forever === true) return { tokens: words(Number.POSITIVE_INFINITY), finish: 'length' }
  if (behaviour.echo !== undefined) return { tokens: echoTokens(question, behaviour.echo), finish: 'stop' }
  const wanted = behaviour.tokens ?? DEFAULT_TOKENS
  const count = Array.isArray(wanted) ? wanted.length : wanted
  const tokens = Array.isArray(wanted) ? wanted.slice(0, max) : words(Math.min(count, max))
  return { tokens, finish: behaviour.finish ?? (count > max ? 'length' : 'stop') }
}

function* words(count: number): Generator<string> {
  for (let at = 0; at < count; at += 1) yield WORDS[at % WORDS.length] ?? ''
}

function echoTokens(question: Question, echo: NonNullable<Behaviour['echo']>): string[] {
  if (echo.answerBytes === undefined) return [JSON.stringify(question.echo)]
  const text = fillerText(echo.answerBytes)
  return Array.from({ length: Math.ceil(text.length / ECHO_TOKEN_BYTES) }, (_, at) =>
    text.slice(at * ECHO_TOKEN_BYTES, (at + 1) * ECHO_TOKEN_BYTES),
  )
}

function choicesOf(chat: ChatRequest): number {
  return typeof chat.n === 'number' ? chat.n : 1
}

function plainChat(chat: ChatRequest, plan: TokenPlan, model: string, prompt: number, captures: Captures): Answer {
  const capture = captureOf(captures, 'chat')
  const template = JSON.parse(capture.body) as Completion
  const tokens = [...plan.tokens]
  const choices = Array.from({ length: choicesOf(chat) }, (_, index) =>
    template.choices.map((choice) => ({
      ...choice,
      index,
      message: { ...choice.message, content: tokens.join('') },
      finish_reason: plan.finish,
    })),
  ).flat()
  const usage = { ...template.usage, ...countUsage(prompt, tokens.length * choices.length) }
  return answerLike(capture, JSON.stringify({ ...template, ...stamp(model), choices, usage }))
}

/** The captured events with our tokens: role, middle, last with its finish reason, then usage where asked, then `[DONE]`. */
function* streamEvents(
  captured: string[],
  plan: TokenPlan,
  n: number,
  model: string,
  prompt: number,
): Generator<string> {
  const [role, middle] = captured.map((event) => event.slice('data: '.length))
  const usage = captured.find((event) => event.includes('"choices":[]'))?.slice('data: '.length)
  const last = captured.findLast((event) => event.includes('"finish_reason":"'))?.slice('data: '.length)
  const stamped = stamp(model)
  const event = (template: string | undefined, index: number, content: string, finish: string | null): string => {
    const chunk = JSON.parse(template ?? '{}') as Completion
    const choices = chunk.choices.map((choice) => {
      return { ...choice, index, delta: { ...choice.delta, content }, finish_reason: finish }
    })
    return `data: ${JSON.stringify({ ...chunk, ...stamped, choices })}\n\n`
  }
  const each = (template: string | undefined, content: string, finish: string | null): string[] =>
    Array.from({ length: n }, (_, index) => event(template, index, content, finish))
  yield* each(role, '', null)
  let count = 0
  let held: string | undefined
  for (const token of plan.tokens) {
    if (held !== undefined) yield* each(middle, held, null)
    held = token
    count += 1
  }
  yield* each(last, held ?? '', plan.finish)
  if (usage !== undefined) {
    const chunk = JSON.parse(usage) as Completion
    const counts = { ...chunk.usage, ...countUsage(prompt, count * n) }
    yield `data: ${JSON.stringify({ ...chunk, ...stamped, usage: counts })}\n\n`
  }
  yield 'data: [DONE]\n\n'
}

function countUsage(prompt: number, completion: number): NonNullable<Completion['usage']> {
  return { prompt_tokens: prompt, total_tokens: prompt + completion, completion_tokens: completion }
}

function stamp(model: string): Pick<Completion, 'id' | 'created' | 'model'> {
  return { id: `chatcmpl-${randomBytes(8).toString('hex')}`, created: Math.floor(Date.now() / 1000), model }
}

function refused(refusal: Refusal, captures: Captures): Answer {
  const capture = captureOf(captures, refusal.capture)
  const words = new Map(refusal.words ?? [])
  const say = (text: string): string => {
    const captured = [...words.keys()].map((word) => word.replace(/[.`]/g, '\\$&')).join('|')
    return captured === '' ? text : text.replace(new RegExp(captured, 'g'), (word) => words.get(word) ?? word)
  }
  const headers = capture.headers.map(([name, value]): [string, string] => [
    name,
    name === 'allow' ? say(value) : value,
  ])
  return answerLike({ ...capture, headers }, say(capture.body))
}

/** An answer with the head of a capture: today's date, the body's true length. */
function answerLike(capture: Capture, body: string = capture.body): Answer {
  const bytes = Buffer.from(body)
  const headers = capture.headers.map(([name, value]): [string, string] => {
    if (name === 'date') return [name, new Date().toUTCString()]
    return [name, name === 'content-length' ? String(bytes.length) : value]
  })
  return { status: capture.status, reason: capture.reason, headers, pieces: bytes.length === 0 ? [] : [bytes] }
}

function storedAnswer(capture: Capture): Answer {
  const chunked = capture.headers.some(([name]) => name === 'transfer-encoding')
  const pieces = chunked ? eventsOf(capture).map((event) => Buffer.from(`${event}\n\n`)) : [Buffer.from(capture.body)]
  return { status: capture.status, reason: capture.reason, headers: capture.headers, pieces }
}

function errorAnswer(error: NonNullable<Behaviour['error']>, dialect: Dialect): Answer {
  const { text, contentType } = errorBody(error, dialect)
  return plainAnswer(error.status, text, [
    ...(contentType === undefined ? [] : [['content-type', contentType] as const]),
    ...(error.headers ?? []),
  ])
}

function redirectAnswer(redirect: NonNullable<Behaviour['redirect']>): Answer {
  return plainAnswer(redirect.status, '', [['location', redirect.location]])
}

function plainAnswer(status: number, text: string, headers: readonly (readonly [string, string])[]): Answer {
  const bytes = Buffer.from(text)
  const base: [string, string][] = [
    ['date', new Date().toUTCString()],
    ['server', 'uvicorn'],
    ['content-length', String(bytes.length)],
  ]
  return {
    status,
    reason: STATUS_CODES[status] ?? '',
    headers: [...base, ...headers],
    pieces: bytes.length === 0 ? [] : [bytes],
  }
}
