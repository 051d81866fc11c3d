import { randomBytes } from 'node:crypto'

/** Whose wire shapes an answer has: vLLM 0.32, llama.cpp b11549, SGLang 0.5, OpenAI's own. */
export type Dialect = 'vllm' | 'llamacpp' | 'sglang' | 'openai'
export const dialects: readonly Dialect[] = ['vllm', 'llamacpp', 'sglang', 'openai']

export function isDialect(name: string): name is Dialect {
  return dialects.some((dialect) => dialect === name)
}

/** A call of a tool; its arguments in the pieces in which they are streamed. */
export interface ScriptedCall {
  name: string
  arguments: string[]
}

/** What the model says, before a dialect gives it a shape. */
export interface Speech {
  readonly dialect: Dialect
  readonly model: string
  readonly n: number
  /** Tokens of the prompt. */
  readonly prompt: number
  readonly thoughts: readonly string[]
  readonly tokens: Iterable<string>
  readonly call: ScriptedCall | undefined
  readonly logprobs: boolean
  readonly finish: string
  readonly withUsage: boolean
}

/** One step of one choice: what a chunk brings. */
interface Step {
  readonly role?: true
  readonly thought?: string
  readonly content?: string
  readonly call?: object
}

const DONE = 'data: [DONE]\n\n'

/** The events of a chat, `[DONE]` included. Choices take turns, token by token. */
export function* chatEvents(speech: Speech): Generator<string> {
  const say = (chunk: object): string => `data: ${JSON.stringify(chunk)}\n\n`
  const shape = shapes[speech.dialect](speech)
  const each = (make: (index: number) => object): string[] =>
    Array.from({ length: speech.n }, (_, index) => say(make(index)))
  let count = 0
  for (const step of steps(speech)) {
    if (step.role !== true) count += 1
    yield* each((index) => shape.chunk(index, step))
  }
  for (let index = 0; index < speech.n; index += 1) {
    yield say(shape.end(index))
    if (shape.usageOfChoice !== undefined && speech.withUsage) yield say(shape.usageOfChoice(count))
  }
  if (shape.usage !== undefined && speech.withUsage) yield say(shape.usage(count * speech.n))
  yield DONE
}

/** The body of a chat that is not streamed. */
export function chatBody(speech: Speech): string {
  const tokens = [...speech.tokens]
  const count = tokens.length + speech.thoughts.length + (speech.call?.arguments.length ?? 0)
  return JSON.stringify(shapes[speech.dialect](speech).whole(tokens.join(''), count))
}

/** An error as the engine itself writes it, as body of an answer. */
export function errorText(dialect: Dialect, status: number, message: string): string {
  return JSON.stringify(errors[dialect](status, message))
}

/** What an engine writes into a stream that it cannot finish; some end it with `[DONE]` all the same. */
export function deathEvents(dialect: Dialect, message: string): string[] {
  const error = errors[dialect](500, message)
  const event = `data: ${JSON.stringify('error' in error ? error : { error })}\n\n`
  return dialect === 'vllm' || dialect === 'sglang' ? [event, DONE] : [event]
}

function* steps({ thoughts, tokens, call }: Speech): Generator<Step> {
  yield { role: true }
  for (const thought of thoughts) yield { thought }
  for (const content of tokens) yield { content }
  if (call === undefined) return
  const id = `call_${randomBytes(8).toString('hex')}`
  yield { call: { index: 0, id, type: 'function', function: { name: call.name, arguments: '' } } }
  for (const piece of call.arguments) yield { call: { index: 0, function: { arguments: piece } } }
}

interface Shape {
  chunk(index: number, step: Step): object
  end(index: number): object
  /** The account of all choices at the end, or of each one behind its end. */
  usage?(completion: number): object
  usageOfChoice?(completion: number): object
  whole(text: string, completion: number): object
}

const shapes: Readonly<Record<Dialect, (speech: Speech) => Shape>> = {
  vllm: shapeOfVllm,
  llamacpp: shapeOfLlamacpp,
  sglang: shapeOfSglang,
  openai: shapeOfOpenai,
}

