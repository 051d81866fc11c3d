import { createParser } from 'eventsource-parser'
import { countOf, firstOf, member, parseJson, textOf } from './json.ts'

/** What the gateway says in an SSE comment while the answer has not begun. */
export type Notice =
  | { kind: 'queue'; position: number | undefined; etaS: number | undefined }
  | { kind: 'wake'; stage: string | undefined; elapsedS: number | undefined }
  | { kind: 'keep-alive' }

export interface Usage {
  promptTokens: number
  completionTokens: number
}

/** The body of an OpenAI-shaped error, as far as it was given. */
export interface ErrorBody {
  message: string | undefined
  code: string | undefined
  param: string | undefined
}

export type StreamEvent =
  | { type: 'delta'; text: string }
  | { type: 'notice'; notice: Notice }
  | { type: 'usage'; usage: Usage }
  | { type: 'finish'; reason: string }
  | { type: 'error'; error: ErrorBody }

/** `complete` only after `[DONE]` with no error before it; a stream that merely ends is `cut`. */
export type StreamEnd = 'complete' | 'cut' | 'error'

export interface StreamReader {
  /** True once nothing that follows can matter: `[DONE]` or an error was read. */
  readonly isOver: boolean
  feed(bytes: Uint8Array): void
  end(): StreamEnd
}

const frameCharsMax = 4 * 1024 * 1024

/**
 * Reads the bytes of one OpenAI chat stream, however they are split, and reports events in order.
 * States: open → done (`[DONE]`) or error; both are final, so `[DONE]` after an error (vLLM writes it) stays an error.
 */
export function createStreamReader(onEvent: (event: StreamEvent) => void): StreamReader {
  const decoder = new TextDecoder()
  let state: 'open' | 'done' | 'error' = 'open'
  const fail = (error: ErrorBody): void => {
    state = 'error'
    onEvent({ type: 'error', error })
  }
  const parser = createParser({
    maxBufferSize: frameCharsMax,
    onComment: (comment) => {
      if (state === 'open') onEvent({ type: 'notice', notice: parseNotice(comment) })
    },
    onEvent: ({ event, data }) => {
      if (state !== 'open') return
      if (data === '[DONE]') {
        state = 'done'
        return
      }
      const frame = parseJson(data)
      const error = readError(frame, event)
      if (error !== undefined) fail(error)
      else reportFrame(frame, onEvent)
    },
    onError: (error) => {
      if (state === 'open' && error.type === 'max-buffer-size-exceeded') fail(badFrame)
    },
  })
  return {
    get isOver() {
      return state !== 'open'
    },
    feed: (bytes) => {
      if (state === 'open') parser.feed(decoder.decode(bytes, { stream: true }))
    },
    end: () => (state === 'done' ? 'complete' : state === 'error' ? 'error' : 'cut'),
  }
}

/** Reads `queue position=3 eta=12`, `wake stage=boot t=34`; any other comment only says that the road is alive. */
export function parseNotice(comment: string): Notice {
  const [word, ...pairs] = comment.trim().split(/\s+/)
  const values = new Map(pairs.map((pair) => splitPair(pair)))
  if (word === 'queue') return { kind: 'queue', position: numberIn(values, 'position'), etaS: numberIn(values, 'eta') }
  if (word === 'wake') return { kind: 'wake', stage: values.get('stage'), elapsedS: numberIn(values, 't') }
  return { kind: 'keep-alive' }
}

/** Reads `{"error":{message,code,param}}`, also where `error` is a bare string. */
export function readErrorBody(value: unknown): ErrorBody | undefined {
  const error = member(value, 'error')
  if (error === undefined || error === null) return undefined
  const code = member(error, 'code')
  return {
    message: textOf(error) ?? textOf(member(error, 'message')),
    code: typeof code === 'number' ? String(code) : textOf(code),
    param: textOf(member(error, 'param')),
  }
}

const badFrame: ErrorBody = { message: undefined, code: 'bad_frame', param: undefined }

function readError(frame: unknown, eventName: string | undefined): ErrorBody | undefined {
  const error = readErrorBody(frame)
  if (error !== undefined) return error
  if (eventName === 'error') return { message: textOf(member(frame, 'message')), code: undefined, param: undefined }
  return typeof frame === 'object' && frame !== null ? undefined : badFrame
}

function reportFrame(frame: unknown, onEvent: (event: StreamEvent) => void): void {
  const choice = firstOf(member(frame, 'choices'))
  const text = textOf(member(member(choice, 'delta'), 'content'))
  if (text !== undefined) onEvent({ type: 'delta', text })
  const reason = textOf(member(choice, 'finish_reason'))
  if (reason !== undefined) onEvent({ type: 'finish', reason })
  const usage = member(frame, 'usage')
  const completionTokens = countOf(member(usage, 'completion_tokens'))
  if (completionTokens === undefined) return
  onEvent({ type: 'usage', usage: { completionTokens, promptTokens: countOf(member(usage, 'prompt_tokens')) ?? 0 } })
}

function splitPair(pair: string): [string, string] {
  const at = pair.indexOf('=')
  return at < 0 ? [pair, ''] : [pair.slice(0, at), pair.slice(at + 1)]
}

function numberIn(values: ReadonlyMap<string, string>, name: string): number | undefined {
  const value = values.get(name)
  return value === undefined || value === '' ? undefined : countOf(Number(value))
}