const errors: Readonly<Record<Dialect, (status: number, message: string) => object>> = {
  vllm: (code, message) => {
    const type = code === 404 ? 'NotFoundError' : code >= 500 ? 'InternalServerError' : 'BadRequestError'
    return { error: { message, type, param: null, code } }
  },
  llamacpp: (code, message) => {
    const type = /context size/.test(message)
      ? 'exceed_context_size_error'
      : code >= 500
        ? 'server_error'
        : 'invalid_request_error'
    return { error: { code, message, type } }
  },
  sglang: (code, message) => {
    const type = code >= 500 ? 'InternalServerError' : 'BadRequestError'
    return { object: 'error', message, type, param: null, code }
  },
  openai: (status, message) => {
    const type = status >= 500 ? 'server_error' : status === 429 ? 'rate_limit_error' : 'invalid_request_error'
    return {
      error: { message, type, param: null, code: /context length/.test(message) ? 'context_length_exceeded' : null },
    }
  },
}

function shapeOfVllm(speech: Speech): Shape {
  const { model, prompt } = speech
  const head = { id: `chatcmpl-${hex()}`, object: 'chat.completion.chunk', created: now(), model }
  const counts = (completion: number) => ({
    ...countsOf(prompt, completion),
    prompt_tokens_details: { cached_tokens: 0, created_cache_tokens: 0 },
  })
  const system_fingerprint = 'vllm-0.32.0-4470a5dc'
  return {
    chunk: (index, step) => {
      const delta = step.role === true ? { role: 'assistant', content: '' } : deltaOf(step, 'reasoning')
      const choice = { index, delta, logprobs: logprobsOf(speech, step), finish_reason: null }
      if (step.role === true) return { ...head, choices: [choice], prompt_token_ids: null, prompt_text: null }
      return { ...head, choices: [{ ...choice, token_ids: null }] }
    },
    end: (index) => {
      const choice = {
        index,
        delta: {},
        logprobs: null,
        finish_reason: speech.finish,
        stop_reason: null,
        token_ids: null,
      }
      return { ...head, choices: [choice], ...(speech.withUsage ? {} : { system_fingerprint }) }
    },
    usage: (completion) => ({ ...head, choices: [], usage: counts(completion), system_fingerprint }),
    whole: (text, completion) => ({
      ...head,
      object: 'chat.completion',
      choices: choicesOf(speech, (index) => ({
        index,
        message: {
          role: 'assistant',
          content: contentOf(text, speech),
          refusal: null,
          annotations: null,
          audio: null,
          function_call: null,
          ...callsOf(speech),
          reasoning: thoughtOf(speech),
        },
        logprobs: speech.logprobs ? { content: logprobsOfAll(text) } : null,
        finish_reason: speech.finish,
        stop_reason: null,
        token_ids: null,
        routed_experts: null,
      })),
      service_tier: null,
      system_fingerprint,
      usage: counts(completion * speech.n),
      prompt_logprobs: null,
      kv_transfer_params: null,
    }),
  }
}

function shapeOfLlamacpp(speech: Speech): Shape {
  const { model, prompt } = speech
  const tail = (object: string) => ({
    created: now(),
    id: `chatcmpl-${hex()}`,
    model,
    system_fingerprint: 'b0-unknown',
    object,
  })
  const rest = tail('chat.completion.chunk')
  const timings = { cache_n: 0, prompt_n: prompt, prompt_ms: 249.427, predicted_n: 3, predicted_ms: 38.879 }
  const counts = (completion: number) => ({
    completion_tokens: completion,
    prompt_tokens: prompt,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: 0 },
  })
  return {
    chunk: (index, step) => {
      const delta = step.role === true ? { role: 'assistant', content: null } : deltaOf(step, 'reasoning_content')
      const logprobs = logprobsOf(speech, step)
      return { choices: [{ finish_reason: null, index, delta, ...(logprobs === null ? {} : { logprobs }) }], ...rest }
    },
    end: (index) => ({
      choices: [{ finish_reason: speech.finish, index, delta: {} }],
      ...rest,
      ...(speech.withUsage ? {} : { timings }),
    }),
    usageOfChoice: (completion) => ({ choices: [], ...rest, usage: counts(completion), timings }),
    whole: (text, completion) => ({
      choices: choicesOf(speech, (index) => ({
        finish_reason: speech.finish,
        index,
        message: {
          role: 'assistant',
          content: contentOf(text, speech),
          ...(speech.thoughts.length === 0 ? {} : { reasoning_content: thoughtOf(speech) }),
          ...callsOf(speech),
        },
        ...(speech.logprobs ? { logprobs: { content: logprobsOfAll(text) } } : {}),
      })),
      ...tail('chat.completion'),
      usage: counts(completion),
      timings,
    }),
  }
}

function shapeOfSglang(speech: Speech): Shape {
  const { model, prompt } = speech
  const head = { id: hex(), object: 'chat.completion.chunk', created: now(), model }
  const empty = { role: null, content: null, reasoning_content: null, tool_calls: null }
  const counts = (completion: number) => ({
    ...countsOf(prompt, completion),
    prompt_tokens_details: null,
    reasoning_tokens: 0,
  })
  const choice = (index: number, delta: object, logprobs: object | null, finish: string | null) => ({
    index,
    delta: { ...empty, ...delta },
    logprobs,
    finish_reason: finish,
    matched_stop: finish === 'stop' ? 2 : null,
  })
  return {
    chunk: (index, step) => {
      const delta = step.role === true ? { role: 'assistant', content: '' } : deltaOf(step, 'reasoning_content')
      return { ...head, choices: [choice(index, delta, logprobsOf(speech, step), null)], usage: null }
    },
    end: (index) => ({ ...head, choices: [choice(index, {}, null, speech.finish)], usage: null }),
    usage: (completion) => ({ ...head, choices: [], usage: counts(completion) }),
    whole: (text, completion) => ({
      ...head,
      object: 'chat.completion',
      choices: choicesOf(speech, (index) => ({
        index,
        message: {
          role: 'assistant',
          content: text,
          reasoning_content: thoughtOf(speech),
          tool_calls: callsOf(speech).tool_calls ?? null,
        },
        logprobs: speech.logprobs ? { content: logprobsOfAll(text) } : null,
        finish_reason: speech.finish,
        matched_stop: speech.finish === 'stop' ? 2 : null,
      })),
      usage: counts(completion * speech.n),
      metadata: { weight_version: 'default' },
    }),
  }
}

function shapeOfOpenai(speech: Speech): Shape {
  const { model, prompt } = speech
  const names = { created: now(), model, service_tier: 'default', system_fingerprint: 'fp_50cad350e4' }
  const head = { id: `chatcmpl-${hex()}`, object: 'chat.completion.chunk', ...names }
  const counts = (completion: number) => ({
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
  })
  const account = speech.withUsage ? { usage: null } : {}
  return {
    chunk: (index, step) => {
      const delta =
        step.role === true ? { role: 'assistant', content: '', refusal: null } : deltaOf(step, 'reasoning_content')
      const choice = { index, delta, logprobs: logprobsOf(speech, step), finish_reason: null }
      return { ...head, choices: [choice], ...account }
    },
    end: (index) => ({
      ...head,
      choices: [{ index, delta: {}, logprobs: null, finish_reason: speech.finish }],
      ...account,
    }),
    usage: (completion) => ({ ...head, choices: [], usage: counts(completion) }),
    whole: (text, completion) => ({
      ...head,
      object: 'chat.completion',
      choices: choicesOf(speech, (index) => ({
        index,
        message: {
          role: 'assistant',
          content: contentOf(text, speech),
          ...callsOf(speech),
          refusal: null,
          annotations: [],
        },
        logprobs: speech.logprobs ? { content: logprobsOfAll(text), refusal: null } : null,
        finish_reason: speech.finish,
      })),
      usage: counts(completion * speech.n),
    }),
  }
}

function deltaOf({ thought, content, call }: Step, reasoning: 'reasoning' | 'reasoning_content'): object {
  if (thought !== undefined) return { [reasoning]: thought }
  return content === undefined ? { tool_calls: [call] } : { content }
}

function callsOf({ call }: Speech): { tool_calls?: object[] } {
  if (call === undefined) return {}
  const { name } = call
  const id = `call_${hex()}`
  return { tool_calls: [{ id, type: 'function', function: { name, arguments: call.arguments.join('') } }] }
}

function contentOf(text: string, { call, thoughts }: Speech): string | null {
  return text === '' && (call !== undefined || thoughts.length > 0) ? null : text
}

function thoughtOf({ thoughts }: Speech): string | null {
  return thoughts.length === 0 ? null : thoughts.join('')
}

function choicesOf({ n }: Speech, make: (index: number) => object): object[] {
  return Array.from({ length: n }, (_, index) => make(index))
}

function logprobsOf({ logprobs }: Speech, { content }: Step): object | null {
  return logprobs && content !== undefined ? { content: logprobsOfAll(content) } : null
}

function logprobsOfAll(text: string): object[] {
  const entry = { token: text, logprob: -0.2500000001, bytes: [...Buffer.from(text)] }
  return [{ ...entry, top_logprobs: [{ ...entry }] }]
}

function countsOf(prompt: number, completion: number) {
  return { prompt_tokens: prompt, total_tokens: prompt + completion, completion_tokens: completion }
}

function hex(): string {
  return randomBytes(8).toString('hex')
}

function now(): number {
  return Math.floor(Date.now() / 1000)
}
